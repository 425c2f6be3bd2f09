"""What the open-vocabulary repositories share, against the goldens."""
import torch.nn.functional as F

from mmseg_weak.models.clip import class_probs, drop_small_classes, label_map, slide
from mmseg_weak.models.refine import PAMR


def pamr(arrays, settings):
    """One output a variant."""
    return {name: PAMR(num_iter=v['iterations'], dilations=v['dilations'])(arrays['mask'], arrays['image'])
            for name, v in settings['variants'].items()}


def postprocess(arrays, settings):
    """Probabilities and labels of each repository's settings."""
    out = {}
    for name, v in settings['variants'].items():
        repo, rest = name.split('_', 1)
        prefix = 'trident_' if repo == 'trident' else ''
        owner = arrays[f'{prefix}query_idx'].tolist()
        cosines = arrays[f'{prefix}cosine_logits']
        probs = class_probs(cosines, owner, v['logit_scale'])
        if v['area_thd'] is not None:
            probs = drop_small_classes(probs, v['area_thd'])
        stored = class_probs(cosines, owner, v['logit_scale'], renormalize=True) if repo == 'naclip' else probs
        out['trident_probs' if prefix else f'{repo}_probs_{rest}'] = stored[0]
        out[f'{repo}_pred_{rest}'] = label_map(probs, v['prob_thd'])
    return out


def slide_inference(arrays, settings):
    """A toy window function, slid and resized to the original image."""
    def window(images):
        maps = F.conv2d(images, arrays['conv_weight'], stride=settings['conv_stride'])
        return F.interpolate(maps, images.shape[-2:], mode='bilinear', align_corners=False)
    size = arrays['ori_shape'].tolist()
    return {name: F.interpolate(slide(arrays['image'], window, v['crop'], v['stride']), size, mode='bilinear',
                                align_corners=False)
            for name, v in settings['variants'].items()}
