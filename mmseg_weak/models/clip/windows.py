"""Sliding windows: where they lie, and all windows of all images through one function in large batches."""
from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError

__all__ = ['middle', 'slide', 'window_boxes']


def middle(images: Tensor, ratio: int = 8) -> Tensor:
    """The middle of images whose long side is more than ``ratio`` times the short one, others as they are.

    For views of a centre square: a strip one pixel high is not enlarged as a whole first.

    >>> middle(torch.zeros(3, 2, 500)).shape
    torch.Size([3, 2, 16])
    """
    most = ratio * min(images.shape[-2:])
    top, left = (max(n - most, 0) // 2 for n in images.shape[-2:])
    return images[..., top:top + most, left:left + most]


def window_boxes(size: tuple[int, int], crop: int | tuple[int, int], stride: int | tuple[int, int]
                 ) -> list[tuple[int, int, int, int]]:
    """Windows (y1, x1, y2, x2) that cover an image; the last of a row or column is shifted back inside.

    n = max(L - c + s - 1, 0) // s + 1 a side. A crop larger than the image gives one window, the image.

    Raises:
        ConfigError: crop or stride is not positive, or the stride jumps over pixels.
    """
    crop, stride = ((v, v) if isinstance(v, int) else tuple(v) for v in (crop, stride))
    if min(crop) < 1 or min(stride) < 1 or any(s > c for s, c in zip(stride, crop)):
        raise ConfigError(f'windows of {crop} pixels at a stride of {stride}: both are at least 1, and a stride above '
                          'the window would leave pixels out.')
    starts = []
    for length, c, s in zip(size, crop, stride):
        count = max(length - c + s - 1, 0) // s + 1
        starts.append([max(min(i * s + c, length) - c, 0) for i in range(count)])
    return [(y, x, min(y + crop[0], size[0]), min(x + crop[1], size[1])) for y in starts[0] for x in starts[1]]


def slide(images: Tensor, function: Callable[[Tensor], Tensor], crop: int | tuple[int, int],
          stride: int | tuple[int, int], batch: int = 16) -> Tensor:
    """Mean over the windows that see a pixel.

    Args:
        images: (B,3,H,W).
        function: windows (n,3,c,c) -> maps (n,C,c,c) of the window's size.
        crop, stride: pixels.
        batch: windows in one call; those of all images are mixed.

    Returns:
        (B,C,H,W).
    """
    boxes = window_boxes(tuple(images.shape[-2:]), crop, stride)
    jobs = [(b, box) for b in range(len(images)) for box in boxes]
    total, hits = None, images.new_zeros(images.shape[-2:])
    for y1, x1, y2, x2 in boxes:
        hits[y1:y2, x1:x2] += 1
    for i in range(0, len(jobs), batch):
        part = jobs[i:i + batch]
        maps = function(torch.stack([images[b, :, y1:y2, x1:x2] for b, (y1, x1, y2, x2) in part]))
        if total is None:
            total = maps.new_zeros(len(images), maps.shape[1], *images.shape[-2:])
        for (b, (y1, x1, y2, x2)), one in zip(part, maps, strict=True):
            total[b, :, y1:y2, x1:x2] += one
    return total / hits
