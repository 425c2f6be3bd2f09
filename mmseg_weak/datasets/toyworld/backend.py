"""Addresses of ToyWorld images, so that a report or a prediction can open one by its ``img_path`` like a
file.

``toyworld://0-128/train/00012.png`` is image 12 of the training split of seed 0 at 128 pixels;
``…/00012_mask.png`` its mask and ``…/00012_dusk.png`` its domain-shifted twin.
"""
import re

import cv2
from mmengine.fileio import BaseStorageBackend, register_backend

from mmseg_weak.errors import MissingFileError

from .scene import draw_scene

__all__ = ['SPLIT_KEYS', 'ToyWorldBackend', 'scene_uri']

SPLIT_KEYS = {'train': 0, 'val': 1, 'test': 2}
_ADDRESS = re.compile(r'toyworld://(\d+)-(\d+)/(train|val|test)/(\d+)(_mask|_dusk)?\.png$')


def scene_uri(seed: int, split: str, number: int, size: int, dusk: bool = False, mask: bool = False) -> str:
    """Address of an image, of its twin, or of its mask."""
    ending = '_mask' if mask else '_dusk' if dusk else ''
    return f'toyworld://{seed}-{size}/{split}/{number:05d}{ending}.png'


class ToyWorldBackend(BaseStorageBackend):
    """mmengine file backend that draws the image of an address and hands it out as PNG bytes."""

    def get(self, filepath: str) -> bytes:
        """PNG of an address.

        Raises:
            MissingFileError: where the address is none of ToyWorld's.
        """
        found = _ADDRESS.match(str(filepath))
        if not found:
            raise MissingFileError(
                f'{filepath} is no ToyWorld address; they look like {scene_uri(0, "train", 12, 128)}.'
            )
        seed, size, split, number, ending = found.groups()
        scene = draw_scene(int(size), int(seed), SPLIT_KEYS[split], int(number))
        image = scene.mask if ending == '_mask' else scene.render(twin=ending == '_dusk')
        return cv2.imencode('.png', image)[1].tobytes()

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """Images have no text."""
        raise NotImplementedError(f'{filepath} is an image.')

    def exists(self, filepath: str) -> bool:
        """Whether the address is well formed."""
        return _ADDRESS.match(str(filepath)) is not None


register_backend('toyworld', ToyWorldBackend, force=True, prefixes='toyworld')
