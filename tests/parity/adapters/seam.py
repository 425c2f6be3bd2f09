"""SEAM against the goldens."""
import torch

from mmseg_weak.methods.weak import seam


def pcm_and_losses(arrays, settings):
    """Correlation, normalisation, losses and their gradients."""
    names = ('cam1', 'cam_rv1', 'cam2', 'cam_rv2')
    maps = [arrays[n].clone().requires_grad_() for n in names]
    losses = seam.seam_losses(*maps, arrays['label'], er_fraction=settings['er_top_fraction'],
                              min_fraction=settings['min_pool_fraction'])
    grads = torch.autograd.grad(sum(losses[n] for n in settings['gradient_of'].split('+')), maps)
    return dict(losses, pcm_out=seam.correlate_pixels(arrays['pcm_cam'], arrays['pcm_feat'], arrays['pcm_weight'],
                                                      settings['eps']),
                maxnorm_out=seam.max_norm(arrays['maxnorm_in'], settings['eps']),
                **{f'grad_{n}': g for n, g in zip(names, grads)})
