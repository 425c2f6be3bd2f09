"""Weights that travel with the package: the tiny towers trained on ToyWorld."""
from pathlib import Path

import torch
from mmengine.runner import CheckpointLoader

from mmseg_weak.errors import MissingFileError, near

__all__ = ['NONE', 'PREFIX', 'packaged_weights', 'resolve_weights']

PREFIX = 'mmseg_weak://'
NONE = f'{PREFIX}none'
_FOLDER = Path(__file__).resolve().parents[2] / 'weights'


def packaged_weights(name: str) -> Path:
    """File of weights that come with this package.

    Raises:
        MissingFileError: there is none of this name.
    """
    path = _FOLDER / name
    if not path.is_file():
        there = sorted(p.name for p in _FOLDER.glob('*.pth'))
        raise MissingFileError(f'{PREFIX}{name} is not among the weights that come with mmseg_weak. '
                               f'{near(name, there)} There are {", ".join(there) or "none"}.'.replace('  ', ' '))
    return path


def resolve_weights(path: str) -> str:
    """``mmseg_weak://toyworld_vit.pth`` -> its file; any other path as it is."""
    return str(packaged_weights(path[len(PREFIX):])) if path.startswith(PREFIX) else path


@CheckpointLoader.register_scheme(prefixes=PREFIX, force=True)
def _load(filename: str, map_location: str | None = None, logger: str = 'current') -> dict:
    """For mmengine: ``init_cfg=dict(type='Pretrained', checkpoint='mmseg_weak://toyworld_vit.pth')``.

    'mmseg_weak://none' holds no weight at all: what stock ``tools/test.py`` is given for a model that is not trained.
    """
    if filename == NONE:
        return dict(state_dict={})
    state = torch.load(resolve_weights(filename), map_location=map_location, weights_only=True)
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
