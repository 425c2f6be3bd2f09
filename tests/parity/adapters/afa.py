"""AFA against the goldens: PAR."""
from mmseg_weak.models.refine import PAR
from mmseg_weak.models.refine.pixel_adaptive import position_distances


def par(arrays, settings):
    """One output a run."""
    out = {}
    for name, run in settings['runs'].items():
        module = PAR(run['num_iter'], run['dilations'], w1=settings['w1'], w2=settings['w2'])
        out[name] = module(arrays['mask'], arrays['image'])
        if len(run['dilations']) == 6:
            out['pos'] = position_distances(module.offsets).view(1, 1, -1, 1, 1)
    return out
