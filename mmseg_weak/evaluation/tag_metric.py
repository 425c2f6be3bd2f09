"""How well a model names the classes of an image: mean average precision and F1 of multi-label tags.

mmpretrain's metrics of that kind let the order of images decide between equal scores and count classes that occur
nowhere as 0.
"""
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS

from mmseg_weak.errors import ConfigError, DataError

__all__ = ['TagMetric', 'average_precision', 'tag_counts']


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Average precision of each class: precision at every distinct score, weighted by the recall that it adds.

    Images of equal score stand or fall together, so their order does not matter.

    Args:
        scores: (N,C).
        labels: (N,C), above 0 where the image has the tag.

    Returns:
        (C,) float64 in [0, 1]; NaN for a class in no image.
    """
    scores, labels = np.asarray(scores), np.asarray(labels) > 0
    found = np.full(scores.shape[1], np.nan)
    for c in np.flatnonzero(labels.any(0)):
        order = np.argsort(-scores[:, c], kind='stable')
        ranked, hits = scores[order, c], np.cumsum(labels[order, c])
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each run of equal scores
        recall = hits[last] / hits[-1]
        found[c] = np.sum(hits[last] / (last + 1) * np.diff(recall, prepend=0))
    return found


def tag_counts(pred: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of decided tags.

    Args:
        pred, labels: (N,C) bool.

    Returns:
        ``precision``, ``recall``, ``micro_F1`` over all decisions together; ``macro_F1``, the mean of each class's F1
        over classes that occur in truth or prediction. NaN where nothing is there to divide by.
    """
    pred, labels = np.asarray(pred, bool), np.asarray(labels, bool)
    hit, said, true = ((pred & labels).sum(0), pred.sum(0), labels.sum(0))

    def share(part: float, whole: float) -> float:
        return float(part / whole) if whole else float('nan')

    there = said + true > 0
    return dict(precision=share(hit.sum(), said.sum()), recall=share(hit.sum(), true.sum()),
                micro_F1=share(2 * hit.sum(), said.sum() + true.sum()),
                macro_F1=float((2 * hit[there] / (said + true)[there]).mean()) if there.any() else float('nan'))


@METRICS.register_module()
class TagMetric(BaseMetric):
    """``tags/mAP``, ``tags/macro_F1``, ``tags/micro_F1``, ``tags/precision`` and ``tags/recall``, in percent.

    Takes ``tag_scores`` (K,) of the predictions (``model.test_cfg.tag_scores=True``) and ``gt_image_label`` (K,).
    Classes in no image are left out of mAP, which is said once.

    Args:
        tag_thr: score above which a tag counts as said.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        ConfigError: the model gives no tag scores.
        DataError: an image carries no tags.
    """
    default_prefix = 'tags'

    def __init__(self, tag_thr: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        self.tag_thr = tag_thr
        self._said = False

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep scores and tags of a batch."""
        for sample in data_samples:
            if 'tag_scores' not in sample:
                raise ConfigError('TagMetric found no tag_scores in the predictions: set model.test_cfg.tag_scores='
                                  'True, or use a model that predicts tags.')
            if 'gt_image_label' not in sample:
                raise DataError(f"TagMetric found no gt_image_label on {sample.get('img_path', 'an image')}: use "
                                "ImageLabelDataset, or supervision=('tags', 'mask') of ToyWorldDataset.")
            scores, tags = (sample[key].float().cpu().numpy() for key in ('tag_scores', 'gt_image_label'))
            self.results.append((scores, tags > 0))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores over all images."""
        scores, labels = (np.stack(part) for part in zip(*results))
        each = average_precision(scores, labels)
        gone = np.flatnonzero(np.isnan(each))
        if len(gone) and not self._said:
            self._said = True
            names = list((self.dataset_meta or {}).get('classes') or range(len(each)))[-len(each):]
            print_log(f'{len(gone)} of {len(each)} tags are on no image and left out of mAP: '
                      f'{", ".join(str(names[c]) for c in gone)}.', logger='current')
        found = dict(mAP=float(np.nanmean(each)) if len(gone) < len(each) else float('nan'),
                     **tag_counts(scores > self.tag_thr, labels))
        return {name: 100 * value for name, value in found.items()}
