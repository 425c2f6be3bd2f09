"""Pixel-adaptive refinement: PAMR (1-Stage WSSS) and its descendant PAR (AFA, ToCo, WeCLIP).

- PAMR: Araslanov & Roth, Single-Stage Semantic Segmentation from Image Labels, CVPR 2020, arXiv 2005.08104;
  visinf/1-stage-wseg @ d905fca (Apache-2.0).
- PAR: Ru et al., Learning Affinity from Attention, CVPR 2022, arXiv 2203.02664; rulixiang/afa @ adcfa29 (no licence).

A pixel's score becomes, ``num_iter`` times, a weighted mean of the scores of 8 neighbours at each dilation. The weights
follow the colour distance to them and are the same for all classes and iterations:

- PAMR: k = softmax_p( - mean_c |I_p - I| / (gain sigma + 1e-8) ), sigma over the neighbours and, once a dilation, the
  pixel itself.
- PAR: k = softmax_p( - mean_c (|I_p - I| / (sigma + 1e-8) / w1)^2 )
  + w2 softmax_p( - (r_p / (sigma_r + 1e-8) / w1)^2 ), sigma over the neighbours alone; r_p is the distance in pixels.
  These weights sum to 1 + w2: a constant c becomes c (1 + w2)^num_iter, as published.

sigma is the unbiased standard deviation of a colour channel. Both forms divide by it, so the image's range does not
matter (0 to 1, 0 to 255 and normalised images give the same).
"""
import math
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError

from .base import Refiner
from .neighbours import Offset, mix_neighbours, neighbour_views, pad_replicate, ring_offsets

__all__ = ['PAMR', 'PAR', 'pamr_weights', 'par_weights', 'position_distances']

DILATIONS = (1, 2, 4, 8, 12, 24)
_EPS = 1e-8


def _colour_logits(image: Tensor, offsets: Sequence[Offset], gain: float, power: int, centres: int,
                   eps_outside: bool) -> Tensor:
    """- mean_c (|I_p - I| / scale)^power, (B,3,H,W) -> (B,P,H,W).

    Args:
        centres: how often the pixel itself counts in sigma.
        eps_outside: scale = (sigma + 1e-8) gain; otherwise sigma gain + 1e-8.
    """
    views = neighbour_views(pad_replicate(image, offsets), offsets, tuple(image.shape[-2:]))
    samples = len(offsets) + centres
    mean = torch.zeros_like(image)
    for view in views:
        mean.add_(view).sub_(image)  # of differences to the pixel, so that a flat region has sigma = 0 exactly
    mean.div_(samples)
    variance = mean.square().mul_(centres)
    for view in views:
        variance.add_((view - image).sub_(mean).square_())
    sigma = variance.div_(samples - 1).sqrt_()
    scale = sigma.add_(_EPS).mul_(gain) if eps_outside else sigma.mul_(gain).add_(_EPS)
    logits = image.new_empty(len(image), len(views), *image.shape[-2:])
    for p, view in enumerate(views):
        distance = (view - image).div_(scale)
        distance = distance.square_() if power == 2 else distance.abs_()
        torch.mean(distance, 1, out=logits[:, p])
    return logits.neg_()


def _softmax_(logits: Tensor) -> Tensor:
    """Softmax over dim 1, in place."""
    logits.sub_(logits.amax(1, keepdim=True)).exp_()
    return logits.div_(logits.sum(1, keepdim=True))


def position_distances(offsets: Sequence[Offset]) -> Tensor:
    """Distances of the offsets in pixels, (P,) float64."""
    return torch.tensor([math.hypot(dy, dx) for dy, dx in offsets], dtype=torch.float64)


def par_weights(image: Tensor, offsets: Sequence[Offset], w1: float = 0.3, w2: float = 0.01) -> Tensor:
    """PAR's kernel: (B,3,H,W) -> (B,P,H,W), summing to 1 + w2 at every pixel."""
    weights = _softmax_(_colour_logits(image, offsets, gain=w1, power=2, centres=0, eps_outside=True))
    distance = position_distances(offsets)
    position = torch.softmax(-(distance / (distance.std() + _EPS) / w1).square(), 0)
    return weights.add_((w2 * position).to(weights).view(1, -1, 1, 1))


def pamr_weights(image: Tensor, offsets: Sequence[Offset], gain: float = 0.1) -> Tensor:
    """PAMR's kernel: (B,3,H,W) -> (B,P,H,W), summing to 1 at every pixel."""
    return _softmax_(_colour_logits(image, offsets, gain=gain, power=1, centres=len(offsets) // 8, eps_outside=False))


class _PixelAdaptive(Refiner):
    """Shared: dilations, iterations, one image after the other on a CPU."""
    align_corners = True

    def __init__(self, num_iter: int, dilations: Sequence[int], check: bool | None) -> None:
        super().__init__(check)
        if num_iter < 0:
            raise ConfigError(f'num_iter={num_iter} of {type(self).__name__}; give 0 or more iterations.')
        if not dilations or any(int(d) != d or d < 1 for d in dilations):
            raise ConfigError(f'dilations={list(dilations)} of {type(self).__name__}; give whole numbers from 1 on, '
                              f'pixels.')
        self.num_iter, self.dilations = num_iter, tuple(int(d) for d in dilations)
        self.offsets = ring_offsets(self.dilations)

    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """Weights from the image, then ``num_iter`` sums."""
        if scores.device.type != 'cpu' or len(scores) == 1:
            return mix_neighbours(scores, self.weights(image), self.offsets, self.num_iter)
        out = torch.empty_like(scores)
        for b in range(len(scores)):
            part = slice(b, b + 1)
            out[part] = mix_neighbours(scores[part], self.weights(image[part]), self.offsets, self.num_iter)
        return out

    def weights(self, image: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,P,H,W), what each neighbour counts."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Settings."""
        return f'num_iter={self.num_iter}, dilations={self.dilations}'


@MODELS.register_module()
class PAR(_PixelAdaptive):
    """Pixel-adaptive refinement of AFA, see the module's docstring.

    Args:
        num_iter: 10 in AFA and ToCo, 20 in WeCLIP and ExCEL.
        dilations: distances of the rings of neighbours, pixels.
        w1: width of both kernels, in standard deviations.
        w2: weight of the position kernel.
        check: see :class:`Refiner`.

    >>> par = PAR(num_iter=2)
    >>> round(float(par(torch.ones(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)).mean()), 4)
    1.0201
    """

    def __init__(self, num_iter: int = 10, dilations: Sequence[int] = DILATIONS, w1: float = 0.3, w2: float = 0.01,
                 check: bool | None = None) -> None:
        super().__init__(num_iter, dilations, check)
        if not w1 > 0:
            raise ConfigError(f'w1={w1} of PAR; a width is above 0.')
        self.w1, self.w2 = w1, w2

    def weights(self, image: Tensor) -> Tensor:
        """See :func:`par_weights`."""
        return par_weights(image, self.offsets, self.w1, self.w2)


@MODELS.register_module()
class PAMR(_PixelAdaptive):
    """Pixel-adaptive mask refinement of 1-Stage WSSS, see the module's docstring.

    Args:
        num_iter: 10 in the paper.
        dilations: distances of the rings of neighbours, pixels.
        gain: width of the kernel, in standard deviations.
        check: see :class:`Refiner`.
    """

    def __init__(self, num_iter: int = 10, dilations: Sequence[int] = DILATIONS, gain: float = 0.1,
                 check: bool | None = None) -> None:
        super().__init__(num_iter, dilations, check)
        if not gain > 0:
            raise ConfigError(f'gain={gain} of PAMR; a width is above 0.')
        self.gain = gain

    def weights(self, image: Tensor) -> Tensor:
        """See :func:`pamr_weights`."""
        return pamr_weights(image, self.offsets, self.gain)
