"""Training on a folder of pseudo masks."""
import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmengine import fileio
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from mmseg_weak.errors import ConfigError, DataError

from .corrections import read_index
from .folder import FolderSegDataset
from .lists import Pair
from .pairs import take_subset

__all__ = ['PseudoLabelDataset']


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
