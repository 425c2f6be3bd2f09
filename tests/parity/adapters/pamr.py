"""PAMR against the goldens."""
from mmseg_weak.models.refine import PAMR


def pamr(arrays, settings):
    """One output a variant."""
    return {name: PAMR(num_iter=v['iterations'], dilations=v['dilations'])(arrays['mask'], arrays['image'])
            for name, v in settings['variants'].items()}
