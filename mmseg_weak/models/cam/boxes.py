"""Boxes around what a map shows: connected regions (8 neighbours) above a threshold.

Boxes are x0, y0, x1, y1 in pixels, the last column and row excluded. A pixel belongs to a region where its score is
above the threshold, not at it.
"""
from collections.abc import Sequence

import cv2
import numpy as np

__all__ = ['box_at', 'box_iou', 'boxes_at', 'region_boxes']


def region_boxes(mask: np.ndarray) -> np.ndarray:
    """Boxes of the connected regions of (H,W) bool, the one of most pixels first: (n,4) float32, n may be 0."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask, np.uint8), connectivity=8)
    stats = stats[1:][np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind='stable')]
    boxes = stats[:, :4].astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def boxes_at(scores: np.ndarray, thresholds: Sequence[float], largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Boxes at every threshold; the whole image where nothing is above it.

    Args:
        scores: (H,W) in [0, 1].
        thresholds: T numbers.
        largest: the box of the largest region alone, else of all regions.

    Returns:
        boxes (n,4) float32 and the index of each one's threshold (n,), ascending.
    """
    height, width = scores.shape
    found, index, before = [], [], None
    for number, thr in enumerate(thresholds):
        mask = scores > thr
        count = int(mask.sum())
        if before is None or count != before[0]:  # masks shrink as thresholds rise: an equal count is an equal mask
            boxes = region_boxes(mask) if count else np.array([[0, 0, width, height]], np.float32)
            before = count, boxes[:1] if largest else boxes
        found.append(before[1])
        index.append(np.full(len(before[1]), number))
    return np.concatenate(found), np.concatenate(index)


def box_at(scores: np.ndarray, thr: float) -> np.ndarray:
    """(4,) box of the largest region above one threshold."""
    return boxes_at(scores, (thr,))[0][0]


def box_iou(first: np.ndarray, second: np.ndarray, extra_px: float = 1.0) -> np.ndarray:
    """Intersection over union of each pair: (n,4), (m,4) -> (n,m) float64.

    Args:
        extra_px: added to widths and heights. Localisation's published evaluators count the last column and row twice
            (+1 on exclusive ends); 0 is the plain IoU.
    """
    first, second = (np.asarray(b, np.float64).reshape(-1, 4) for b in (first, second))
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(high - low + extra_px, 0, None).prod(2)
    areas = [np.clip(b[:, 2:] - b[:, :2] + extra_px, 0, None).prod(1) for b in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)
