"""UniMatch against the goldens: box, losses, hard example mining and the step."""
import random

import numpy as np
import torch

from mmseg_weak.methods.semi import unimatch
from mmseg_weak.models.losses import confidence_weighted_ce, prob_ohem_ce
from mmseg_weak.models.teachers import mixing


def _draws(size):
    """The published draws as uniforms: existence by python, area by numpy, then (aspect, left, top) by numpy."""
    yield random.random()
    yield np.random.random_sample()
    while True:
        yield np.random.random_sample()
        yield (np.random.randint(0, size[1]) + 0.5) / size[1]
        yield (np.random.randint(0, size[0]) + 0.5) / size[0]


def cutmix_box(arrays, settings):
    """One mask a seed."""
    size = settings['img_size']
    size = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    boxes = []
    for seed in arrays['seeds'].tolist():
        random.seed(seed)
        np.random.seed(seed)
        boxes.append(mixing.cutmix_box(
            size, _draws(size).__next__, prob=settings['p'], area_ratio=(settings['size_min'], settings['size_max']),
            aspect=(settings['ratio_1'], settings['ratio_2'])))
    return dict(masks=mixing.rectangles_to_masks(torch.tensor(boxes), size).to(torch.uint8))


def confidence_weighted_loss(arrays, settings):
    """One reduction a mode."""
    valid = arrays['ignore_mask'] != settings['ignore_index']
    return {f'out_{mode}': confidence_weighted_ce.weight_by_confidence(
        arrays['loss_map'], arrays['conf_map'], valid, settings['conf_thresh'], mode, as_published=True)
        for mode in settings['modes']}


def ohem_ce(arrays, settings):
    """One loss a variant."""
    return {name: prob_ohem_ce.prob_ohem_cross_entropy(
        arrays['pred'], arrays['target'], thresh=v['thresh'], min_kept=v['min_kept'],
        ignore_index=settings['ignore_index']) for name, v in settings['variants'].items()}


def step_loss(arrays, settings):
    """The step of each variant."""
    ignore = settings['ignore_index']
    a = arrays
    boxes = [a[f'cutmix_box{j}'].bool() for j in (1, 2)]
    own = unimatch.pseudo_from_logits(a['pred_u_w'], a['ignore_mask'] != ignore)
    partner = unimatch.pseudo_from_logits(a['pred_u_w_mix'], a['ignore_mask_mix'] != ignore)
    mixed = [unimatch.cutmix_pseudo(own, partner, box) for box in boxes]
    supervised = confidence_weighted_ce.ConfidenceWeightedCE(ignore_index=ignore)(a['pred_x'], a['mask_x'])
    out = dict(mask_u_w_cutmixed1=mixed[0].labels, conf_u_w_cutmixed1=mixed[0].conf,
               ignore_mask_cutmixed1=mixing.mix(a['ignore_mask'], a['ignore_mask_mix'], boxes[0]),
               img_u_s1_after=mixing.mix(a['img_u_s1'], a['img_u_s1_mix'], boxes[0]))
    for name, variant in settings['variants'].items():
        terms = unimatch.unimatch_unsup_losses(
            dict(s1=(a['pred_u_s1'], mixed[0]), s2=(a['pred_u_s2'], mixed[1]), fp=(a['pred_u_w_fp'], own)),
            conf_thr=variant['conf_thresh'])
        out[f'loss_{name}'] = sum(unimatch.unimatch_step_losses(supervised, terms).values())
        out[f'loss_x_{name}'] = supervised
        out.update({f'loss_{k}_{name}': v for k, v in terms.items()})
    return out
