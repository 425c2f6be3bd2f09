"""ToyWorld's referring expressions: sentences that mean the one object of a class in a scene."""
from typing import Any

import numpy as np
from mmseg.registry import DATASETS

from mmseg_weak.errors import ConfigError

from ..referring import ReferringDataset
from .backend import SPLIT_KEYS, scene_uri
from .scene import draw_scene
from .senses import expressions

__all__ = ['ToyWorldReferring']


@DATASETS.register_module()
class ToyWorldReferring(ReferringDataset):
    """Objects of ToyWorld with three sentences each; a class of which a scene shows several is not spoken of.

    Images and masks are addresses, which ``LoadImage`` and ``LoadReferredMask`` draw like files.

    Args:
        num_images: scenes of the split.
        split: 'train', 'val' or 'test'.
        seed: seed of the world.
        size: side of the square images in pixels.
        **kwargs: of :class:`.ReferringDataset`.

    Raises:
        ConfigError: an unknown split.
    """

    def __init__(self, num_images: int = 200, split: str = 'train', seed: int = 0, size: int = 128,
                 **kwargs: Any) -> None:
        if split not in SPLIT_KEYS:
            raise ConfigError(f'ToyWorldReferring: split={split!r} is unknown; use {", ".join(SPLIT_KEYS)}.')
        self.num_images, self.split, self.seed, self.size = num_images, split, seed, size
        super().__init__(**kwargs)

    def read(self) -> tuple[list[dict], None]:
        """Draw every scene once, to see what is visible."""
        rows = []
        for number in range(self.num_images):
            scene = draw_scene(self.size, self.seed, SPLIT_KEYS[self.split], number)
            image, mask = (scene_uri(self.seed, self.split, number, self.size, mask=kind) for kind in (False, True))
            for label, sentences in expressions(scene):
                ys, xs = np.nonzero(scene.mask == label)
                rows.append(dict(image=image, expressions=sentences, mask=mask, value=label,
                                 box=(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
        return rows, None
