"""Small folders of images and masks, written once per test."""
import cv2
import numpy as np
import pytest


@pytest.fixture
def make_folders(tmp_path):
    """Function that writes ``images/`` and ``masks/`` and returns their root."""
    def make(count: int = 4, size: tuple[int, int] = (20, 24), classes: int = 3, suffix: str = '.jpg'):
        rng = np.random.default_rng(0)
        for folder in ('images', 'masks'):
            (tmp_path / folder).mkdir(exist_ok=True)
        for i in range(count):
            image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            mask = rng.integers(0, classes, size, dtype=np.uint8)
            mask[0, 0] = 255
            cv2.imwrite(str(tmp_path / 'images' / f'{i:02d}{suffix}'), image)
            cv2.imwrite(str(tmp_path / 'masks' / f'{i:02d}.png'), mask)
        return tmp_path
    return make


@pytest.fixture
def pipeline():
    """A training pipeline with random geometry."""
    return [
        dict(type='LoadImage'),
        dict(type='LoadMask'),
        dict(type='RandomRescale', ratio_range=(0.8, 1.6)),
        dict(type='RandomCrop', crop_size=(12, 12)),
        dict(type='RandomFlipFields'),
        dict(type='PackSemiInputs')
    ]
