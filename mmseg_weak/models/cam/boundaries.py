"""Class boundaries of IRNet's heads, and class maps that spread up to them; IRNet and TRIS."""
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.refine import EdgeWalk, divide_by_largest

__all__ = ['mean_edges', 'spread_to_edges']


@torch.no_grad()
def mean_edges(boundaries: Callable[[Tensor], tuple[Tensor, Tensor]], images: Tensor) -> Tensor:
    """Probability of a boundary: the mean logit of an image and its mirror image.

    Args:
        boundaries: images -> edge logits (B,1,h,w) and displacements.
        images: (B,3,H,W), normalised.

    Returns:
        (B,1,h,w).
    """
    plain, mirrored = boundaries(torch.cat([images, images.flip(-1)]))[0].chunk(2)
    return ((plain + mirrored.flip(-1)).float() / 2).sigmoid()


@torch.no_grad()
def spread_to_edges(walk: EdgeWalk, maps: Tensor, edge: Tensor, stride: int, size: tuple[int, int],
                    present: Tensor | None = None) -> Tensor:
    """Walk maps over an image up to its edges; over each image's largest value.

    Args:
        walk: of the maps.
        maps: (B,K,h,w) at least 0, of the edges' size.
        edge: (B,1,h,w) probabilities, at ``stride``.
        stride: of the edges.
        size: (H, W) of the image.
        present: (B,K) bool; the other maps stay 0.

    Returns:
        (B,K,H,W) in [0, 1].
    """
    walked = F.interpolate(walk(maps, edge, present), scale_factor=stride, mode='bilinear', align_corners=False)
    return divide_by_largest(walked[..., :size[0], :size[1]])
