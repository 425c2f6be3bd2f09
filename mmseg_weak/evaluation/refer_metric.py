"""How well a mask shows the object that a sentence means (TRIS, arXiv 2308.14575)."""
import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from mmseg_weak.errors import DataError

__all__ = ['ReferIoU', 'overlap']


def overlap(found: np.ndarray, truth: np.ndarray, ignore_index: int = 255) -> tuple[int, int]:
    """Pixels of intersection and union, (H, W) bool and (H, W) 0, 1, ``ignore_index``."""
    known, wanted = truth != ignore_index, truth == 1
    found = found & known
    return int((found & wanted).sum()), int((found | wanted).sum())


@METRICS.register_module()
class ReferIoU(BaseMetric):
    """In percent: ``refer_mIoU``, mean over sentences; ``refer_oIoU``, all intersections over all unions; ``hit``, the
    highest score lies in the object's box; ``hit_mask``, in its mask; ``refer_P@50``, sentences with an IoU above 0.5.

    Takes ``pred_sem_seg`` (1 where the object is), ``seg_logits`` (its last plane is the score), ``gt_sem_seg`` and,
    where there are boxes, ``gt_boxes`` in pixels of the mask.

    Args:
        ignore_index: unknown pixels of the truth.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        DataError: a sentence without a mask to compare with.
    """

    def __init__(self, ignore_index: int = 255, **kwargs) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Compare each sentence's mask."""
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                raise DataError(f"{sample.get('img_path', 'An image')} came without a mask of what "
                                f"{sample.get('expression', 'its sentence')!r} means; load it with LoadReferredMask "
                                'after every resize.')
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            found = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy() == 1
            scores = sample['seg_logits']['data'][-1].float().cpu().numpy()
            y, x = np.unravel_index(int(scores.argmax()), scores.shape)
            box = None
            if 'gt_boxes' in sample:
                x0, y0, x1, y1 = sample['gt_boxes']['bboxes'][0].tolist()
                box = bool(x0 <= x <= x1 and y0 <= y <= y1)
            self.results.append((*overlap(found, truth, self.ignore_index), box, bool(truth[y, x] == 1)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Means over sentences."""
        hits = np.array([[hit, union] for hit, union, _, _ in results], np.float64)
        each = np.divide(hits[:, 0], hits[:, 1], out=np.zeros(len(hits)), where=hits[:, 1] > 0)
        out = {'refer_mIoU': each.mean(), 'refer_oIoU': hits[:, 0].sum() / max(hits[:, 1].sum(), 1),
               'refer_P@50': (each > 0.5).mean(), 'hit_mask': np.mean([inside for *_, inside in results])}
        boxes = [box for _, _, box, _ in results if box is not None]
        if boxes:
            out['hit'] = np.mean(boxes)
        return {name: 100 * float(value) for name, value in out.items()}
