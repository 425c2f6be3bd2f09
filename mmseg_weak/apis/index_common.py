"""What the commands that make index files share: their config, the images, batches that skip broken files."""
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError, MissingFileError

from .config import load_config
from .images import find_images, read_image
from .open_vocab import use_weights

__all__ = ['IndexResult', 'archive_dataset', 'archive_images', 'image_batches', 'index_config', 'open_model',
           'out_file', 'read_rgb']


@dataclass
class IndexResult:
    """What a call that makes an index did.

    Attributes:
        out: the file.
        written: entries that were made now.
        skipped: entries that were there.
        broken: images that could not be used, each with a sentence.
        names: names that the index now knows, where it knows names.
    """
    out: Path
    written: int = 0
    skipped: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def index_config(config: str | Path | Config, model_type: str, weights: str | None,
                 cfg_options: Mapping[str, Any] | None) -> Config:
    """Config of a method that looks things up.

    Raises:
        ConfigError: it describes another model, or see :func:`.config.load_config`.
    """
    cfg = config if isinstance(config, Config) else load_config(config, cfg_options)
    found = (cfg.get('model') or {}).get('type')
    if found != model_type:
        raise ConfigError(f'{cfg.filename or "the config"} describes {found or "no model"}, and the index is one of '
                          f'{model_type}; `mmseg-weak list {model_type.lower()}` shows its configs.')
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    use_weights(cfg.model, weights)
    return cfg


def out_file(out: str | Path | None, cfg: Config) -> Path:
    """The file to write: as given, else what the config reads."""
    path = out or cfg.model.get('index')
    if not path:
        raise ConfigError(f'{cfg.filename} names no model.index and no --out was given; say where to write.')
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f'{path} is a folder; --out is the file of the index, for example {path}/index.safetensors.')
    return path


def open_model(cfg: Config, device: str | None, **changed: Any) -> torch.nn.Module:
    """The config's model on a device, in eval mode."""
    model = MODELS.build({**cfg.model, **changed})
    return model.to(torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))).eval()


def archive_dataset(cfg: Config, what: str) -> Any:
    """The dataset that a config's ``archive`` describes.

    Raises:
        ConfigError: there is none.
    """
    if not cfg.get('archive'):
        raise ConfigError(f'{cfg.filename or "the config"} has no `archive`, and none was given: {what}.')
    return DATASETS.build(dict(pipeline=[], **cfg.archive))


def archive_images(cfg: Config, images: str | Path | Iterable[str | Path] | None) -> list[str]:
    """Images that were named, else those of the config's ``archive``: files, or addresses of drawn images."""
    if images is not None:
        return [str(file.resolve()) for file, _ in find_images(images)]
    dataset = archive_dataset(cfg, 'name a folder of images with --images')
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def read_rgb(path: str | Path) -> Tensor:
    """(3,H,W) uint8 RGB, EXIF turned."""
    return torch.from_numpy(np.ascontiguousarray(read_image(path)[..., ::-1].transpose(2, 0, 1)))


def image_batches(paths: Iterable[str], view: Callable[[Tensor], Tensor], size: int,
                  broken: list[tuple[str, str]]) -> Iterator[tuple[list[str], Tensor]]:
    """Batches of images that can be read.

    Args:
        paths: files or addresses.
        view: (1,3,H,W) RGB, 0 to 255 -> (1,3,h,w), the same size for all.
        size: images in a batch.
        broken: where unreadable ones are told.
    """
    names, parts = [], []
    for path in paths:
        try:
            image = read_rgb(path)
        except (DataError, MissingFileError) as error:
            broken.append((path, str(error)))
            continue
        names.append(path)
        parts.append(view(image[None]))
        if len(parts) == size:
            yield names, torch.cat(parts)
            names, parts = [], []
    if parts:
        yield names, torch.cat(parts)
