"""Infinite, sharded samplers whose every choice is a function of (seed, position in the run).

Nothing here keeps a random state. Position ``p`` of stream ``s`` lies in epoch ``e = p // n``, and the order
of that epoch is a permutation drawn from ``(seed, s, e)``; so a run can be entered anywhere (``skip``), with
any number of workers, and W ranks together see exactly what one rank with a W times larger batch sees.
"""
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from mmseg_weak.errors import ConfigError, DataError

__all__ = ['MultiSourceSampler', 'RunIndex', 'RunSampler', 'source_lengths']

_DRAW_DOMAIN = 0x5EED  # keeps the seeds of draws apart from those of permutations


class RunIndex(int):
    """A dataset index that knows where in the run it stands.

    Attributes:
        draw_seed: seed of everything random that happens to this sample in a worker, a function of the run's
            seed, the stream and the position.
        position: place of the sample in its stream, counted over all ranks.
    """
    draw_seed: int
    position: int

    def __new__(cls, index: int, draw_seed: int, position: int) -> 'RunIndex':
        self = super().__new__(cls, index)
        self.draw_seed = draw_seed
        self.position = position
        return self

    def __reduce__(self) -> tuple:
        return RunIndex, (int(self), self.draw_seed, self.position)


class _Stream:
    """One endless sequence of indices ``0..length-1``, readable at any position."""

    def __init__(self, length: int, stream: int, shuffle: bool) -> None:
        self.length = length
        self.stream = stream
        self.shuffle = shuffle
        self._cache: dict[tuple[int, int], np.ndarray] = {}

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        key = (seed, epoch)
        if key not in self._cache:
            while len(self._cache) > 1:  # a batch can straddle two epochs, never three orders at once
                self._cache.pop(next(iter(self._cache)))
            rng = np.random.Generator(np.random.PCG64([seed, self.stream, epoch]))
            self._cache[key] = rng.permutation(self.length)
        return self._cache[key]

    def index(self, seed: int, position: int, shift: int = 0) -> int:
        """Index at a position; ``shift`` walks further within the same epoch's order, wrapping round."""
        epoch, offset = divmod(position, self.length)
        offset = (offset + shift) % self.length
        return int(self._order(seed, epoch)[offset]) if self.shuffle else offset

    def draw_seed(self, seed: int, position: int) -> int:
        return int(np.random.SeedSequence([_DRAW_DOMAIN, seed, self.stream, position]).generate_state(1)[0])


def source_lengths(dataset: Any) -> list[int]:
    """Number of images of every source of a concatenated dataset.

    Args:
        dataset: a ``SemiDataset`` (``source_lengths``) or any concat dataset (``cumulative_sizes``).
    """
    if hasattr(dataset, 'source_lengths'):
        return list(dataset.source_lengths)
    if hasattr(dataset, 'cumulative_sizes'):
        return np.diff([0, *dataset.cumulative_sizes]).tolist()
    raise ConfigError(
        f'train_dataloader.sampler: MultiSourceSampler needs a dataset of several sources, but '
        f'{type(dataset).__name__} has neither source_lengths nor cumulative_sizes; use SemiDataset, '
        'or RunSampler for one source.'
    )


class _Endless(Sampler):
    """What both samplers share: rank, seed and the place from which to go on."""

    def __init__(self, dataset: Any, shuffle: bool, seed: int | None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = int(sync_random_seed() if seed is None else seed)
        self._skipped = 0

    def skip(self, n: int) -> None:
        """Start ``n`` samples of this rank later than now, as if they had been drawn.

        Args:
            n: samples (not batches) that this rank has already used.
        """
        if n < 0:
            raise ValueError(f'skip({n}): a sampler cannot go back; n must be 0 or more.')
        self._skipped += int(n)

    def __len__(self) -> int:
        return len(self.dataset)


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(_Endless):
    """Fix how many images of each source stand in every batch, in the order of the sources.

    The arguments up to ``seed`` are those of MMDetection's sampler of this name. The stream is endless: an
    epoch of the labelled source ends when its permutation is used up, independently of the unlabelled one.

    Args:
        dataset: concatenation of the sources, see :func:`source_lengths`.
        batch_size: images in a batch of one rank, all sources and partners together; must equal the loader's.
        source_ratio: share of each source in a batch, for example ``[1, 1]``.
        shuffle: whether each source is permuted anew in every epoch.
        seed: seed of the run; None draws one that all ranks share. May be set later (``sampler.seed = …``).
        partner: whether the last half of the last source's part of a batch are CutMix partners of its first
            half: ``None`` no; ``'other'`` photographs from a stream of their own, never the very same image;
            ``'same_image'`` the same photographs again (with another draw seed, so another crop).

    Raises:
        ConfigError: where a source would get no image, or the partner half is not a whole number.
    """

    def __init__(self,
                 dataset: Any,
                 batch_size: int,
                 source_ratio: Sequence[int],
                 shuffle: bool = True,
                 seed: int | None = None,
                 partner: str | None = None) -> None:
        super().__init__(dataset, shuffle, seed)
        lengths = source_lengths(dataset)
        where = 'train_dataloader.sampler'
        if len(source_ratio) != len(lengths):
            raise ConfigError(
                f'{where}.source_ratio has {len(source_ratio)} numbers ({list(source_ratio)}), but the '
                f'dataset has {len(lengths)} source(s); give one number per source.'
            )
        if batch_size < 1 or min(source_ratio) <= 0:
            raise ConfigError(
                f'{where}: batch_size={batch_size} and source_ratio={list(source_ratio)} must be positive.'
            )
        if min(lengths) == 0:
            raise DataError(f'Source {lengths.index(0)} of the training dataset has no images; '
                            'check its folder or list file.')
        if partner not in (None, 'other', 'same_image'):
            raise ConfigError(f"{where}.partner={partner!r} is unknown; use None, 'other' or 'same_image'.")
        total = sum(source_ratio)
        counts = [int(batch_size * part / total) for part in source_ratio]
        counts[0] = batch_size - sum(counts[1:])
        if min(counts) < 1:
            raise ConfigError(f'{where}: batch_size={batch_size} at source_ratio={list(source_ratio)} gives '
                              f'{counts} images per source; raise batch_size to at least '
                              f'{math.ceil(total / min(source_ratio))} so that every source gets one.')
        if partner and counts[-1] % 2:
            raise ConfigError(
                f'{where}: partner={partner!r} splits the unlabelled part of a batch in two halves, but '
                f'it has {counts[-1]} images; make it even.'
            )
        self.batch_size = batch_size
        self.source_ratio = list(source_ratio)
        self.partner = partner
        self.lengths = lengths
        self.counts = counts
        self.own = [*counts[:-1], counts[-1] // 2 if partner else counts[-1]]
        self.starts = [0, *np.cumsum(lengths[:-1]).tolist()]
        self._streams = [_Stream(n, s, shuffle) for s, n in enumerate(lengths)]
        self._partners = _Stream(lengths[-1], len(lengths), shuffle)

    @property
    def iters_per_epoch(self) -> int:
        """Iterations in which all ranks together pass once over the last (unlabelled) source."""
        return math.ceil(self.lengths[-1] / (self.own[-1] * self.world_size))

    def batch(self, number: int) -> list[RunIndex]:
        """Indices of this rank's batch of a given number, counted from the start of the run."""
        out = []
        for source, (stream, own, start) in enumerate(zip(self._streams, self.own, self.starts)):
            first = (number * self.world_size + self.rank) * own
            places = range(first, first + own)
            out += [
                RunIndex(start + stream.index(self.seed, p), stream.draw_seed(self.seed, p), p)
                for p in places
            ]
            if self.partner and source == len(self.own) - 1:
                out += [self._partner_of(p, start) for p in places]
        return out

    def _partner_of(self, position: int, start: int) -> RunIndex:
        own = self._streams[-1].index(self.seed, position)
        index = own
        if self.partner == 'other':
            index = self._partners.index(self.seed, position)
            if index == own:  # the neighbour in the same order is another image wherever there is one
                index = self._partners.index(self.seed, position, shift=1)
        return RunIndex(start + index, self._partners.draw_seed(self.seed, position), position)

    def __iter__(self) -> Iterator[RunIndex]:
        number, within = divmod(self._skipped, self.batch_size)
        while True:
            yield from self.batch(number)[within:]
            number, within = number + 1, 0


@DATA_SAMPLERS.register_module()
class RunSampler(_Endless):
    """Endless sampler of one source for supervised runs, counter based like :class:`MultiSourceSampler`.

    Args:
        dataset: the dataset; wrap it in ``SeededDataset`` for augmentations that resume exactly.
        shuffle: whether it is permuted anew in every epoch.
        seed: seed of the run; None draws one that all ranks share. May be set later.
        batch_size: images in a batch of one rank, only for :attr:`iters_per_epoch`.
    """

    def __init__(self,
                 dataset: Any,
                 shuffle: bool = True,
                 seed: int | None = None,
                 batch_size: int | None = None) -> None:
        super().__init__(dataset, shuffle, seed)
        if len(dataset) == 0:
            raise DataError('The training dataset has no images; check its folder or list file.')
        self.batch_size = batch_size
        self._stream = _Stream(len(dataset), 0, shuffle)

    @property
    def iters_per_epoch(self) -> int | None:
        """Iterations of one pass by all ranks together; None where ``batch_size`` was not given."""
        if self.batch_size is None:
            return None
        return math.ceil(len(self.dataset) / (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[RunIndex]:
        place = self._skipped
        while True:
            p = place * self.world_size + self.rank
            yield RunIndex(self._stream.index(self.seed, p), self._stream.draw_seed(self.seed, p), p)
            place += 1
