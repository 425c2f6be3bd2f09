"""Trident's refinement: regions of the prediction as prompts of SAM, and what becomes of its masks."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['Region', 'combine_masks', 'find_regions', 'mask_prompt', 'merge_failed', 'refine_by_prompts',
           'reject_labels', 'replace_empty']


class Region(NamedTuple):
    """A connected region of one class, at half the image's size."""
    label: int
    mask: Tensor  # (h,w) bool
    box: tuple[int, int, int, int]  # x1, y1, x2, y2, ends included
    score: float  # mean probability of the class
    point: tuple[int, int]  # x, y of its largest probability


def reject_labels(probs: Tensor, coarse_thr: float = 0.2, labels: Tensor | None = None) -> Tensor:
    """(C,h,w) -> (h,w) long: the given or the best class, C where the best does not reach ``coarse_thr``."""
    best, found = probs.max(0)
    return (found if labels is None else labels).masked_fill(best < coarse_thr, len(probs))


def find_regions(labels: Tensor, probs: Tensor, coarse_thr: float = 0.2, min_area: int = 225) -> list[Region]:
    """Regions (8 neighbours) that SAM is asked about, class after class.

    Args:
        labels: (h,w), see :func:`reject_labels`.
        probs: (C,h,w).
        coarse_thr: a class without such a probability anywhere has no region.
        min_area: pixels; smaller regions are left out. Paper: 225.
    """
    found = []
    for label in range(len(probs)):
        if not float(probs[label].max()) >= coarse_thr:
            continue
        mask = (labels == label).cpu().numpy().astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        values = probs[label].cpu().numpy()
        for part in range(1, count):
            x, y, width, height, area = stats[part].tolist()
            if area < min_area:
                continue
            inside = parts == part
            row, column = divmod(int(np.where(inside, values, -np.inf).argmax()), inside.shape[1])
            score = float(values[inside].mean(dtype=np.float64))
            found.append(Region(label, torch.from_numpy(inside), (x, y, x + width - 1, y + height - 1), score,
                                (column, row)))
    return found


def mask_prompt(prob: Tensor, coarse_thr: float = 0.2, factor: float = 0.005, side: int = 256) -> Tensor:
    """What SAM is told of a class: its map resized so that the longer side is ``side``, 0 below and right of it.

    Args:
        prob: (h,w) probability of the class; all of its regions get the same prompt.
        coarse_thr: values up to it become 0.
        factor: of the others. Paper: 0.005.
        side: of SAM's mask input.

    Returns:
        (side,side).
    """
    scale = side / max(prob.shape)
    size = [max(int(n * scale + 0.5), 1) for n in prob.shape]
    small = F.interpolate(prob[None, None], size, mode='bilinear', align_corners=False)[0, 0]
    small = torch.where(small > coarse_thr, small * factor, torch.zeros_like(small))
    return F.pad(small, (0, side - size[1], 0, side - size[0]))


def combine_masks(masks: Tensor, labels: Sequence[int], probs: Tensor, mask_thr: float = 0.0) -> Tensor:
    """Scores of the classes by SAM's masks.

    Args:
        masks: (n,H,W) logits of the masks that SAM is sure of (predicted IoU above 0.8).
        labels: class of each.
        probs: (C,H,W) of CLIP.
        mask_thr: logit from which a pixel is in a mask.

    Returns:
        (C,H,W): the largest sigmoid(logit) times the probability, 0 outside of the union of a class's masks.
    """
    out = torch.zeros_like(probs)
    for label in dict.fromkeys(labels):
        own = masks[[n for n, other in enumerate(labels) if other == label]]
        weight = own.sigmoid().amax(0) * (own > mask_thr).any(0)
        out[label] = weight * probs[label]
    return out


def replace_empty(scores: Tensor, prediction: Tensor) -> Tensor:
    """Best class, CLIP's where no mask says anything: (C,H,W), (H,W) -> (H,W)."""
    return torch.where(scores.sum(0) == 0, prediction, scores.argmax(0))


def merge_failed(scores: Tensor, labels: Tensor, probs: Tensor, failed: Tensor, as_published: bool = False,
                 prediction: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Where SAM's mask of a region was refused, CLIP competes with the masks of others.

    A mask's score is below CLIP's probability, so CLIP wins there.

    Args:
        scores: (C,H,W) of :func:`combine_masks`.
        labels: (H,W) of :func:`replace_empty`.
        probs: (C,H,W) of CLIP.
        failed: (H,W), above 0 in regions whose mask was refused.
        as_published: compare CLIP with the larger of both, which it never exceeds: labels stay.
        prediction: (H,W) of CLIP where it is not simply its best class.

    Returns:
        (C,H,W) scores, the larger of both there; (H,W) labels, CLIP's where its best class wins there.
    """
    area = failed > 0
    best, found = probs.max(0)
    prediction = found if prediction is None else prediction
    merged = torch.where(area, torch.maximum(scores, probs), scores)
    wins = area & (best > (merged if as_published else scores).amax(0))
    return merged, torch.where(wins, prediction, labels)


def refine_by_prompts(ask: Callable[..., tuple[Tensor, Tensor]], probs: Tensor, prediction: Tensor,
                      coarse_thr: float = 0.2, iou_thr: float = 0.8, min_area: int = 225, factor: float = 0.005,
                      side: int = 256, as_published: bool = False) -> Tensor:
    """Ask SAM about the regions of a prediction, class after class.

    Args:
        ask: (points (n,2), boxes (n,4), prompt (side,side), (h,w)) -> mask logits (n,H,W) and predicted IoU (n,);
            coordinates are of an image of half the size, (h,w).
        probs: (C,H,W) of CLIP.
        prediction: (H,W) its classes.
        coarse_thr, min_area: of :func:`find_regions`. Paper: 0.2 (COCO-Object 0.25, Context 0.15, Cityscapes 0.1,
            ADE20K and COCO-Stuff 0.05), 225.
        iou_thr: masks whose predicted IoU is not above it are refused. Paper: 0.8.
        factor, side: of :func:`mask_prompt`.
        as_published: of :func:`merge_failed`.

    Returns:
        (H,W) classes; the prediction where no mask was sure enough.
    """
    half = tuple(max(n // 2, 1) for n in probs.shape[1:])
    small = F.interpolate(probs[None], half, mode='bilinear', align_corners=False)[0]
    coarse = F.interpolate(prediction[None, None].float(), half, mode='nearest')[0, 0].long()
    regions = find_regions(reject_labels(small, coarse_thr, coarse), small, coarse_thr, min_area)
    scores, failed, sure_of_any = torch.zeros_like(probs), torch.zeros(half, dtype=torch.bool), False
    for label in dict.fromkeys(region.label for region in regions):
        own = [region for region in regions if region.label == label]
        masks, ious = ask(probs.new_tensor([region.point for region in own]),
                          probs.new_tensor([region.box for region in own]),
                          mask_prompt(small[label], coarse_thr, factor, side), half)
        sure = (ious > iou_thr).tolist()
        if any(sure):
            sure_of_any = True
            kept = masks[[n for n, yes in enumerate(sure) if yes]]
            scores[label] = combine_masks(kept, [0] * len(kept), probs[label:label + 1])[0]
        for region, yes in zip(own, sure):
            if not yes:
                failed |= region.mask
    if not sure_of_any:
        return prediction
    labels = replace_empty(scores, prediction)
    if not failed.any():
        return labels
    area = F.interpolate(failed[None, None].float(), probs.shape[1:], mode='nearest')[0, 0].to(probs.device)
    return merge_failed(scores, labels, probs, area, as_published, prediction)[1]
