"""Labelled and unlabelled images in one dataset, with draws that depend on the place in the run alone."""
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from mmseg_weak.errors import ConfigError, DataError

from .samplers import RunIndex

__all__ = ['SeededDataset', 'SemiDataset', 'seeded']

_MAX_REPLACEMENTS = 20


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed python's, numpy's and torch's CPU generators for a block and restore them afterwards.

    Args:
        seed: below 2**32; None leaves everything as it is.
    """
    if seed is None:
        yield
        return
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _is_bad_file(error: Exception) -> bool:
    """Whether an exception speaks of an unreadable file rather than of a bug (mmcv asserts on images it
    cannot decode).
    """
    if isinstance(error, (DataError, OSError)):
        return True
    return isinstance(error, AssertionError) and 'failed to load image' in str(error)


def _build(dataset: dict | Dataset) -> Dataset:
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset


class _Seeded(Dataset):
    """One or several sources, read at a :class:`RunIndex`: seeded, and with a replacement for a broken
    file.
    """
    tells_source = True

    def __init__(self, parts: Sequence[Dataset], names: Sequence[str]) -> None:
        self.parts = list(parts)
        self.names = list(names)
        self._reported: set[str] = set()
        self.num_skipped = 0
        self.full_init()

    def full_init(self) -> None:
        """Load the file lists of all sources."""
        for part in self.parts:
            if hasattr(part, 'full_init'):
                part.full_init()

    @property
    def source_lengths(self) -> list[int]:
        """Images in each source."""
        return [len(part) for part in self.parts]

    @property
    def cumulative_sizes(self) -> list[int]:
        """End of each source in the joint index."""
        return np.cumsum(self.source_lengths).tolist()

    @property
    def metainfo(self) -> dict:
        """Classes and palette of the first source."""
        return self.parts[0].metainfo

    def __len__(self) -> int:
        return sum(self.source_lengths)

    def locate(self, index: int) -> tuple[int, int]:
        """Source and index within it of a joint index."""
        if not 0 <= index < len(self):
            raise IndexError(f'Index {index} is outside the {len(self)} images of the dataset.')
        source = int(np.searchsorted(self.cumulative_sizes, index, side='right'))
        return source, int(index) - (0 if source == 0 else self.cumulative_sizes[source - 1])

    def get_data_info(self, index: int) -> dict:
        """Paths and labels of an image as its dataset lists them."""
        source, inner = self.locate(index)
        return self.parts[source].get_data_info(inner)

    def _path(self, source: int, inner: int) -> str:
        part = self.parts[source]
        return (
            str(part.get_data_info(inner).get('img_path', inner))
            if hasattr(part, 'get_data_info')
            else str(inner)
        )

    def _report(self, path: str, source: str, error: Exception) -> None:
        self.num_skipped += 1
        if path not in self._reported:
            self._reported.add(path)
            print_log(
                f'Skipped a broken file of the {source} images ({len(self._reported)} so far in this '
                f'process): {path}: {error} Another image takes its place.',
                logger='current',
                level=30,
            )

    def __getitem__(self, index: int) -> dict:
        source, inner = self.locate(index)
        seed = index.draw_seed if isinstance(index, RunIndex) else None
        length = len(self.parts[source])
        others = np.random.Generator(np.random.PCG64(seed if seed is not None else int(index)))
        broken = []
        while True:
            try:
                with seeded(seed):
                    sample = self.parts[source][inner]
                break
            except Exception as error:
                if not _is_bad_file(error):
                    raise
                broken.append(self._path(source, inner))
                self._report(broken[-1], self.names[source], error)
                if len(broken) > _MAX_REPLACEMENTS or length == 1:
                    raise DataError(
                        f'{len(broken)} image(s) in a row of the {self.names[source]} dataset cannot be '
                        f'read (first: {broken[0]}); last reason: {error}'
                    ) from error
                inner = int(others.integers(length))
        self._describe(sample, source, index, broken)
        return sample

    def _describe(self, sample: dict, source: int, index: int, broken: Sequence[str]) -> None:
        meta: dict[str, Any] = {'source': self.names[source]} if self.tells_source else {}
        if isinstance(index, RunIndex):
            meta.update(draw_seed=index.draw_seed, run_position=index.position)
        if broken:
            meta['broken_files'] = tuple(broken)
        if 'data_samples' in sample:
            sample['data_samples'].set_metainfo(meta)


@DATASETS.register_module()
class SeededDataset(_Seeded):
    """Wrap one dataset so that its augmentations depend on the sampler's position only.

    Samples get no ``source``: they walk as in plain mmseg. A broken file is replaced by another one and
    reported.

    Args:
        dataset: config or dataset.
    """
    tells_source = False

    def __init__(self, dataset: dict | Dataset) -> None:
        super().__init__([_build(dataset)], ['training'])


@DATASETS.register_module()
class SemiDataset(_Seeded):
    """Labelled images first, then unlabelled ones; each sample says in its meta key ``source`` which it is.

    ``source`` is ``'sup'`` or ``'unsup'``. Read at a :class:`RunIndex`, python's, numpy's and torch's
    generators are seeded from its ``draw_seed`` and restored after. A file that cannot be read is skipped:
    its place is taken by another image, drawn from the same seed, and the sample names it in the meta key
    ``broken_files``.

    Args:
        labeled: config or dataset of images with labels; its classes and palette are the dataset's.
        unlabeled: config or dataset of images alone (``UnlabeledDataset``); None for a supervised run on the
            same split.

    Raises:
        ConfigError: where the unlabelled source hands out masks.
    """

    def __init__(self, labeled: dict | Dataset, unlabeled: dict | Dataset | None = None) -> None:
        parts = [_build(labeled)] + ([] if unlabeled is None else [_build(unlabeled)])
        super().__init__(parts, ['sup', 'unsup'][:len(parts)])
        for name, part in zip(('labeled', 'unlabeled'), parts):
            if len(part) == 0:
                raise DataError(
                    f'train_dataloader.dataset.{name} has no images; check its folder or list file.'
                )

    def _describe(self, sample: dict, source: int, index: int, broken: Sequence[str]) -> None:
        if source == 1 and 'gt_sem_seg' in sample.get('data_samples', ()):
            raise ConfigError(
                'train_dataloader.dataset.unlabeled hands out masks '
                f'({type(self.parts[1]).__name__}); use UnlabeledDataset, or ToyWorldDataset with '
                "supervision=(), so that no label of these images can reach the training."
            )
        super()._describe(sample, source, index, broken)
