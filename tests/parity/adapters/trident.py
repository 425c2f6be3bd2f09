"""Trident against the goldens."""
import torch

from mmseg_weak.methods.openvocab import trident
from mmseg_weak.models.clip import DenseViT, visual_from_state


def preprocess_shapes(arrays, settings):
    """Sizes and windows, one row an image."""
    patch, crop, stride = (int(arrays[name]) for name in ('patch', 'crop', 'stride'))
    rows = []
    for size in settings['image_hw']:
        new = trident.clip_size(tuple(size), patch, crop)
        windows = trident.windows_of(new, patch, crop, stride)
        rows.append([*size, *new, *windows.grid, len(windows.boxes)])
    return dict(rows_h_w_newh_neww_gridh_gridw_nwin=torch.tensor(rows))


def sam_correlation(arrays, settings):
    """Weights of each variant, the same for all heads."""
    return {name: trident.sam_weights(arrays[v['values']][0].flatten(1, 2), arrays['sam_attn'][0], v['cos_fac'],
                                      v['refine_neg_cos']).expand(1, settings['out_heads'], -1, -1)
            for name, v in settings['variants'].items()}


def splice_and_aggregate(arrays, settings):
    """From an image to tokens on SAM's grid."""
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    visual = visual_from_state(state, int(arrays['heads']), settings['activation'] == 'quick_gelu')
    options = dict(beta=settings['beta'], gamma=settings['gamma'], per_image=False)
    tower = DenseViT(visual, 'proxyclip', options, residual=False, ffn=False)
    patch, crop, stride = (int(arrays[name]) for name in ('patch', 'crop', 'stride'))
    image, values = arrays['image'][0], arrays['sam_v'][0]
    windows = trident.windows_of(tuple(image.shape[-2:]), patch, crop, stride)
    weights = trident.sam_weights(values.flatten(1, 2), arrays['sam_attn'][0], settings['cos_fac'],
                                  settings['refine_neg_cos'])
    features = trident.spliced_features(tower, image, arrays['ex_feats'], windows, [weights], tuple(values.shape[1:3]))
    return dict(windows=trident.cut_windows(image, windows, patch), patch_locs=torch.tensor(windows.boxes),
                win_grid=torch.tensor(windows.grid), out_tokens=features.flatten(1).T[None])


def sam_refine_bookkeeping(arrays, settings):
    """Regions, scores of given masks, both rules for what is left."""
    probs, full, thr = arrays['probs_down'], arrays['probs_full'], float(arrays['coarse_thresh'])
    regions = trident.find_regions(arrays['seg_with_reject'][0], probs, thr, int(arrays['minimal_area']))
    scores = trident.combine_masks(arrays['sam_mask_logits'][:, 0], [r.label for r in regions], full,
                                   settings['mask_threshold'])
    labels = trident.replace_empty(scores, full.argmax(0))
    merged, final = trident.merge_failed(scores, labels, full, arrays['failed_regions_full'][0], as_published=True)
    return dict(region_masks=torch.stack([r.mask for r in regions]), refined_scores=scores,
                region_class=torch.tensor([r.label for r in regions]), refined_pred=scores.argmax(0)[None],
                region_boxes=torch.tensor([r.box for r in regions]), pred_with_fallback=labels[None],
                region_scores=torch.tensor([r.score for r in regions], dtype=torch.float64),
                region_points_xy=torch.tensor([r.point for r in regions]), pred_with_failed=final[None],
                scores_with_failed=merged)
