"""Embeddings of class names from a file, in the place of a text tower."""
from pathlib import Path

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError, near

from .names import ClassNames
from .text import load_embeddings

__all__ = ['GivenTexts']


class GivenTexts:
    """Rows of a ``.npy`` file and the names they stand for.

    Args:
        path: of the file, see :func:`.text.load_embeddings`.
        names: one row a name, class after class; or one row a class, for all of its names.
        dim: of the image tower's features.
        tower: its name, for messages.

    Attributes:
        names: what the rows stand for.

    Raises:
        MissingFileError, DataError: the file is not there or no such array, or its rows do not fit the names.
        ConfigError: the embeddings are of another tower.
    """

    def __init__(self, path: str | Path, names: ClassNames, dim: int, tower: str) -> None:
        self.path = Path(path)
        rows = load_embeddings(path, (len(names.names), len(names.classes)))
        if rows.shape[1] != dim:
            raise ConfigError(f'{path} holds embeddings of {rows.shape[1]} numbers, and {tower} compares {dim}; they '
                              'were made by another text tower: name its model in model.clip.')
        places = range(len(rows)) if len(rows) == len(names.names) else names.owner
        self.rows, self._place = rows, {name.lower(): row for name, row in zip(names.names, places)}
        self.names = self.reduced(names)

    def reduced(self, names: ClassNames) -> ClassNames:
        """Names without those that share the row of another name of their class.

        Raises:
            DataError: a name has no row.
        """
        self._check(names)
        seen, kept = set(), []
        for name, owner in zip(names.names, names.owner):
            row = self._place[name.lower()]
            if (row, owner) not in seen:
                seen.add((row, owner))
                kept.append((name, owner))
        return ClassNames(names.classes, *map(tuple, zip(*kept)))

    def _check(self, names: ClassNames) -> None:
        missing = [name for name in names.names if name.lower() not in self._place]
        if missing:
            raise DataError(f'{missing[0]!r} has no embedding in {self.path}, which has {len(self.rows)}. '
                            f'{near(missing[0], self._place)} Look for names that it has, or leave '
                            'model.embeddings out and let the text tower read any.'.replace('  ', ' '))

    def __call__(self, names: ClassNames) -> Tensor:
        """(n,d) float32 unit vectors of some of the names, on the CPU; raises as :meth:`reduced`."""
        self._check(names)
        return self.rows[torch.tensor([self._place[name.lower()] for name in names.names])]
