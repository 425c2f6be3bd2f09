"""IRNet and AffinityNet against the goldens."""
import torch

from mmseg_weak.models.cam import AffinityHead
from mmseg_weak.models.losses import pair_affinity
from mmseg_weak.models.refine import EdgeWalk, pairs


def random_walk(arrays, settings):
    """The walk, and the pairs of another size."""
    radius, edge2 = int(arrays['radius']), arrays['edge2']
    walk = EdgeWalk(beta=int(arrays['beta']), exp_times=int(arrays['exp_times']), radius=radius)
    size, directions = tuple(edge2.shape[-2:]), pairs.path_directions(radius)
    return dict(out=walk(arrays['cam'][None], arrays['edge'][None])[0].unsqueeze(1),
                search_dst=torch.tensor(directions), src_indices=pairs.source_indices(size, radius),
                dst_indices=pairs.target_indices(size, directions, radius),
                affinity=pairs.crop_sources(pairs.edge_affinity(edge2, radius), radius))


def affinity_displacement_losses(arrays, settings):
    """Pair labels and the four losses."""
    radius = int(arrays['radius'])
    options = dict(ignore_index=settings['ignore_index'], num_classes=settings['num_classes'])
    names = ('bg_pos', 'fg_pos', 'neg')
    out = dict(zip(names, pair_affinity.pair_labels(arrays['label'], pairs.path_directions(radius), radius, **options)))
    losses = pair_affinity.affinity_displacement_losses(arrays['edge_logit'], arrays['displacement'], arrays['label'],
                                                        radius=radius, **options)
    return out | losses | dict(total=pair_affinity.displacement_total(losses))


def psa_affinity(arrays, settings):
    """AffinityNet's head, pairs, labels and loss."""
    radius, w = settings['radius'], settings['weights']
    maps = [arrays[f'conv{k}'] for k in (4, 5, 6)]
    weights = {name[6:]: value for name, value in arrays.items() if name.startswith('param.')}
    head = AffinityHead([m.shape[1] for m in maps], [weights[f'f8_{k}.weight'].shape[0] for k in (3, 4, 5)],
                        weights['f9.weight'].shape[0])
    head.load_state_dict(weights)
    directions, size = pairs.search_directions(radius), maps[0].shape[-2:]
    planes = pairs.feature_affinity(head(maps), radius)
    affinity = pairs.crop_sources(planes, radius).detach().requires_grad_()
    labels = pair_affinity.pair_labels(arrays['label'], directions, radius, settings['ignore_index'])
    loss = pair_affinity.pair_affinity_loss(affinity, *labels, weights=(w['bg_pos'], w['fg_pos'], w['neg']))
    grad, = torch.autograd.grad(loss, affinity, retain_graph=True)
    dense = pairs.affinity_to_matrix(pairs.keep_sources(planes[:1], radius), directions)[0]
    return dict(zip(('bg_pos', 'fg_pos', 'neg'), labels)) | dict(
        aff_pairs=affinity, aff_dense_image0=dense.view(size.numel(), -1), loss=loss, grad_aff_pairs=grad)
