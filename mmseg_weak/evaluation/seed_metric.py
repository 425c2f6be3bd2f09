"""Seeds scored at all background thresholds in one pass over the data."""
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.files import write_json

from .class_table import class_rows, format_class_rows
from .records import finite, moment, work_dir
from .seed_scores import (
    MEANS,
    cross_table,
    iou_scores,
    power_threshold,
    pseudo_confusion,
    seed_confusions,
    seed_histogram,
)

__all__ = ['SeedMetric']

_THRESHOLDS = tuple(i / 100 for i in range(60))
_POWERS = (1, 2, 4, 8, 16)


@METRICS.register_module()
class SeedMetric(BaseMetric):
    """mIoU of seeds at every background threshold, from one confusion count an image.

    Takes scores of ``seg_logits`` (background first, in [0, 1]), limited to the classes of ``gt_image_label`` where
    samples carry tags. Gives ``seed/mIoU`` at the best threshold, which was found with the masks (an oracle), that
    threshold ``seed/thr`` (or ``seed/power``), false positives and negatives there, and ``seed/pred_mIoU`` of what the
    model predicts with its own background. Writes ``<work_dir>/eval/seed_<n>.json`` with the whole curve.

    Args:
        background: 'constant' (a score t) or 'power' ((1 - max)^p).
        thresholds: the values of t or p; by default 0.00 to 0.59, or 1, 2, 4, 8, 16.
        mean: over which classes, see :mod:`.seed_scores`: 'present', 'union' (IRN, mmseg) or 'all'.
        use_tags: limit the classes to the tags.
        softmax: for networks whose ``seg_logits`` are logits.
        ignore_index: of the masks.
        record: whether to write the record.
        out_dir: folder of the record; ``<work_dir>/eval`` by default.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        ConfigError: an unknown option.
        DataError: scores that are NaN or outside [0, 1], no masks in the loader.
    """
    default_prefix = 'seed'

    def __init__(self, background: str = 'constant', thresholds: Sequence[float] | None = None, mean: str = 'union',
                 use_tags: bool = True, softmax: bool = False, ignore_index: int = 255, record: bool = True,
                 out_dir: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if background not in ('constant', 'power'):
            raise ConfigError(f"background='{background}' of SeedMetric is none of constant, power.")
        if mean not in MEANS:
            raise ConfigError(f"mean='{mean}' of SeedMetric is none of {', '.join(MEANS)}.")
        self.background, self.mean = background, mean
        values = thresholds or (_THRESHOLDS if background == 'constant' else _POWERS)
        # ascending thresholds: a higher power stands for a lower one
        self.values = sorted((float(value) for value in values), reverse=background == 'power')
        self.edges = self.values if background == 'constant' else [power_threshold(value) for value in self.values]
        self.use_tags, self.softmax, self.ignore_index = use_tags, softmax, ignore_index
        self.record, self.out_dir = record, out_dir
        self._said: set[tuple] = set()

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count one batch."""
        for sample in data_samples:
            path = str(sample.get('img_path', f'image {len(self.results)}'))
            if 'gt_sem_seg' not in sample:
                raise DataError(f'{path} came without a mask; SeedMetric needs a loader whose dataset hands out masks '
                                f'(with_masks=True) and a pipeline with LoadMask.')
            truth = sample['gt_sem_seg']['data']
            truth = truth.reshape(1, *truth.shape[-2:])
            scores = sample['seg_logits']['data'].float()
            scores = (scores.softmax(0) if self.softmax else scores)[None, 1:]
            tags = sample.get('gt_image_label') if self.use_tags else None
            present = None if tags is None else tags.reshape(1, -1).bool().to(scores.device)
            if present is not None and present.shape[1] != scores.shape[1]:
                raise DataError(f'{path} has {present.shape[1]} tags and scores of {scores.shape[1]} foreground '
                                f'classes; give the dataset and the model the same classes.')
            try:
                if bool((scores < -1e-4).any()) or bool((scores > 1 + 1e-4).any()):
                    raise DataError(f'the scores lie between {float(scores.min()):.3g} and {float(scores.max()):.3g}, '
                                    f'but thresholds are for [0, 1]; a network that gives logits needs '
                                    f'SeedMetric(softmax=True).')
                found = seed_histogram(scores, truth.to(scores.device), self.edges, present, self.ignore_index)
                pred = sample['pred_sem_seg']['data'].reshape(truth.shape).to(truth.device)
                table = cross_table(pred, truth, scores.shape[1] + 1, self.ignore_index).cpu()
            except DataError as error:
                raise DataError(f'{path}: {error}') from error
            flat = found.flatten().cpu()
            cells = flat.nonzero().flatten()
            self.results.append((found.shape, cells, flat[cells], table))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add up the images, find the best threshold, print the classes there."""
        total = torch.zeros(results[0][0], dtype=torch.long).flatten()
        for _, cells, counts, _ in results:
            total.index_add_(0, cells, counts)
        confusions = seed_confusions(total.view(results[0][0]))
        scores = iou_scores(confusions, self.mean, percent=True)
        best = int(scores['miou'].nan_to_num(-1).argmax())
        pred = pseudo_confusion(sum(table for *_, table in results), 'wrong')
        classes = list(self.dataset_meta['classes'])
        rows = class_rows(confusions[best], classes)
        self._say_absent(rows)
        name = 'thr' if self.background == 'constant' else 'power'
        found = dict(mIoU=scores['miou'][best], FP=scores['fp'][best], FN=scores['fn'][best],
                     pred_mIoU=iou_scores(pred, self.mean, percent=True)['miou'])
        found = {key: float(value) for key, value in found.items()} | {name: self.values[best]}
        print_log(f'Seeds at {name} {self.values[best]:g}, the best for these masks:\n{format_class_rows(rows)}',
                  logger='current')
        if self.record and is_main_process():
            when, step = moment()
            folder = Path(self.out_dir) if self.out_dir else work_dir() / 'eval'
            write_json(folder / f'seed_{when}.json', dict(
                iter=step, background=self.background, mean=self.mean, values=self.values,
                mIoU=[finite(value) for value in scores['miou']], classes=rows,
                metrics={key: finite(value) for key, value in found.items()}))
        return found

    def _say_absent(self, rows: Sequence[dict]) -> None:
        """Name the classes of no image, once."""
        absent = tuple(row['class'] for row in rows if not row['pixels'])
        if not absent or absent in self._said:
            return
        self._said.add(absent)
        rule = dict(present='left out of the mean', union='left out of the mean unless predicted',
                    all='counted as 0')[self.mean]
        print_log(f'{len(absent)} of {len(rows)} classes have no pixel in these masks and are {rule}: '
                  f'{", ".join(absent)}.', logger='current')
