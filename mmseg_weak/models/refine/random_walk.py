"""Random walk of score maps on pixel affinities, sparse: AffinityNet (PSA) and IRNet.

- AffinityNet: Ahn & Kwak, CVPR 2018, arXiv 1803.10464; jiwoon-ahn/psa @ 9493e59 (MIT).
- IRNet: Ahn, Cho & Kwak, CVPR 2019, arXiv 1904.05044; jiwoon-ahn/irn @ a2ece00 (MIT).

With the symmetric affinity A (unit diagonal), T = A^beta / column sums, and the scores x as rows: x T^(2^exp_times).
The published code squares the dense T (HW x HW, 550 MB at stride 4 of a 500x375 image) ``exp_times`` times. Here x
takes 2^exp_times steps of 2 D + 1 neighbours each, in memory linear in the pixels. The two differ by rounding alone,
which 256 steps of float32 bring to the fifth digit; maps of up to 256 pixels are squared as published, which is faster
there.
"""
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError

from .base import Refiner
from .neighbours import Offset, mix_neighbours
from .pairs import affinity_to_matrix, edge_affinity, path_directions, search_directions

__all__ = ['AffinityWalk', 'EdgeWalk', 'divide_by_largest', 'random_walk', 'transition_weights']

_DENSE_PIXELS = 256  # up to here a few small matrix products beat many small sums


def transition_weights(affinity: Tensor, directions: Sequence[Offset],
                       beta: float = 10) -> tuple[Tensor, list[Offset]]:
    """Columns of T = A^beta / column sums as weights of the neighbours a pixel receives from.

    Args:
        affinity: (B,D,H,W) in [0, 1], see :mod:`.pairs`.
        directions: D offsets.
        beta: exponent.

    Returns:
        weights (B,2D+1,H,W), summing to 1 at every pixel; their offsets: the pixel itself, the directions, their
        opposites.
    """
    height, width = affinity.shape[-2:]
    count = len(directions)
    weights = affinity.new_zeros(len(affinity), 2 * count + 1, height, width)
    weights[:, 0] = 1
    torch.pow(affinity, beta, out=weights[:, 1:count + 1])
    for d, (dy, dx) in enumerate(directions):
        if dy >= height or abs(dx) >= width:
            continue
        left, right = max(dx, 0), width + min(dx, 0)
        weights[:, count + 1 + d, dy:, left:right] = weights[:, 1 + d, :height - dy, left - dx:right - dx]
    weights.div_(weights.sum(1, keepdim=True))
    return weights, [(0, 0), *directions, *((-dy, -dx) for dy, dx in directions)]


def random_walk(scores: Tensor, affinity: Tensor, directions: Sequence[Offset], beta: float = 10,
                exp_times: int = 8) -> Tensor:
    """x T^(2^exp_times), without gradient.

    Args:
        scores: (B,C,H,W).
        affinity: (B,D,H,W) in [0, 1]; 0 where the partner lies outside.
        directions: D offsets of a half disc.
        beta: exponent of the affinities. IRNet 10, AffinityNet 8.
        exp_times: logarithm of the number of steps.

    Returns:
        (B,C,H,W).
    """
    affinity = affinity.detach().to(scores)
    if affinity[0, 0].numel() <= _DENSE_PIXELS:
        transition = affinity_to_matrix(affinity, directions).pow_(beta)
        transition /= transition.sum(1, keepdim=True)
        for _ in range(exp_times):
            transition = transition @ transition
        return (scores.detach().flatten(2) @ transition).view_as(scores)
    with torch.no_grad():
        weights, offsets = transition_weights(affinity, directions, beta)
        return mix_neighbours(scores, weights, offsets, 2 ** exp_times)


def divide_by_largest(scores: Tensor) -> Tensor:
    """Divide by each image's largest score over all classes and pixels (IRNet); all zero stays zero."""
    return scores / scores.amax((1, 2, 3), keepdim=True).clamp_min(1e-5)


class _Walk(Refiner):
    """Shared: the settings of a walk; what guides it is not the image."""

    def __init__(self, beta: float, exp_times: int, radius: int, check: bool | None) -> None:
        super().__init__(check)
        if not beta > 0:
            raise ConfigError(f'beta={beta} of {type(self).__name__}; an exponent is above 0.')
        if not 0 <= exp_times <= 16:
            raise ConfigError(f'exp_times={exp_times} of {type(self).__name__}; give 0 to 16, the walk takes '
                              f'2^exp_times steps.')
        search_directions(radius)
        self.beta, self.exp_times, self.radius = beta, exp_times, radius

    def _check_shapes(self, scores: Tensor, image: Tensor, present: Tensor | None) -> None:
        if scores.dim() == 4 and (image.dim() != 4 or len(image) != len(scores) or image.shape[1] != self.planes):
            raise DataError(f'{type(self).__name__} got {self.guide} of shape {tuple(image.shape)} with scores of '
                            f'shape {tuple(scores.shape)}; give ({len(scores)}, {self.planes}, height, width).')
        super()._check_shapes(scores, image[:, :1].expand(-1, 3, -1, -1) if image.dim() == 4 else image, present)

    def extra_repr(self) -> str:
        """Settings."""
        return f'beta={self.beta}, exp_times={self.exp_times}, radius={self.radius}'


@MODELS.register_module()
class EdgeWalk(_Walk):
    """IRNet's walk: scores spread inside regions and stop at edges.

    ``walk(scores, edge, present=None)``: scores (B,C,h,w), CAMs of the present classes, no background; edge (B,1,H,W),
    probability of a class boundary at the stride at which to walk (IRNet: 4). Returns (B,C,H,W) at the edges' size.
    Scores on edges are dampened by (1 - edge) first. For a label: :func:`divide_by_largest`, background threshold.

    Args:
        beta: exponent of the affinities.
        exp_times: the walk takes 2^exp_times steps.
        radius: pixels up to which (exclusive) neighbours are linked.
        check: see :class:`Refiner`.
    """
    guide, planes = 'edges', 1

    def __init__(self, beta: float = 10, exp_times: int = 8, radius: int = 5, check: bool | None = None) -> None:
        super().__init__(beta, exp_times, radius, check)

    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """Walk on edges."""
        return random_walk(scores * (1 - image), edge_affinity(image, self.radius), path_directions(self.radius),
                           self.beta, self.exp_times)


@MODELS.register_module()
class AffinityWalk(_Walk):
    """AffinityNet's walk on affinities that a network gives.

    ``walk(scores, affinity, present=None)``: scores (B,C,h,w) with a background plane; affinity (B,D,H,W) as
    :func:`.pairs.feature_affinity` makes it. Returns (B,C,H,W).

    Args:
        beta: exponent of the affinities. AffinityNet: 8 (16 in places of its README).
        exp_times: the walk takes 2^exp_times steps.
        radius: of the affinities, pixels.
        check: see :class:`Refiner`.
    """
    guide = 'affinities'

    def __init__(self, beta: float = 8, exp_times: int = 8, radius: int = 5, check: bool | None = None) -> None:
        super().__init__(beta, exp_times, radius, check)
        self.planes = len(search_directions(radius))

    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """Walk on given affinities."""
        return random_walk(scores, image, search_directions(self.radius), self.beta, self.exp_times)
