"""Pseudo masks scored by every published convention."""
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS

from mmseg_weak.datasets.masks import decode_mask
from mmseg_weak.datasets.pairs import pair_folders
from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.files import write_json

from .class_table import class_rows, conventions, format_class_rows, format_conventions
from .records import finite, moment, work_dir
from .seed_scores import MEANS, UNKNOWN, cross_table, iou_scores, pseudo_confusion

__all__ = ['PseudoMaskMetric']


@METRICS.register_module()
class PseudoMaskMetric(BaseMetric):
    """mIoU of pseudo masks: of what the model predicts, or of a folder of masks that were written before.

    By default 255 counts as background and the mean runs over classes in truth or prediction, as mmseg's own mIoU: so
    the number compares with that of the network trained on the masks. The other eight conventions are printed and
    written to ``<work_dir>/eval/pseudo_<n>.json``.

    Args:
        unknown: how 255 in a pseudo mask counts: 'background', 'drop' (optimistic) or 'wrong'.
        mean: 'union', 'present' or 'all', see :mod:`.seed_scores`.
        folder: masks to score instead of predictions, named as the images.
        ignore_index: of masks and pseudo masks.
        record: whether to write the record.
        out_dir: folder of the record; ``<work_dir>/eval`` by default.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        ConfigError: an unknown option.
        DataError: an image without mask or pseudo mask, values outside the classes.
    """
    default_prefix = 'pseudo'

    def __init__(self, unknown: str = 'background', mean: str = 'union', folder: str | None = None,
                 ignore_index: int = 255, record: bool = True, out_dir: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        for name, value, known in (('unknown', unknown, UNKNOWN), ('mean', mean, MEANS)):
            if value not in known:
                raise ConfigError(f"{name}='{value}' of PseudoMaskMetric is none of {', '.join(known)}.")
        self.unknown, self.mean, self.folder, self.ignore_index = unknown, mean, folder, ignore_index
        self.record, self.out_dir = record, out_dir
        self._folders: dict[Path, dict[str, str]] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count one batch."""
        for sample in data_samples:
            path = str(sample.get('img_path', f'image {len(self.results)}'))
            if 'gt_sem_seg' not in sample:
                raise DataError(f'{path} came without a mask; PseudoMaskMetric needs a loader whose dataset hands out '
                                f'masks.')
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu()
            if self.folder is None:
                pred = sample['pred_sem_seg']['data'].squeeze(0).cpu()
            else:
                pred = torch.from_numpy(decode_mask(self._mask_of(path)))
            try:
                self.results.append(cross_table(pred, truth, len(self.dataset_meta['classes']), self.ignore_index))
            except DataError as error:
                raise DataError(f'{path}: {error}') from error

    def _mask_of(self, image: str) -> str:
        """File of the pseudo mask of an image."""
        place = Path(image).parent
        if place not in self._folders:
            pairs = pair_folders(str(place), self.folder) if place.is_dir() else []
            self._folders[place] = {pair.image: pair.mask for pair in pairs if pair.mask}
        mask = self._folders[place].get(image) or Path(self.folder, f'{Path(image).stem}.png')
        if not Path(mask).is_file():
            raise DataError(f'{image} has no pseudo mask in {self.folder}; write it, or take the image out of the '
                            f'loader.')
        return str(mask)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add up the images, print the conventions and the classes."""
        table = sum(results)
        confusion = pseudo_confusion(table, self.unknown)
        scores = iou_scores(confusion, self.mean, percent=True)
        rows, every = class_rows(confusion, self.dataset_meta['classes']), conventions(table)
        print_log(f'Pseudo masks (255 as {self.unknown}, mean over {self.mean}):\n{format_class_rows(rows)}\n'
                  f'{format_conventions(every)}', logger='current')
        share = 100 * float(table[:, -1].sum()) / max(int(table.sum()), 1)
        found = dict(mIoU=float(scores['miou']), pixel_acc=float(scores['pixel_acc']), unknown=share)
        if self.record and is_main_process():
            when, step = moment()
            folder = Path(self.out_dir) if self.out_dir else work_dir() / 'eval'
            write_json(folder / f'pseudo_{when}.json', dict(
                iter=step, unknown=self.unknown, mean=self.mean, conventions=every, classes=rows,
                metrics={key: finite(value) for key, value in found.items()}))
        return found
