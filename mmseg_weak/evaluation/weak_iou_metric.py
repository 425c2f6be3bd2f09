"""mmseg's IoU metric, with a record of every evaluation that the report reads."""
import heapq
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from mmseg_weak.errors import DataError
from mmseg_weak.files import write_bytes, write_json
from mmseg_weak.visualization import mask_png, png_bytes, shrink

from .records import finite, moment, work_dir

__all__ = ['WeakIoUMetric', 'confusion_matrix', 'iou_per_class']


def confusion_matrix(pred: np.ndarray, label: np.ndarray, num_classes: int, ignore_index: int = 255) -> np.ndarray:
    """Count pixels by (true class, predicted class).

    Args:
        pred: (H, W) predicted class indices.
        label: (H, W) true class indices; ``ignore_index`` does not count.
        num_classes: number of classes C.
        ignore_index: the value of unlabelled pixels.

    Returns:
        (C, C) int64; rows are true classes, columns predicted ones.
    """
    valid = label != ignore_index
    index = label[valid].astype(np.int64) * num_classes + pred[valid].astype(np.int64)
    return np.bincount(index, minlength=num_classes ** 2).reshape(num_classes, num_classes)


def iou_per_class(matrix: np.ndarray) -> np.ndarray:
    """IoU of each class from a confusion matrix.

    Args:
        matrix: (C, C) counts.

    Returns:
        (C,) float64 in [0, 1]; NaN for a class that is neither there nor predicted.
    """
    matrix = np.asarray(matrix, np.float64)
    hit = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


@METRICS.register_module()
class WeakIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``: same keys, same numbers, same table; counted in integers and written down.

    Every evaluation leaves ``<work_dir>/eval/iter_<n>.json`` (``test.json`` for a test, ``val.json`` for a
    validation outside training): classes, palette, confusion matrix, IoU per class, mIoU per image with its path,
    and a few pictures (image, truth, prediction, confidence) of fixed and of the worst images; the pictures of
    earlier evaluations are removed. Only rank 0 writes, and pictures are of the images that rank 0 evaluated.

    Two differences from mmseg, neither of which changes a result that was right: areas are summed as integers
    (mmseg's float32 sums lose pixels beyond 16.7 million a class), and a label outside the classes is an error
    (mmseg drops such pixels without a word).

    Args:
        record: whether to write the record.
        out_dir: folder of the records; ``<work_dir>/eval`` by default.
        num_pictures: number of fixed images to keep as pictures, spread over the first 100.
        num_worst: number of images with the lowest mIoU to keep as pictures.
        picture_px: long side of these pictures.
        **kwargs: of mmseg's ``IoUMetric`` (``ignore_index``, ``iou_metrics``, ``prefix``, ...).
    """

    def __init__(self, record: bool = True, out_dir: str | None = None, num_pictures: int = 4,
                 num_worst: int = 4, picture_px: int = 320, **kwargs) -> None:
        super().__init__(**kwargs)
        self.record = record
        self.out_dir = out_dir
        self.num_pictures = num_pictures
        self.num_worst = num_worst
        self.picture_px = picture_px
        self._fixed: list[tuple[str, dict]] = []
        self._worst: list[tuple[float, int, str, dict]] = []
        self._seen = 0
        self._said_empty = False

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch: the loader's batch; its ``inputs`` (uint8, BGR) are kept for the pictures.
            data_samples: predictions with ``pred_sem_seg`` and ``gt_sem_seg``.
        """
        if self.format_only or self.output_dir is not None:
            keep, self.results = self.results, []
            super().process(data_batch, data_samples)  # writes the predictions
            self.results = keep
        if self.format_only:
            return
        num_classes = len(self.dataset_meta['classes'])
        for index, sample in enumerate(data_samples):
            pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            path = str(sample.get('img_path', f'image {self._seen}'))
            self._check(pred, label, num_classes, path, sample)
            matrix = confusion_matrix(pred, label, num_classes, self.ignore_index)
            flat = matrix.reshape(-1)
            cells = np.flatnonzero(flat)
            iou = iou_per_class(matrix)
            score = float(np.nanmean(iou)) if cells.size else float('nan')
            self.results.append((path, score, cells, flat[cells]))
            if self.record and is_main_process():
                self._keep_picture(data_batch, index, sample, path, score, pred, label)
            self._seen += 1

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add up the images, print mmseg's table, write the record.

        Args:
            results: what ``process`` gathered, of all ranks.

        Returns:
            mmseg's metrics (``aAcc``, ``mIoU``, ``mAcc``, ...), in percent.
        """
        if self.format_only:
            return super().compute_metrics(results)
        classes = list(self.dataset_meta['classes'])
        total = np.zeros(len(classes) ** 2, np.int64)
        for _, _, cells, counts in results:
            total[cells] += counts
        matrix = total.reshape(len(classes), len(classes))
        self._say_empty(matrix, classes)
        hit, pred, label = np.diag(matrix), matrix.sum(0), matrix.sum(1)
        areas = [torch.from_numpy(area.astype(np.float64)) for area in (hit, pred + label - hit, pred, label)]
        with np.errstate(invalid='ignore', divide='ignore'):
            metrics = super().compute_metrics([tuple(areas)])
        if self.record:
            self._write(results, matrix, classes, metrics)
        self._fixed, self._worst, self._seen = [], [], 0
        return metrics

    def _check(self, pred: np.ndarray, label: np.ndarray, num_classes: int, path: str, sample: dict) -> None:
        where = sample.get('seg_map_path') or path
        if pred.shape != label.shape:
            raise DataError(f'the mask of {where} is {label.shape[1]}x{label.shape[0]} and its prediction '
                            f'{pred.shape[1]}x{pred.shape[0]}; in the test pipeline, LoadAnnotations must come '
                            f'after Resize, so that the mask keeps its own size')
        bad = label[(label != self.ignore_index) & ((label >= num_classes) | (label < 0))]
        if bad.size:
            raise DataError(f'{where} holds the value {int(bad.flat[0])} in {bad.size} pixels, but there are '
                            f'{num_classes} classes (0 to {num_classes - 1}) and {self.ignore_index} for unlabelled;'
                            f' mend the mask or the class list of the dataset')

    def _say_empty(self, matrix: np.ndarray, classes: list[str]) -> None:
        label = matrix.sum(1)
        gone = [classes[i] for i in np.flatnonzero((label == 0) & (matrix.sum(0) == 0))]
        only_predicted = [classes[i] for i in np.flatnonzero((label == 0) & (matrix.sum(0) > 0))]
        if self._said_empty or not (gone or only_predicted):
            return
        self._said_empty = True
        text = f'{int((label == 0).sum())} of {len(classes)} classes have no pixel in these masks.'
        if gone:
            text += f' Left out of the means: {", ".join(gone)}.'
        if only_predicted:
            text += f' Counted as IoU 0, since they were predicted: {", ".join(only_predicted)}.'
        print_log(text, logger='current')

    def _keep_picture(self, batch: dict, index: int, sample: dict, path: str, score: float, pred: np.ndarray,
                      label: np.ndarray) -> None:
        """Remember an image if it is one of the fixed ones or, so far, one of the worst."""
        inputs = batch.get('inputs') if isinstance(batch, dict) else None
        if inputs is None or not torch.is_tensor(inputs[index]) or inputs[index].dtype != torch.uint8:
            return
        # The first images of a validation set are often one film; spread over the first hundred instead.
        fixed = self._seen % max(1, 100 // max(1, self.num_pictures)) == 0 or self._seen < self.num_pictures
        worst = np.isfinite(score) and (len(self._worst) < self.num_worst
                                        or (self.num_worst and -score > self._worst[0][0]))
        if not (fixed or worst):
            return
        image = np.ascontiguousarray(inputs[index].cpu().numpy()[::-1].transpose(1, 2, 0))
        picture = dict(image=shrink(image, self.picture_px), score=score,
                       truth=shrink(label.astype(np.uint8), self.picture_px, nearest=True),
                       pred=shrink(pred.astype(np.uint8), self.picture_px, nearest=True))
        logits = sample.get('seg_logits')
        if logits is not None:
            logits = logits['data'].float()
            conf = logits.softmax(0).amax(0) if len(logits) > 1 else (logits[0] - 0.5).abs() + 0.5
            picture['conf'] = shrink((conf.cpu().numpy() * 255).round().astype(np.uint8), self.picture_px)
        if fixed and len(self._fixed) < 4 * self.num_pictures:
            self._fixed.append((path, picture))
        if worst:
            heapq.heappush(self._worst, (-score, self._seen, path, picture))
            if len(self._worst) > self.num_worst:
                heapq.heappop(self._worst)

    def _write(self, results: list, matrix: np.ndarray, classes: list[str], metrics: dict) -> None:
        name, step = moment()
        folder = Path(self.out_dir) if self.out_dir else work_dir() / 'eval'
        palette = [list(map(int, colour)) for colour in self.dataset_meta.get('palette') or []]
        every = max(1, len(self._fixed) // max(1, self.num_pictures))
        chosen = [('fixed', path, picture) for path, picture in self._fixed[::every][:self.num_pictures]]
        chosen += [('worst', path, picture) for _, _, path, picture in sorted(self._worst, key=lambda w: -w[0])]
        for old in folder.glob('*_pictures'):
            if old.is_dir() and (name == 'test') == (old.name == 'test_pictures'):
                shutil.rmtree(old, ignore_errors=True)
        pictures = []
        for number, (kind, path, picture) in enumerate(chosen):
            base = folder / f'{name}_pictures' / f'{number:02d}'
            files = dict(image=png_bytes(picture['image']), truth=mask_png(picture['truth'], palette or None),
                         pred=mask_png(picture['pred'], palette or None))
            if 'conf' in picture:
                files['conf'] = png_bytes(picture['conf'])
            for part, data in files.items():
                write_bytes(f'{base}_{part}.png', data)
            pictures.append(dict(kind=kind, img_path=path, mIoU=finite(picture['score']),
                                 **{part: f'{name}_pictures/{number:02d}_{part}.png' for part in files}))
        write_json(folder / f'{name}.json', dict(
            iter=step, classes=classes, palette=palette, ignore_index=self.ignore_index,
            metrics={key: finite(value) for key, value in metrics.items()},
            confusion=matrix.tolist(), iou=[finite(value) for value in iou_per_class(matrix)],
            images=[dict(img_path=path, mIoU=finite(score)) for path, score, *_ in results], pictures=pictures))
