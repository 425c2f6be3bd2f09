"""Make labelled/unlabelled list files for any dataset: seeded, class-aware, nested."""
import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.registry import DATASETS

from mmseg_weak.datasets.lists import Pair
from mmseg_weak.datasets.masks import decode_mask
from mmseg_weak.datasets.pairs import find_pairs
from mmseg_weak.datasets.splits import nested_partitions, verify_partition
from mmseg_weak.errors import ConfigError
from mmseg_weak.files import write_text

from .progress import progress as show

__all__ = ['SplitResult', 'make_split']


@dataclass
class SplitResult:
    """What :func:`make_split` wrote.

    Attributes:
        pool: images in the pool.
        num_classes: classes seen in the masks; 0 where there were no masks.
        written: rows of (name, labelled, unlabelled, missing classes, folder).
    """
    pool: int
    num_classes: int
    written: list[tuple[str, int, int, list[int], str]] = field(default_factory=list)

    def text(self) -> str:
        """The result as a table for a person."""
        lines = [f'{self.pool} images' + (f', {self.num_classes} classes' if self.num_classes else '')]
        for name, labeled, unlabeled, missing, folder in self.written:
            note = f'; no labelled image shows class {", ".join(map(str, missing))}' if missing else ''
            lines.append(f'{name:>8}: {labeled} labelled, {unlabeled} unlabelled{note}  ->  {folder}')
        return '\n'.join(lines)


def make_split(out: str,
               images: str | None = None,
               masks: str | None = None,
               list_file: str | None = None,
               data_root: str | None = None,
               dataset: Any = None,
               denominators: Sequence[int] = (16, 8, 4),
               counts: Sequence[int] = (),
               seed: int = 0,
               class_aware: bool = True,
               ignore_index: int = 255,
               progress: bool = False) -> SplitResult:
    """Write ``<out>/<name>/labeled.txt`` and ``unlabeled.txt`` for every share or count.

    Lines have the published two-column form ``image mask`` (one column where there are no masks), relative to
    ``data_root`` where that is given.

    Args:
        out: folder for the lists.
        images, masks, list_file, data_root: the pool, as in ``FolderSegDataset``.
        dataset: in place of these, a dataset or its config; its ``img_path`` and ``seg_map_path`` make the
            pool.
        denominators: shares, 16 for one sixteenth.
        counts: numbers of labelled images.
        seed: seed of the order.
        class_aware: read the masks and put images with new classes first.
        ignore_index: mask value that is no class.
        progress: show a bar while masks are read.

    Raises:
        ConfigError: where no pool is named or the sizes do not fit.
        DataError, MissingFileError: where a file cannot be read.
    """
    pairs = _pool(images, masks, list_file, data_root, dataset)
    presence = None
    if class_aware and all(pair.mask for pair in pairs):
        presence = _presence([pair.mask for pair in pairs], ignore_index, progress)
    result = SplitResult(len(pairs), 0 if presence is None else int(presence.any(axis=0).sum()))
    lines = [_line(pair, data_root) for pair in pairs]
    for part in nested_partitions(len(pairs), denominators, counts, presence, seed):
        folder = Path(out) / part.name
        labeled, unlabeled = [lines[i] for i in part.labeled], [lines[i] for i in part.unlabeled]
        verify_partition(labeled, unlabeled, lines)
        write_text(folder / 'labeled.txt', '\n'.join(labeled) + '\n')
        write_text(folder / 'unlabeled.txt', '\n'.join(unlabeled) + '\n')
        result.written.append((part.name, len(labeled), len(unlabeled), part.missing_classes, str(folder)))
    return result


def _pool(images: str | None, masks: str | None, list_file: str | None, data_root: str | None,
          dataset: Any) -> list[Pair]:
    if dataset is not None:
        built = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        infos = [built.get_data_info(i) for i in range(len(built))]
        return [Pair(info['img_path'], info.get('seg_map_path')) for info in infos]
    if not (images or list_file):
        raise ConfigError('make_split needs a pool: give `images` (a folder), `list_file`, or `dataset`.')
    below = [osp.join(data_root, p) if p and data_root and not osp.isabs(p) else p for p in (images, masks)]
    return find_pairs(*below, list_file, data_root)


def _presence(paths: Sequence[str], ignore_index: int, progress: bool) -> np.ndarray:
    seen = np.zeros((len(paths), 256), bool)
    for row, path in enumerate(show(list(paths), 'masks', quiet=not progress)):
        seen[row, np.unique(decode_mask(path))] = True
    seen[:, ignore_index] = False
    return seen


def _line(pair: Pair, root: str | None) -> str:
    image, mask = (osp.relpath(p, root) if p and root else p for p in pair)
    if mask is None:
        return image
    return f'{image}\t{mask}' if ' ' in image + mask else f'{image} {mask}'
