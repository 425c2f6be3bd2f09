"""SAT against the goldens."""
import torch
import torch.nn.functional as F

from mmseg_weak.methods.weak import sat


def _state(arrays, dtype):
    return {k.removeprefix('param.'): v.to(dtype) for k, v in arrays.items() if k.startswith('param.')}


def sat_attention(arrays, settings):
    """One attention at each depth."""
    state, out = _state(arrays, torch.float64), {}

    def attend(x, depth):
        layer = sat.LocationAttention(x.shape[2], int(arrays['num_heads']), depth >= settings['first_masked_depth'])
        layer.double().load_state_dict(state)
        return layer(x)
    for depth in settings['depths']:
        out[f'out_depth{depth}'], out[f'mask_depth{depth}'] = attend(arrays['x'], depth)
    x, depth = arrays['x'].clone().requires_grad_(), settings['gradient_depth']
    y, mask = attend(x, depth)
    grad, = torch.autograd.grad(y.square().mean() + mask.mean(), x)
    return {**out, f'grad_x_of_meansq_out_plus_mean_mask_depth{depth}': grad}


def sat_model(arrays, settings):
    """The whole tiny network."""
    state = _state(arrays, torch.float32)
    kernel = state.pop('weight')[0, 0]
    image = F.interpolate(arrays['image14'], scale_factor=settings['upsample_factor'])
    net = sat.SpatialTokenViT(len(state['head.bias']), state['cls_token'].shape[2], settings['depth'],
                              int(arrays['num_heads']), settings['mlp_ratio'], image.shape[-1],
                              settings['patch_size'], settings['masked_blocks'],
                              layer_norm_eps=settings['layer_norm_eps']).eval()
    assert set(state) == set(net.state_dict())
    logits, maps = torch.func.functional_call(net, state, (image,))
    losses = sat.sat_losses(logits, maps, arrays['label'], float(arrays['area_thr']), kernel)
    return dict(logits=logits, map=maps, area=sat.image_area(maps), norm=sat.image_norm(maps, kernel),
                total=sum(losses.values()))
