"""From class maps to seeds: normalise, background score, one or two thresholds, image box. Batched, no gradient needed.

Sources: jiwoon-ahn/irn @ a2ece00 (MIT), rulixiang/ToCo @ e13514d, xulianuwa/MCTformer @ 0acc27a.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.refine.base import check_finite

__all__ = ['background_score', 'box_mask', 'cam_to_regions', 'cam_to_seed', 'keep_present', 'merge_confident',
           'normalize_cam', 'scores_to_labels', 'with_background']


def normalize_cam(cams: Tensor, mode: str = 'max', eps: float = 1e-5, present: Tensor | None = None,
                  check: bool = False) -> Tensor:
    """Bring each class map of each image to [0, 1]; a map that is 0 everywhere stays 0.

    Args:
        cams: (B,C,h,w), at least 0.
        mode: 'max', x / (max + eps) (IRN); 'minmax', (x - min) / (max of that + eps) (ToCo; MCTformer with eps 1e-8).
        eps: see ``mode``.
        present: (B,C) bool; planes of other classes come back 0.
        check: refuse NaN and infinity (waits for a GPU).
    """
    if mode not in ('max', 'minmax'):
        raise ConfigError(f"mode='{mode}' of normalize_cam is none of max, minmax.")
    if check:
        check_finite(cams, 'class maps')
    cams = cams if cams.dtype == torch.float64 else cams.float()
    if mode == 'minmax':
        cams = cams - cams.amin((2, 3), keepdim=True)
    cams = cams / (cams.amax((2, 3), keepdim=True) + eps)
    return cams if present is None else keep_present(cams, present)


def keep_present(cams: Tensor, present: Tensor) -> Tensor:
    """Maps of absent classes become 0: (B,C,h,w), (B,C)."""
    return cams.masked_fill(~present.bool()[:, :, None, None], 0)


def background_score(cams: Tensor, kind: str = 'constant', value: float = 0.15) -> Tensor:
    """Score of the background, (B,C,h,w) in [0, 1] -> (B,1,h,w).

    Args:
        kind: 'constant', ``value`` everywhere (IRN 0.15); 'power', (1 - max_c)^value (PSA 4 to 32, CLIP-ES 1 to 10).
    """
    if kind == 'constant':
        return torch.full_like(cams[:, :1], value)
    if kind != 'power':
        raise ConfigError(f"kind='{kind}' of a background score is none of constant, power.")
    return (1 - cams.amax(1, keepdim=True)).clamp(min=0).pow(value)


def with_background(cams: Tensor, kind: str = 'constant', value: float = 0.15,
                    present: Tensor | None = None) -> Tensor:
    """Put :func:`background_score` before the maps: (B,C,h,w) -> (B,C+1,h,w); absent classes are 0."""
    if present is not None:
        cams = keep_present(cams, present)
    return torch.cat([background_score(cams, kind, value), cams], 1)


def scores_to_labels(scores: Tensor, present: Tensor | None = None) -> Tensor:
    """Largest of background and present classes, (B,C+1,h,w) -> (B,h,w) long; background wins a tie.

    Args:
        present: (B,C) bool of the foreground classes. None: all.
    """
    if present is not None:
        absent = F.pad(~present.bool(), (1, 0))[:, :, None, None]
        scores = scores.masked_fill(absent, -torch.inf)
    return scores.argmax(1)


def box_mask(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """True inside of each box.

    Args:
        boxes: (B,4) y0, y1, x0, x1 in pixels, ends excluded: where the image lies in its padded crop.
        size: (H,W).

    Returns:
        (B,H,W) bool.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise DataError(f'image boxes have the shape {tuple(boxes.shape)}; give (batch, 4) as y0, y1, x0, x1.')
    y, x = (torch.arange(n, device=boxes.device) for n in size)
    y0, y1, x0, x1 = boxes.unbind(1)
    rows = (y >= y0[:, None]) & (y < y1[:, None])
    columns = (x >= x0[:, None]) & (x < x1[:, None])
    return rows[:, :, None] & columns[:, None, :]


def cam_to_seed(cams: Tensor, present: Tensor | None = None, thr: float = 0.5, high_thr: float | None = None,
                low_thr: float | None = None, img_box: Tensor | None = None, ignore_index: int = 255) -> Tensor:
    """Seed map by one threshold, or by two with an ignored band between them.

    With one: the strongest class above ``thr``, background up to it. With two: the class above ``high_thr``, background
    up to ``low_thr``, ``ignore_index`` between; ``thr`` has no effect.

    Args:
        cams: (B,C,h,w) in [0, 1].
        present: (B,C) tags; maps of absent classes count as 0.
        thr: ToCo 0.5.
        high_thr, low_thr: both or none. ToCo 0.7 and 0.25.
        img_box: (B,4), see :func:`box_mask`; outside is ``ignore_index``.

    Returns:
        (B,h,w) long.
    """
    if (high_thr is None) != (low_thr is None):
        raise ConfigError(f'high_thr={high_thr}, low_thr={low_thr} of a seed; give both or neither.')
    if high_thr is not None and low_thr > high_thr:
        raise ConfigError(f'low_thr={low_thr} of a seed is above high_thr={high_thr}; swap them.')
    if present is not None:
        cams = keep_present(cams, present)
    score, winner = cams.max(1)
    seed = winner + 1
    if high_thr is None:
        seed = seed.masked_fill(score <= thr, 0)
    else:
        seed = seed.masked_fill(score <= high_thr, ignore_index).masked_fill(score <= low_thr, 0)
    return seed if img_box is None else seed.masked_fill(~box_mask(img_box, tuple(seed.shape[1:])), ignore_index)


def cam_to_regions(cams: Tensor, low_thr: float, high_thr: float) -> Tensor:
    """What is sure: (B,C,h,w) -> (B,h,w) long, 0 background (max <= low), 2 object (max >= high), 1 between."""
    score = cams.amax(1)
    regions = torch.ones_like(score, dtype=torch.long)
    return regions.masked_fill(score <= low_thr, 0).masked_fill(score >= high_thr, 2)


def merge_confident(strict: Tensor, loose: Tensor, ignore_index: int = 255) -> Tensor:
    """One seed map of two label maps, after refinement at a high and at a low background threshold.

    Objects from ``strict``; background where both say background; ``ignore_index`` where only ``strict`` does (IRN's
    confident labels, ToCo's pseudo labels).

    Args:
        strict, loose: (B,H,W) labels from the high and the low threshold; ``ignore_index`` stays.
    """
    merged = strict.masked_fill(strict == 0, ignore_index)
    return merged.masked_fill((strict == 0) & (loose == 0), 0)
