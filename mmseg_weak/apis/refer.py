"""Find what a sentence means: in one image, or in all images of a folder."""
import copy
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, TRANSFORMS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.files import write_bytes
from mmseg_weak.models.clip.text import cut_texts
from mmseg_weak.models.clip.weights import without_weights
from mmseg_weak.visualization import mask_png, overlay, png_bytes

from .checkpoints import load_weights, read_checkpoint
from .config import load_config
from .images import find_images, read_image, to_bgr
from .predict import jpeg_bytes, result_names
from .progress import progress

__all__ = ['ReferPrediction', 'ReferResult', 'Referrer', 'open_trained', 'refer']

_PALETTE = [[0, 0, 0], [220, 60, 60]]


@dataclass
class ReferPrediction:
    """Where an image shows what a sentence means.

    Attributes:
        mask: (H, W) uint8, 1 the object, at the image's own size.
        score: (H, W) float32 in [0, 1], the response over its largest value.
    """
    mask: np.ndarray
    score: np.ndarray


def open_trained(config: str | Path | Config, checkpoint: str | Path, device: str | None = None,
                 cfg_options: Mapping[str, Any] | None = None) -> tuple[Config, torch.nn.Module]:
    """A config of TRIS and its trained model, in eval mode.

    Weights that the checkpoint holds are not looked for where the config has them from; a judge's are.

    Raises:
        ConfigError: a config of another method. MissingFileError, CheckpointError: see :func:`.load_weights`.
    """
    cfg = copy.deepcopy(config) if isinstance(config, Config) else load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    model = cfg.get('model') or {}
    kind = MODELS.get(str(model.get('type')))
    if kind is None or not hasattr(kind, 'refers'):
        raise ConfigError(f'{cfg.filename or "the config"} describes {model.get("type", "no model")}, which reads no '
                          'sentences; `mmseg-weak list tris` shows configs that do.')
    model = copy.deepcopy(model)
    if model.get('clip'):
        model['clip'] = without_weights(model['clip'])
    if model.get('backbone'):
        model['backbone']['init_cfg'] = None
    built = MODELS.build(model)
    load_weights(built, read_checkpoint(checkpoint), checkpoint)
    return cfg, built.to(torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))).eval()


class Referrer:
    """A trained network that reads sentences.

    Args:
        config: of :class:`.TRIS` or :class:`.TRISSegmentor`: file, name or loaded.
        checkpoint: its weights.
        device: as torch names it; the GPU where there is one, by default.
        cfg_options: dotted keys and values.

    Example:
        >>> referrer = Referrer('tris_toyworld', 'iter_2000.pth')  # doctest: +SKIP
        >>> referrer('photo.jpg', 'the man on the left').mask.mean()  # doctest: +SKIP
        0.12
    """

    def __init__(self, config: str | Path | Config, checkpoint: str | Path, device: str | None = None,
                 cfg_options: Mapping[str, Any] | None = None) -> None:
        self.cfg, self.model = open_trained(config, checkpoint, device, cfg_options)
        if not self.model.refers:
            raise ConfigError(f'{self.cfg.filename or "the config"} describes {type(self.model).__name__}, which looks '
                              'for boundaries; give the config of a stage that reads sentences.')
        self.device = next(self.model.parameters()).device
        steps = [step for step in self.cfg.get('test_pipeline', ()) if not str(step['type']).startswith('Load')]
        self._told: set[str] = set()
        self.pipeline = Compose([TRANSFORMS.build(step) for step in steps])

    def sample(self, image: np.ndarray, expression: str = '') -> dict:
        """What the model's ``test_step`` takes, of an image (H, W, 3) uint8 BGR."""
        shape = image.shape[:2]
        packed = self.pipeline(dict(img=image, img_path='', img_shape=shape, ori_shape=shape, expression=expression))
        return dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])

    def prepared(self, image: np.ndarray) -> Tensor:
        """(3,h,w) of an image, resized and normalised as the network wants it."""
        return self.model.data_preprocessor(self.sample(image), False)['inputs'][0]

    @torch.no_grad()
    def __call__(self, image: str | Path | np.ndarray, expression: str) -> ReferPrediction:
        """Find what a sentence means.

        Args:
            image: a file, or an array (H, W, 3) uint8 in BGR order.
            expression: the sentence.

        Raises:
            DataError: no sentence, or no readable image.
        """
        expression = ' '.join(expression.split())
        if not expression:
            raise DataError('The sentence is empty; say what to look for.')
        bgr = to_bgr(image) if isinstance(image, np.ndarray) else read_image(image)
        self._tell_cut(expression)
        found = self.model.test_step(self.sample(bgr, expression))[0]
        return ReferPrediction(found.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8),
                               found.seg_logits.data[1].float().cpu().numpy())


    def _tell_cut(self, expression: str) -> None:
        """Say once what is read of a sentence that is longer than the network reads."""
        if expression in self._told:
            return
        self._told.add(expression)
        limit = self.model.num_tokens
        for text, count, kept in cut_texts(self.model.clip.text.tokenizer, [expression], limit):
            print_log(f'{text[:80]!r} has {count} tokens and the network reads {limit} of them, up to {kept[-40:]!r}; '
                      'say it in fewer words.', 'current', logging.WARNING)


@dataclass
class ReferResult:
    """What a call of :func:`refer` did.

    Attributes:
        out: the folder.
        shares: image -> share of it that the object fills.
        broken: images that could not be read, each with a sentence.
    """
    out: Path
    shares: dict[str, float] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)


def refer(images: str | Path | Iterable[str | Path], text: str, config: str | Path, checkpoint: str | Path,
          out: str | Path = 'work_dirs/refer', device: str | None = None,
          cfg_options: Mapping[str, Any] | None = None, quiet: bool = False) -> ReferResult:
    """Find what a sentence means in images: ``out/masks`` (1 the object), ``out/scores``, ``out/overlays``.

    Args:
        images: files, folders (searched all the way down) and globs.
        text: the sentence.
        config, checkpoint, device, cfg_options: see :class:`Referrer`.
        out: folder of the results.
        quiet: no progress bar.

    Raises:
        MissingFileError, DataError: no image, or none that can be read.
    """
    result = ReferResult(Path(out))
    found = find_images(images, leave_out=result.out)
    relative, referrer = dict(found), Referrer(config, checkpoint, device, cfg_options)
    for file, name in progress(result_names(found), 'refer', quiet=quiet):
        try:
            image = read_image(file)
        except DataError as error:
            result.broken.append((str(file), str(error)))
            continue
        seen = referrer(image, text)
        write_bytes(result.out / 'scores' / f'{name}.png', png_bytes(np.rint(seen.score * 255).astype(np.uint8)))
        write_bytes(result.out / 'overlays' / f'{name}.jpg',
                    jpeg_bytes(overlay(image[..., ::-1], seen.mask, _PALETTE, 0.5)))
        write_bytes(result.out / 'masks' / f'{name}.png', mask_png(seen.mask, _PALETTE))
        result.shares[relative[file].as_posix()] = float(seen.mask.mean())
    if not result.shares:
        raise DataError(f'none of {len(result.broken)} images could be read; the first: {result.broken[0][1]}')
    return result
