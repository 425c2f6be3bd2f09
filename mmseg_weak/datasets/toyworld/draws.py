"""Random numbers that are the same in every process, on every platform and in every numpy release.

numpy guarantees the raw bits of its bit generators, not the numbers that ``Generator`` makes of them; and
sines and exponentials differ in their last bit between CPUs. So ToyWorld turns raw bits into numbers itself
and uses only element-wise additions, multiplications, divisions, comparisons and tables of rounded values.
"""
import math
from collections.abc import Sequence

import numpy as np

__all__ = ['COS', 'SIN', 'TURNS', 'Draws']

TURNS = 64
COS = [round(math.cos(2 * math.pi * k / TURNS) * 4096) / 4096 for k in range(TURNS)]
SIN = [round(math.sin(2 * math.pi * k / TURNS) * 4096) / 4096 for k in range(TURNS)]


class Draws:
    """A stream of draws that belongs to a key.

    Args:
        key: non-negative integers, for example (seed, split, index, purpose).
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def unit(self, count: int) -> list[float]:
        """``count`` numbers in [0, 1)."""
        return ((self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53).tolist()

    def uniform(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * ((self._bits.random_raw() >> 11) * 2.0**-53)

    def integer(self, low: int, high: int) -> int:
        """One integer in low ... high - 1."""
        return low + int(self._bits.random_raw()) % (high - low)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform(0., 1.) < probability

    def pick(self, items: Sequence) -> object:
        """One of the items."""
        return items[self.integer(0, len(items))]

    def order(self, count: int) -> list[int]:
        """A permutation of 0 ... count - 1."""
        places = list(range(count))
        for i in range(count - 1, 0, -1):
            j = self.integer(0, i + 1)
            places[i], places[j] = places[j], places[i]
        return places

    def grid(self, height: int, width: int) -> np.ndarray:
        """(height, width) float32 in [0, 1)."""
        raw = self._bits.random_raw(height * width) >> np.uint64(40)
        return (raw.astype(np.float32) * np.float32(2.0**-24)).reshape(height, width)

    def bytes(self, count: int) -> np.ndarray:
        """``count`` uint8, eight from each raw number, low byte first on every platform."""
        raw = self._bits.random_raw(-(-count // 8))
        return raw.astype('<u8').view(np.uint8)[:count]
