"""CutMix-Seg against the goldens: box masks and consistency."""
import numpy as np
import torch

from mmseg_weak.models.losses import consistency
from mmseg_weak.models.teachers import mixing


def box_masks(arrays, settings):
    """Masks of each run from numpy's draws, replayed in the order of the published code."""
    out = {}
    for name, run in settings['runs'].items():
        options = dict(invert=False) | run
        prop = options.pop('prop_range')
        shape = (settings['n_masks'], options.pop('n_boxes', 1))
        rng = np.random.RandomState(int(arrays['seed']))
        size = torch.from_numpy(rng.uniform(size=shape))
        aspect = torch.from_numpy(rng.uniform(size=shape)) if options.get('random_aspect_ratio', True) else size
        given = mixing.BoxUniforms(size, aspect, torch.from_numpy(rng.uniform(size=(*shape, 2))))
        masks = mixing.box_masks(given, tuple(settings['mask_shape']), as_published=True, **options,
                                 prop_range=tuple(prop) if isinstance(prop, (list, tuple)) else (prop, prop))
        out[name] = masks.unsqueeze(1).to(torch.uint8)
    return out


def consistency_loss(arrays, settings):
    """Loss of each run on the mixed teacher logits."""
    mask = arrays['mix_mask'].squeeze(1).bool()
    teacher = mixing.mix(arrays['teacher_logits_0'], arrays['teacher_logits_1'], mask)
    valid = mixing.mix(arrays['valid_0'], arrays['valid_1'], mask)
    out = dict(loss_mask_before_conf=valid)
    for name, run in settings['runs'].items():
        out[name] = consistency.consistency_loss(
            arrays['student_logits'], teacher, valid.squeeze(1), kind=run['kind'], conf_thr=arrays['conf_thresh'],
            per_pixel_conf=run['conf_per_pixel'])
    return out
