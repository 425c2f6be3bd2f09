"""Boxes and masks of weakly supervised object localisation.

Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR 2020, arXiv 2001.07437;
clovaai/wsolevaluation (MIT): MaxBoxAcc, MaxBoxAccV2, PxAP. wpy1999/BAS-Extension @ bd1bfa8: Top-1/5 and GT-known Loc,
peak IoU.

Conventions: a region is what is above the threshold (not at it) and touches by 8 neighbours; the largest is that of
most pixels (Choe et al.: of the largest contour area); overlaps add one pixel to widths and heights, as both
repositories do. At a threshold that nothing exceeds, the box is the whole image.
"""
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.cam.boxes import box_iou, boxes_at

__all__ = ['LocalizationMetric', 'PxAPMetric', 'best_overlaps', 'pixel_curve', 'score_histogram']


def _thresholds(interval: float) -> np.ndarray:
    if not 0 < interval <= 0.5:
        raise ConfigError(f'thr_interval={interval} of a localisation metric; give a number above 0, up to 0.5.')
    return np.arange(round(1 / interval)) * interval


def _foreground(sample: dict, label: int) -> Tensor:
    """(H,W) map of a class: the foreground where there is one for all, else the class's plane."""
    planes = sample['seg_logits']['data']
    return planes[1 if len(planes) == 2 else label + 1].float().cpu()


def _tags(sample: dict) -> np.ndarray:
    if 'gt_image_label' not in sample:
        raise DataError(f"{sample.get('img_path', 'An image')} came without its class (gt_image_label), which "
                        'localisation needs; use a dataset of mmseg_weak.datasets.localization, or tags.')
    return np.flatnonzero(sample['gt_image_label'].cpu().numpy() > 0)


# ---- boxes ----------------------------------------------------------------------------------------------------------

def best_overlaps(scores: np.ndarray, truth: np.ndarray, thresholds: Sequence[float],
                  extra_px: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU with any true box at each threshold, all thresholds and boxes in one table.

    Args:
        scores: (H,W) in [0, 1].
        truth: (m,4) boxes, m above 0.
        thresholds: T numbers, ascending.

    Returns:
        (T,) of the largest region's box, (T,) of the best region's.
    """
    boxes, index = boxes_at(scores, thresholds, largest=False)
    overlap = box_iou(boxes, truth, extra_px).max(1)
    first = np.searchsorted(index, np.arange(len(thresholds)))  # regions come largest first
    return overlap[first], np.maximum.reduceat(overlap, first)


@METRICS.register_module()
class LocalizationMetric(BaseMetric):
    """Box accuracies in percent, under the prefix ``loc``; one threshold sweep an image.

    - ``MaxBoxAcc``: IoU of the largest region at least 0.5, at the best threshold;
    - ``MaxBoxAccV2``: any region, mean over IoUs 0.3, 0.5, 0.7, each at its best threshold (and each alone,
      ``MaxBoxAccV2@30``); ``MaxBoxAccV2-largest``: of the largest region alone, as BAS's code has it;
    - ``GT-known``: as ``MaxBoxAcc``, at ``box_thr``; ``Top-1 Loc``, ``Top-5 Loc``: and the class is right (models with
      ``class_scores``); ``Top-1 Cls``, ``Top-5 Cls``.

    The best threshold is found with the boxes: an oracle, told as ``best_thr``.

    Takes ``loc_map`` of a :class:`.Localizer`, in whose frame ``gt_boxes`` lie, or the class's plane of ``seg_logits``
    (any segmentor with scores in [0, 1]); one case a tag of ``gt_image_label``, with the boxes of that class.

    Args:
        box_thr: threshold of GT-known and Top-k; None: the best one.
        thr_interval: step of the thresholds from 0. Published: 0.001.
        iou_thrs: of MaxBoxAccV2.
        extra_px: of :func:`.box_iou`.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        DataError: an image without class or without boxes of it.
        ConfigError: a step that makes no thresholds.
    """
    default_prefix = 'loc'

    def __init__(self, box_thr: float | None = None, thr_interval: float = 0.01,
                 iou_thrs: Sequence[float] = (0.3, 0.5, 0.7), extra_px: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.thresholds = _thresholds(thr_interval)
        self.box_thr, self.iou_thrs, self.extra_px = box_thr, tuple(iou_thrs), extra_px

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Sweep the thresholds of each image and tag."""
        for sample in data_samples:
            cases = []
            for label in _tags(sample):
                scores, boxes = self._case(sample, int(label))
                largest, best = best_overlaps(scores, boxes, self.thresholds, self.extra_px)
                fixed = None
                if self.box_thr is not None:
                    fixed = float(best_overlaps(scores, boxes, (self.box_thr,), self.extra_px)[0][0])
                cases.append((largest.astype(np.float32), best.astype(np.float32), fixed, self._rank(sample, label)))
            self.results.append(cases)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Shares of all cases."""
        cases = [case for image in results for case in image]
        if not cases:
            raise DataError('No image of this dataset has a class and a box; nothing can be localised.')
        largest, best = (np.stack([case[k] for case in cases]) for k in (0, 1))
        at_half = (largest >= 0.5).mean(0)
        top = int(at_half.argmax())
        found = {'MaxBoxAcc': at_half[top]}
        for name, overlaps in (('MaxBoxAccV2', best), ('MaxBoxAccV2-largest', largest)):
            parts = [(overlaps >= iou).mean(0).max() for iou in self.iou_thrs]
            found[name] = np.mean(parts)
            found.update({f'{name}@{round(100 * iou)}': part for iou, part in zip(self.iou_thrs, parts)})
        overlap = largest[:, top] if self.box_thr is None else np.array([case[2] for case in cases])
        found['GT-known'] = (overlap >= 0.5).mean()
        if all(case[3] is not None for case in cases):
            ranks = np.array([case[3] for case in cases])
            for k in (1, 5):
                found[f'Top-{k} Loc'] = ((overlap >= 0.5) & (ranks < k)).mean()
                found[f'Top-{k} Cls'] = (ranks < k).mean()
        return {name: 100 * float(value) for name, value in found.items()} | {'best_thr': float(self.thresholds[top])}

    @staticmethod
    def _rank(sample: dict, label: int) -> int | None:
        """Classes that score higher than the true one (ties go to the lower index); None without class scores."""
        if 'class_scores' not in sample:
            return None
        scores = sample['class_scores'].float().cpu().numpy()
        return int(np.flatnonzero(np.argsort(-scores, kind='stable') == label)[0])

    @staticmethod
    def _case(sample: dict, label: int) -> tuple[np.ndarray, np.ndarray]:
        """A class's map (H,W) and its true boxes (m,4) in one frame."""
        path = sample.get('img_path', 'An image')
        if 'gt_boxes' not in sample:
            raise DataError(f'{path} came without gt_boxes; use a dataset of mmseg_weak.datasets.localization, or '
                            "supervision=('tags', 'boxes') of ToyWorldDataset, and PackSemiInputs.")
        given = sample['gt_boxes']
        boxes = given['bboxes'].float().cpu().numpy()[given['labels'].cpu().numpy() == label + 1]
        if not len(boxes):
            raise DataError(f'{path} has the tag {label} (counted without background) and no box of that class '
                            f'(label {label + 1}); mend its annotation or leave it out.')
        if 'loc_map' in sample:
            return sample['loc_map']['data'][0].float().cpu().numpy(), boxes
        scores = _foreground(sample, label).numpy()
        sides = sample.get('img_shape', scores.shape)[:2]
        scale = np.array(scores.shape, np.float32) / np.array(sides, np.float32)
        return scores, boxes * np.tile(scale[::-1], 2)


# ---- pixels ---------------------------------------------------------------------------------------------------------

def score_histogram(scores: np.ndarray, truth: np.ndarray, thresholds: np.ndarray,
                    ignore_index: int = 255) -> np.ndarray:
    """Pixels by score: (T+1) bins from the thresholds and 1 on, of background and of foreground.

    Args:
        scores: (H,W) in [0, 1].
        truth: (H,W), 0 background, above 0 foreground, ``ignore_index`` does not count.
        thresholds: (T,) ascending from 0, below 1.

    Returns:
        (2,T+1) int64.
    """
    bins = np.searchsorted(np.append(thresholds, 1.0), scores, side='right') - 1
    size = len(thresholds) + 1
    cells = (bins + size * (truth > 0))[truth != ignore_index]
    return np.bincount(cells, minlength=2 * size).reshape(2, size)


def pixel_curve(histogram: np.ndarray) -> dict[str, np.ndarray | float]:
    """Precision, recall and IoU at each threshold, and what is made of them.

    Args:
        histogram: (2,T+1) of all images.

    Returns:
        ``precision``, ``recall``, ``iou`` (T+1,) from the highest bin down; ``PxAP``, the sum of precision times added
        recall; ``PIoU``, the largest IoU; ``bin`` where it is. Fractions.
    """
    background, foreground = np.asarray(histogram, np.float64)[:, ::-1]
    total = foreground.sum()
    if not total:
        raise DataError('No pixel of these masks is foreground; pixel AP needs masks with 1 where the object is.')
    hit, wrong = foreground.cumsum(), background.cumsum()
    said = hit + wrong
    precision = np.divide(hit, said, out=np.zeros_like(hit), where=said > 0)
    recall, iou = hit / total, hit / (total + wrong)
    best = int(iou.argmax())
    return dict(precision=precision, recall=recall, iou=iou, PxAP=float((precision * np.diff(recall, prepend=0)).sum()),
                PIoU=float(iou[best]), bin=len(iou) - 1 - best)


@METRICS.register_module()
class PxAPMetric(BaseMetric):
    """``loc/PxAP`` and ``loc/PIoU`` in percent: the map as a pixel classifier at all thresholds, one histogram.

    Takes ``seg_logits`` at the photograph's size (a localiser's foreground, or the plane of the image's class, in
    [0, 1]) and ``gt_sem_seg``: foreground above 0 (of an image with several tags: the pixels of the tag), 255 unknown.
    ``loc/peak_thr`` is where the IoU peaks.

    Args:
        thr_interval: step of the thresholds. Published: 0.001.
        ignore_index: of the masks.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        DataError: no masks, or none with foreground.
    """
    default_prefix = 'loc'

    def __init__(self, thr_interval: float = 0.001, ignore_index: int = 255, **kwargs) -> None:
        super().__init__(**kwargs)
        self.thresholds, self.ignore_index = _thresholds(thr_interval), ignore_index

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Add an image's pixels."""
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                raise DataError(f"{sample.get('img_path', 'An image')} came without a mask, which pixel AP needs; load "
                                'it in the test pipeline after every resize.')
            truth = sample['gt_sem_seg']['data'][0].cpu().numpy()
            total = np.zeros((2, len(self.thresholds) + 1), np.int64)
            tags = _tags(sample)
            for label in tags:
                scores = _foreground(sample, int(label))
                if tuple(scores.shape) != truth.shape:
                    scores = F.interpolate(scores[None, None], truth.shape, mode='bilinear', align_corners=False)[0, 0]
                if bool(torch.isnan(scores).any()):
                    raise DataError(f"The map of {sample.get('img_path', 'an image')} holds NaN; look for a diverged "
                                    'network.')
                mine = truth if len(tags) == 1 else np.where(truth == self.ignore_index, truth, truth == label + 1)
                total += score_histogram(scores.clamp(0, 1).numpy(), mine, self.thresholds, self.ignore_index)
            self.results.append(total)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The curve of all pixels."""
        curve = pixel_curve(sum(results))
        edges = np.append(self.thresholds, 1.0)
        return dict(PxAP=100 * curve['PxAP'], PIoU=100 * curve['PIoU'], peak_thr=float(edges[curve['bin']]))
