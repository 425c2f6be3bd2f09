"""Grad-CAM: class maps of any classifier from the gradient of its scores.

Selvaraju et al., ICCV 2017, arXiv 1610.02391: w_k = mean over places of dS_c/dF_k, M^c = ReLU(sum over k of w_k F_k).
For features averaged and classified linearly this is the CAM over h w. The softmax form takes the gradient of the
class's probability in place of its logit, so that classes compete (CLIP-ES, Lin et al., CVPR 2023, arXiv 2212.09506).

A batch goes backward once for every present class of the image with the most tags, not once for each image and class.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.refine import unpack_present

__all__ = ['GradCAM', 'grad_cam']


@torch.enable_grad()
def grad_cam(scores: Tensor, features: Tensor, present: Tensor | None = None, softmax: bool = False,
             reshape: Callable[[Tensor], Tensor] | None = None, relu: bool = True) -> Tensor:
    """Class maps from scores that were computed from features, with a graph between them (it is kept).

    Args:
        scores: (B,C) logits.
        features: (B,D,h,w), or anything that ``reshape`` turns into it (a transformer's tokens).
        present: (B,C) bool; other planes come back 0. None: all.
        softmax: take the gradient of the probabilities. Give all logits that compete, the background's too.
        reshape: features and their gradient -> (B,D,h,w), for example :func:`.token_maps.tokens_to_map`.
        relu: keep what speaks for the class alone.

    Returns:
        (B,C,h,w) without gradient, float32 or float64.
    """
    scores = full_precision(scores)
    if softmax:
        scores = scores.softmax(1)
    present = torch.ones_like(scores, dtype=torch.bool) if present is None else present.bool()
    with torch.autocast(scores.device.type, enabled=False):  # gradients are below what half precision holds
        return _maps(scores, features, present, reshape or (lambda x: x), relu)


def _maps(scores: Tensor, features: Tensor, present: Tensor, reshape: Callable[[Tensor], Tensor],
          relu: bool) -> Tensor:
    """See :func:`grad_cam`; scores in full precision."""
    count = int(present.sum(1).max()) if present.numel() else 0
    index = present.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, :count]
    used = present.gather(1, index)
    maps = full_precision(reshape(features.detach()))
    planes = []
    for column, use in zip(index.T, used.T):
        total = (scores.gather(1, column[:, None])[:, 0] * use).sum()
        gradient, = torch.autograd.grad(total, features, retain_graph=True)
        weights = full_precision(reshape(gradient)).mean((2, 3))
        planes.append(torch.einsum('bd,bdhw->bhw', weights, maps))
    if not planes:
        return maps.new_zeros(*scores.shape, *maps.shape[2:])
    packed = torch.stack(planes, 1)
    return unpack_present(packed.relu() if relu else packed, index, used, scores.shape[1])


class GradCAM:
    """Grad-CAM of one layer of a network, as a function of images; fits ``multi_scale_cam``.

    Only what follows the layer goes backward, and parameters get no gradient; the network's mode (eval, most likely) is
    the caller's. Where a ViT's head reads the class token alone, patches of the last block's output have no gradient:
    name the first norm of that block (``blocks.11.norm1``), as CLIP-ES does.

    Args:
        network: images -> scores (B,C).
        layer: the module whose output is explained, or its name ('backbone.layer4').
        softmax: of :func:`grad_cam`.
        reshape: layer's output, size of the images (H,W) -> (B,D,h,w); None where it is a map already.
        pick: what of the network's output are the scores; None: all of it.

    Raises:
        ConfigError: the network has no such layer, or does not use it.
    """

    def __init__(self, network: nn.Module, layer: str | nn.Module, softmax: bool = False,
                 reshape: Callable[[Tensor, tuple[int, int]], Tensor] | None = None,
                 pick: Callable[..., Tensor] | None = None) -> None:
        modules = dict(network.named_modules())
        if isinstance(layer, str):
            if layer not in modules:
                raise ConfigError(f"layer='{layer}' of Grad-CAM is no layer of {type(network).__name__}. "
                                  f'{near(layer, modules)}')
            layer = modules[layer]
        self.network, self.layer, self.softmax, self.reshape, self.pick = network, layer, softmax, reshape, pick

    def __call__(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Class maps, also under ``no_grad``.

        Args:
            images: (B,3,H,W).
            present: (B,C) bool, or (B/n,C) where images are n views of each, view by view.

        Returns:
            (B,C,h,w), at least 0.
        """
        kept: list[Tensor] = []

        def cut(_module: nn.Module, _args: tuple, output: Tensor) -> Tensor:
            kept.append(output.detach().requires_grad_())
            return kept[-1]

        handle = self.layer.register_forward_hook(cut)
        try:
            with torch.enable_grad():
                scores = self.network(images)
                scores = scores if self.pick is None else self.pick(scores)
        finally:
            handle.remove()
        if len(kept) != 1 or not scores.requires_grad:
            raise ConfigError(f'{type(self.layer).__name__} of Grad-CAM ran {len(kept)} times in '
                              f'{type(self.network).__name__}; name a layer on the way to the scores that runs once.')
        if present is not None:
            present = present.repeat(len(images) // len(present), 1)
        size, reshape = tuple(images.shape[-2:]), self.reshape
        return grad_cam(scores, kept[0], present, self.softmax,
                        None if reshape is None else lambda x: reshape(x, size))
