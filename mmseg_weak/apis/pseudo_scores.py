"""Class maps that an earlier call kept as score files: another threshold or refinement without the network."""
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.models.cam import with_background
from mmseg_weak.models.segmentors import TagSegmentor

from .pseudo_files import load_scores

__all__ = ['KeptScores', 'without_refiner']

_SAME = ('config', 'checkpoint', 'images', 'tags', 'loader')


def without_refiner(options: dict[str, Any]) -> dict[str, Any]:
    """The overrides without those of ``model.refiner``, which comes after the class maps and may differ."""
    return {key: value for key, value in options.items() if key.split('.')[:2] != ['model', 'refiner']}


def _as_text(options: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in without_refiner(options).items()}


class KeptScores:
    """The score files of a folder that ``mmseg-weak pseudo-label --scores`` wrote with the same network and images.

    Args:
        folder: that folder.
        settings: what this call would write as its own, see :func:`.settle_settings`.
        model: the network, whose background rule and refiner are used.
        own_refiner: whether the config, without overrides, sends class maps through a refiner.

    Raises:
        MissingFileError: the folder holds no score files.
        ConfigError: they are of another network or of other images, or they were refined already.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any], model: Any, own_refiner: bool = False) -> None:
        self.folder, self.model = Path(folder), model
        path = self.folder / 'settings.json'
        try:
            before = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            before = None
        if not isinstance(before, dict) or not before.get('scores'):
            raise MissingFileError(f'{self.folder} holds no scores of pseudo-label; run it with --scores and without '
                                   '--from first.')
        if type(model).seed_planes is not TagSegmentor.seed_planes or model.test_cfg['mode'] != 'seed':
            raise ConfigError(f'--from takes class maps, and {type(model).__name__} makes its masks in another way; '
                              'leave --from out.')
        for key in _SAME:
            if before.get(key) != settings[key]:
                raise ConfigError(f'{self.folder} holds scores of {key}={before.get(key)}, and now it is '
                                  f'{settings[key]}; name a folder of the same network and images.')
        options = before.get('cfg_options') or {}
        if own_refiner or before.get('from') or without_refiner(options) != options:
            raise ConfigError(f'{self.folder} holds scores that went through model.refiner; run pseudo-label with '
                              '--scores and without it first.')
        then, now = _as_text(options), _as_text(settings['cfg_options'])
        if then != now:
            raise ConfigError(f'{self.folder} holds scores made with the overrides {then}, and now they are {now}; '
                              'give the same.')

    def planes(self, name: str, image: Tensor) -> Tensor:
        """Background and classes of an image as the network would give them, rounded to half precision.

        Args:
            name: of the mask.
            image: (3,H,W) RGB, 0 to 255.

        Returns:
            (K+1,H,W) float32.

        Raises:
            DataError: the file is damaged, or of an image of another size.
        """
        path = self.folder / 'scores' / f'{name}.npz'
        if not path.is_file():
            raise MissingFileError(f'{path} is missing; run the pseudo-label that wrote {self.folder} again, it makes '
                                   'what is missing.')
        classes, found = load_scores(path, self.model.num_classes)
        size = tuple(image.shape[-2:])
        if tuple(found.shape[1:]) != size:
            raise DataError(f'{path} is of {found.shape[2]}x{found.shape[1]} pixels and its image of '
                            f'{size[1]}x{size[0]}; the image has changed, make the scores again.')
        scores = image.new_zeros((self.model.num_tags, *size), dtype=torch.float32)
        scores[torch.from_numpy(classes) - 1] = torch.from_numpy(found).to(scores)
        rule = self.model.seed
        planes = with_background(scores[None], rule['background'], rule['thr'])
        if self.model.refiner is not None:
            known = torch.zeros(1, self.model.num_classes, dtype=torch.bool, device=planes.device)
            known[0, 0] = True
            known[0, torch.from_numpy(classes)] = True
            planes = self.model.refiner(planes, image[None].float(), known)
        return planes[0]
