"""Windows of CLIP on one canvas, and SAM's say on it."""
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import DenseViT, window_boxes

__all__ = ['Windows', 'aggregate', 'clip_size', 'cut_windows', 'sam_weights', 'splice', 'spliced_features',
           'window_features', 'windows_of']


class Windows(NamedTuple):
    """Where windows lie, in patches."""
    boxes: list[tuple[int, int, int, int]]  # y1, x1, y2, x2
    grid: tuple[int, int]  # rows and columns of windows
    size: tuple[int, int]  # rows and columns of patches of the image


def clip_size(size: tuple[int, int], patch: int = 16, crop: int = 336) -> tuple[int, int]:
    """Size that CLIP sees an image in.

    It stays where both sides are multiples of the patch. Else the longer side grows to the next multiple, the other one
    with it and then to a multiple of its own; no side is below ``crop``.
    """
    if not any(side % patch for side in size):
        return tuple(size)
    longest = max(size)
    grown = -(-longest // patch) * patch
    return tuple(max(-(-(side * grown) // (longest * patch)) * patch, crop) for side in size)


def windows_of(size: tuple[int, int], patch: int = 16, crop: int = 336, stride: int = 224) -> Windows:
    """Windows of an image (H,W) whose sides are multiples of the patch.

    Raises:
        ConfigError: windows would not begin and end between patches.
    """
    if any(n % patch for n in (*size, crop, stride)):
        raise ConfigError(f'An image of {size[0]}x{size[1]} pixels in windows of {crop} at a stride of {stride}: all '
                          f'of them must be multiples of the patch, {patch}.')
    boxes = [tuple(n // patch for n in box) for box in window_boxes(size, crop, stride)]
    rows, columns = len({box[0] for box in boxes}), len({box[1] for box in boxes})
    return Windows(boxes, (rows, columns), (size[0] // patch, size[1] // patch))


def cut_windows(image: Tensor, windows: Windows, patch: int) -> Tensor:
    """(3,H,W) -> (n,3,c,c)."""
    return torch.stack([image[:, patch * y1:patch * y2, patch * x1:patch * x2] for y1, x1, y2, x2 in windows.boxes])


def window_features(tower: DenseViT, windows: Tensor, proxy: Tensor, batch: int | None = None) -> Tensor:
    """Last block's output of each window, before LNpost.

    Args:
        tower: with ``attention='proxyclip', residual=False, ffn=False``.
        windows: (n,3,c,c), normalised.
        proxy: (n,C,h',w') features of DINO on them.
        batch: windows in one forward; None: all, which the published mean over all windows needs.

    Returns:
        (n,D,h',w').
    """
    batch, parts = batch or len(windows), []
    for some, seen in zip(windows.split(batch), proxy.split(batch)):
        tokens, mix, _, _, _ = tower.tokens(tower.embed(some), tower.grid(some), external=seen, whole=False)
        parts.append(tokens.transpose(1, 2).unflatten(2, mix.grid).float())
    return torch.cat(parts)


def splice(features: Tensor, windows: Windows) -> Tensor:
    """Mean over the windows that see a place.

    Args:
        features: (n,D,h',w'), h' = r h for windows of h patches, r whole.
        windows: n of them.

    Returns:
        (D,rH,rW) for an image of H x W patches.

    Raises:
        ConfigError: r is not a whole number.
    """
    y1, x1, y2, x2 = windows.boxes[0]
    ratio = features.shape[-2] / (y2 - y1)
    if ratio != features.shape[-1] / (x2 - x1) or ratio != int(ratio):
        raise ConfigError(f'Windows of {y2 - y1}x{x2 - x1} patches have features of {features.shape[-2]}x'
                          f'{features.shape[-1]}; both sides are the same whole multiple.')
    r = int(ratio)
    canvas = features.new_zeros(features.shape[1], *(r * n for n in windows.size))
    hits = torch.zeros_like(canvas[0])
    for one, (y1, x1, y2, x2) in zip(features, windows.boxes, strict=True):
        canvas[:, r * y1:r * y2, r * x1:r * x2] += one
        hits[r * y1:r * y2, r * x1:r * x2] += 1
    return canvas / hits


@torch.no_grad()
def sam_weights(values: Tensor, attention: Tensor | Sequence[Tensor], cos_factor: float = 1.2,
                keep_negative: bool = True, cap: float = 0.9, instead: float = 0.6) -> Tensor:
    """Weights of places for each other, from SAM's last (global) attention.

    With c_h the cosines of head h's values, a row's threshold is ``cos_factor`` times the mean of c over heads and
    keys, at most ``cap``. Attention stays where c_h is above it; mean over heads; rows sum to 1. A place always keeps
    itself, its cosine is 1. One head is held at a time.

    Args:
        values: (heads,N,c).
        attention: (heads,N,N) or (N,N) of each head, softmaxed, cut to the valid part of SAM's map.
        cos_factor: paper: 1.2; VOC20: 0; Cityscapes: 3.
        keep_negative: leave negative thresholds as they are (official ``refine_neg_cos``); else they become
            ``instead``, as on ADE20K and Cityscapes.
        cap, instead: see above.

    Returns:
        (N,N).
    """
    unit = F.normalize(values, dim=-1)
    # the mean over keys of q k is q times the mean of k
    thr = cos_factor * (unit * unit.mean(1, keepdim=True)).sum(-1).mean(0)
    if not keep_negative:
        thr = thr.masked_fill(thr < 0, instead)
    thr = thr.clamp(max=cap)[:, None]
    total = torch.zeros_like(attention[0])
    for one, weights in zip(unit, attention, strict=True):
        total += weights.masked_fill(one @ one.T <= thr, 0)
    return total / total.sum(1, keepdim=True).clamp_min(torch.finfo(total.dtype).tiny)


def aggregate(canvas: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """The canvas on SAM's grid, mixed by its weights: (D,h,w), (N,N) -> (D,h',w'), N = h'w'."""
    resized = F.interpolate(canvas[None], size, mode='bilinear', align_corners=False)[0]
    return (weights @ resized.flatten(1).T).T.unflatten(1, size)


def spliced_features(tower: DenseViT, image: Tensor, proxy: Tensor, windows: Windows, parts: Sequence[Tensor],
                     size: tuple[int, int], batch: int | None = None) -> Tensor:
    """Features of an image in the joint space.

    Args:
        tower: of :func:`window_features`.
        image: (3,H,W), normalised, of the size of :func:`clip_size`.
        proxy: (n,C,h',w') of DINO on the windows.
        windows: n of them.
        parts: (N,N) weights of SAM, of the whole image, or of its left and right half (Cityscapes).
        size: (h,w) of SAM's valid map of each part, N = hw.
        batch: of :func:`window_features`.

    Returns:
        (d,h,w * parts), not normalised.
    """
    seen = window_features(tower, cut_windows(image, windows, tower.patch_size), proxy, batch)
    canvas = splice(seen, windows)
    mixed = [aggregate(piece, weights, size) for piece, weights in zip(canvas.chunk(len(parts), 2), parts, strict=True)]
    tokens = torch.cat(mixed, 2).movedim(0, -1)
    return tower.project(tokens.to(tower.visual.proj.dtype)).movedim(-1, 0).float()
