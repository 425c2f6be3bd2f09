"""Training on a folder of pseudo masks."""
import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine import fileio
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from mmseg_weak.errors import ConfigError, DataError

from .corrections import read_index
from .folder import FolderSegDataset
from .lists import Pair
from .pairs import take_subset

__all__ = ['DebiasedLabelDataset', 'PseudoLabelDataset']


@DATASETS.register_module()
class PseudoLabelDataset(FolderSegDataset):
    """The images and masks of a folder that `mmseg-weak pseudo-label` wrote, with its classes and colours.

    Masks that were corrected in an editor are taken as they are, and named in the log. A mask that was deleted takes
    its image out of the training.

    Args:
        folder: the folder.
        min_confidence: images whose mean confidence is below it are left out.
        classes, palette: over those of the folder.
        subset: part of the images, as in :class:`FolderSegDataset`.
        **kwargs: of :class:`FolderSegDataset`.

    Raises:
        MissingFileError, DataError: no such folder, no index, nothing left to train on.
    """

    def __init__(self, folder: str, min_confidence: float = 0.0, classes: Sequence[str] | None = None,
                 palette: Sequence | None = None, **kwargs: Any) -> None:
        if {'images', 'masks', 'list_file'} & set(kwargs):
            raise ConfigError('PseudoLabelDataset takes its images and masks from `folder`; leave images, masks and '
                              'list_file out, or use FolderSegDataset.')
        self.folder, self.min_confidence = folder, min_confidence
        self.index = read_index(folder)
        if self.index['made'].get('debiased') and type(self) is PseudoLabelDataset:
            raise ConfigError(f'{folder} was written by `mmseg-weak debias` and marks biased pixels: use '
                              'DebiasedLabelDataset with LoadDebiasedMask, or the folder it was made from.')
        super().__init__(images=folder, masks=osp.join(folder, 'masks'), classes=classes or self.index['classes'],
                         palette=palette or self.index['palette'], **kwargs)

    def _pairs(self) -> list[Pair]:
        items = [item for item in self.index['images']
                 if item.get('confidence') is None or item['confidence'] >= self.min_confidence]
        pairs = [Pair(item['image'], osp.join(self.folder, item['mask'])) for item in items]
        gone = [pair.mask for pair in pairs if not fileio.exists(pair.mask)]
        if gone:
            print_log(f'{len(gone)} of {len(pairs)} masks of {self.folder} were deleted (first: {gone[0]}); their '
                      'images are left out.', logger='current', level=30)
        pairs = [pair for pair in pairs if pair.mask not in set(gone)]
        if not pairs:
            raise DataError(f'{self.folder} has no mask to train on: {len(self.index["images"])} in its index, '
                            f'{len(items)} with a confidence of at least {self.min_confidence}, {len(gone)} deleted.')
        return take_subset(pairs, self.subset)


@DATASETS.register_module()
class DebiasedLabelDataset(PseudoLabelDataset):
    """A folder that `mmseg-weak debias` wrote, each image with its classes as tags; for ``LoadDebiasedMask``.

    Args:
        folder, min_confidence, classes, palette, subset: of :class:`PseudoLabelDataset`.
        **kwargs: of it. Values are checked as masks are loaded.

    Raises:
        ConfigError: the folder holds plain pseudo masks, or the values are to be changed.
    """

    def __init__(self, folder: str, check: str | None = 'headers', **kwargs: Any) -> None:
        if check not in ('headers', None) or kwargs.get('reduce_zero_label'):
            raise ConfigError("DebiasedLabelDataset takes check='headers' or None and no reduce_zero_label; biased "
                              'pixels have a value of their own.')
        super().__init__(folder, check=check, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Pairs, each with ``gt_image_label`` (K,) uint8."""
        if not self.index['made'].get('debiased'):
            raise ConfigError(f'{self.folder} holds pseudo masks that were not debiased: run `mmseg-weak debias '
                              f'{self.folder} --config CONFIG --out OTHER` and give OTHER, or use PseudoLabelDataset.')
        classes = self.index['classes']
        tags = {osp.join(self.folder, item['mask']): item['tags'] for item in self.index['images']}
        return [dict(info, gt_image_label=np.array([name in tags[info['seg_map_path']] for name in classes[1:]],
                                                   np.uint8)) for info in super().load_data_list()]
