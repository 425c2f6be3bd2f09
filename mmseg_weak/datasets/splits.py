"""Seeded, class-aware, nested partitions of a pool of images, and their verification.

All partitions are prefixes of one order, so the 1/16 lies inside the 1/8 inside the 1/4. The order is a
seeded shuffle in which images that bring a class not seen yet come first, rarest class first.
"""
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_weak.errors import ConfigError, DataError

__all__ = [
    'Partition',
    'class_aware_order',
    'nested_partitions',
    'partition_sizes',
    'semivl_order',
    'verify_partition',
]


@dataclass
class Partition:
    """One labelled/unlabelled division of a pool.

    Attributes:
        name: '1_16' for a share, the count for a number.
        labeled: indices of the pool that keep their labels.
        unlabeled: the others.
        missing_classes: classes of the pool that no labelled image shows.
    """
    name: str
    labeled: list[int]
    unlabeled: list[int]
    missing_classes: list[int]


def partition_sizes(total: int, denominators: Sequence[int]) -> list[int]:
    """Labelled images of each share, rounded to the nearest, at least one.

    >>> partition_sizes(20210, [128, 64, 32, 16, 8])
    [158, 316, 632, 1263, 2526]
    """
    return [max(1, int(total / k + 0.5)) for k in denominators]


def semivl_order(names: Sequence[str], seed: int = 0) -> list[str]:
    """Order of the published ADE20K lists of SemiVL: sorted names, shuffled by python's
    ``random.Random(seed)``.
    """
    order = sorted(names)
    random.Random(seed).shuffle(order)
    return order


def class_aware_order(presence: np.ndarray | None, total: int, seed: int = 0) -> list[int]:
    """Order of a pool whose short prefixes already show every class.

    Args:
        presence: (total, classes) bool, which class each image shows; None for a plain shuffle.
        total: images in the pool.
        seed: seed of the shuffle.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(total)
    if presence is None or not presence.size:
        return order.tolist()
    presence = np.asarray(presence, bool)[order]
    often = presence.sum(axis=0)
    wanted = often > 0
    taken: list[int] = []
    free = np.ones(total, bool)
    while wanted.any():
        rarest = int(np.argmin(np.where(wanted, often, total + 1)))
        gain = np.where(free & presence[:, rarest], presence[:, wanted].sum(axis=1), -1)
        best = int(np.argmax(gain))  # the first in the shuffle among equals
        taken.append(best)
        free[best] = False
        wanted &= ~presence[best]
    return order[taken + np.flatnonzero(free).tolist()].tolist()


def nested_partitions(total: int,
                      denominators: Sequence[int] = (),
                      counts: Sequence[int] = (),
                      presence: np.ndarray | None = None,
                      seed: int = 0) -> list[Partition]:
    """Nested partitions of a pool.

    Args:
        total: images in the pool.
        denominators: shares, 16 for one sixteenth.
        counts: numbers of labelled images.
        presence: (total, classes) bool or None, see :func:`class_aware_order`.
        seed: seed of the order.

    Returns:
        Partitions from the smallest labelled part to the largest.

    Raises:
        ConfigError: where nothing, or more labelled images than there are, is asked for.
    """
    sizes = dict(zip(partition_sizes(total, denominators), (f'1_{k}' for k in denominators), strict=True))
    for count in counts:
        if not 1 <= count < total:
            raise ConfigError(
                f'A split with {count} labelled images was asked for, but the pool has {total}; choose '
                f'between 1 and {total - 1}.'
            )
        sizes.setdefault(int(count), str(count))
    if not sizes:
        raise ConfigError(
            'No split was asked for; give denominators (16 for 1/16) or counts of labelled images.'
        )
    order = class_aware_order(presence, total, seed)
    seen = np.asarray(presence, bool) if presence is not None else np.zeros((total, 0), bool)
    made = []
    for size in sorted(sizes):
        labeled, unlabeled = sorted(order[:size]), sorted(order[size:])
        missing = np.flatnonzero(seen.any(axis=0) & ~seen[labeled].any(axis=0)).tolist()
        made.append(Partition(sizes[size], labeled, unlabeled, missing))
    return made


def verify_partition(
    labeled: Sequence[str], unlabeled: Sequence[str], pool: Sequence[str] | None = None
) -> None:
    """Check that two lists divide a pool.

    Raises:
        DataError: where an entry is listed twice, in both lists, or the union is not the pool.
    """
    for name, items in (('labelled', labeled), ('unlabelled', unlabeled)):
        twice = len(items) - len(set(items))
        if twice:
            seen: set[str] = set()
            first = next(item for item in items if item in seen or seen.add(item))
            raise DataError(
                f'{twice} entries of the {name} list are repeated (first: {first}); list each image once.'
            )
    both = sorted(set(labeled) & set(unlabeled))
    if both:
        raise DataError(
            f'{len(both)} images are in the labelled and in the unlabelled list (first: {both[0]}); remove '
            'them from one of the two.'
        )
    if pool is not None:
        union = set(labeled) | set(unlabeled)
        lacking, extra = sorted(set(pool) - union), sorted(union - set(pool))
        if lacking or extra:
            raise DataError(
                f'The lists leave out {len(lacking)} and add {len(extra)} images of the pool (first: '
                f'{(lacking + extra)[0]}); labelled and unlabelled together must be the pool.'
            )
