"""Class maps of an image at several scales and flipped, merged by the published rules.

- 'sum' (IRN; jiwoon-ahn/irn @ a2ece00, step/make_cam.py): ReLU(M(x)) + flip(ReLU(M(flip x))), summed over scales.
- 'max' (ToCo; rulixiang/ToCo @ e13514d, utils/camutils.py): ReLU(max(M(x), flip(M(flip x)))), summed over scales.

Image and mirror image go through the network as one batch. Enlarging is linear and ReLU after it is not, so the 'sum'
rule adds before it enlarges (half the work) and 'max' must enlarge first. Only planes of present classes are enlarged
where tags are given.
"""
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine import pack_present, unpack_present

__all__ = ['FLIPS', 'merge_scales', 'multi_scale_cam', 'scale_maps', 'strided_size']

FLIPS = ('sum', 'max', 'none')
_ROUNDINGS = {'floor': int, 'round': round, 'ceil': math.ceil}


def strided_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Size over stride, rounded up: IRN's stride-4 maps.

    >>> strided_size((375, 500), 4)
    (94, 125)
    """
    return (size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1


def scale_maps(forward: Callable[[Tensor], Tensor], image: Tensor, scales: Sequence[float], flip: bool = True,
               rounding: str = 'floor', multiple: int = 1) -> list[Tensor]:
    """Raw maps of each scale, one call of ``forward`` a scale.

    Args:
        forward: images (2B,3,h,w) -> maps (2B,C,h',w'); for several maps (main and auxiliary), stack them as planes.
        image: (B,3,H,W), normalised as the network wants it.
        scales: IRN 1, 0.5, 1.5, 2; ToCo 1, 0.5, 1.5; MCTformer 1, 0.75, 1.25.
        flip: add the mirror image.
        rounding: of the scaled size: 'floor' (ToCo), 'round' (IRN) or 'ceil'.
        multiple: round the scaled size to a multiple of this (a ViT's patch), nearest and at least one.

    Returns:
        one (2B,C,h',w') for each scale, mirrored ones last (still mirrored); (B,C,h',w') without flip.
    """
    if not len(scales) or any(not s > 0 for s in scales):
        raise ConfigError(f'scales={list(scales)} of a multi-scale CAM; give numbers above 0.')
    if rounding not in _ROUNDINGS:
        raise ConfigError(f"rounding='{rounding}' of a multi-scale CAM is none of {', '.join(_ROUNDINGS)}.")
    maps = []
    for scale in scales:
        size = [max(_ROUNDINGS[rounding](scale * n), 1) for n in image.shape[-2:]]
        if multiple > 1:
            size = [max(round(n / multiple), 1) * multiple for n in size]
        view = image
        if tuple(size) != tuple(image.shape[-2:]):
            view = F.interpolate(image, size, mode='bilinear', align_corners=False)
        maps.append(forward(torch.cat([view, view.flip(-1)]) if flip else view))
    return maps


def merge_scales(maps: Sequence[Tensor], size: tuple[int, int], flip: str = 'sum', stride: int = 1,
                 present: Tensor | None = None) -> Tensor:
    """Merge the mirror maps of each scale and add the scales.

    Args:
        maps: of :func:`scale_maps`.
        size: (H,W) of the result.
        flip: 'sum', 'max', or 'none' for maps without mirror images.
        stride: enlarge to ``size`` rounded up to a multiple of this, then cut (IRN: 16 for full-size maps).
        present: (B,C) bool; other planes come back 0. None: all.

    Returns:
        (B,C,H,W), at least 0, not normalised.
    """
    if flip not in FLIPS:
        raise ConfigError(f"flip='{flip}' of a multi-scale CAM is none of {', '.join(FLIPS)}.")
    full = tuple(n * stride for n in strided_size(size, stride))
    total, packing, classes = None, None, maps[0].shape[1]
    for raw in maps:
        raw = raw if raw.dtype == torch.float64 else raw.float()
        halves = [raw] if flip == 'none' else [raw[:len(raw) // 2], raw[len(raw) // 2:].flip(-1)]
        if present is not None:
            packed = [pack_present(half, present.bool()) for half in halves]
            halves, packing = [p[0] for p in packed], packed[0][1:]
        if flip != 'max':
            halves = [sum(half.relu() for half in halves)]
        halves = [half if tuple(half.shape[-2:]) == full else
                  F.interpolate(half, full, mode='bilinear', align_corners=False) for half in halves]
        merged = torch.maximum(*halves).relu_() if flip == 'max' else halves[0]
        total = merged if total is None else total + merged
    total = total[..., :size[0], :size[1]]
    return total if packing is None else unpack_present(total, *packing, classes)


@torch.no_grad()
def multi_scale_cam(forward: Callable[[Tensor], Tensor], image: Tensor, scales: Sequence[float] = (1.0, 0.5, 1.5, 2.0),
                    flip: str = 'sum', size: tuple[int, int] | None = None, stride: int = 1, rounding: str = 'floor',
                    multiple: int = 1, present: Tensor | None = None) -> Tensor:
    """:func:`scale_maps` and :func:`merge_scales` in one; the network's mode is the caller's.

    Args:
        size: of the result; that of the image by default. For results of several sizes call the two functions.

    Returns:
        (B,C,H,W), not normalised: :func:`.seeds.normalize_cam` comes after it.
    """
    maps = scale_maps(forward, image, scales, flip != 'none', rounding, multiple)
    return merge_scales(maps, size or tuple(image.shape[-2:]), flip, stride, present)
