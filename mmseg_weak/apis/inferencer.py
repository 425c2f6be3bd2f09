"""Predict with any mmseg model, on any image."""
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError, DataError
from mmseg_weak.models.clip.weights import without_weights
from mmseg_weak.models.segmentors import OpenVocabSegmentor
from mmseg_weak.visualization import voc_palette

from .checkpoints import load_weights, read_checkpoint
from .config import load_config
from .images import read_image, to_bgr

__all__ = ['Prediction', 'SegInferencer', 'build_model', 'config_meta', 'forget_pretrained']


@dataclass
class Prediction:
    """What a model says about an image.

    Attributes:
        mask: (H, W) class indices at the image's own size, uint8 (uint16 beyond 256 classes).
        confidence: (H, W) float32, probability of that class, in [0, 1].
    """
    mask: np.ndarray
    confidence: np.ndarray


class SegInferencer:
    """A model that is ready to label images.

    Images are prepared by the config's own test pipeline, apart from loading. Those with a side below
    ``min_side_px`` are extended by their edge for the network and cut again; those above ``max_pixels`` go through
    it in overlapping tiles, so that memory stays bounded.

    Args:
        config: config file, name of a config of ours, or a loaded config.
        checkpoint: checkpoint file, read with ``weights_only=True``; None for a config that trains nothing, else it
            keeps random weights (for tests).
        device: as torch names it; the GPU where there is one, by default.
        max_pixels: the most pixels (after the pipeline's resize) of one pass; more are tiled.
        tile_px: side of a tile.
        overlap_px: how much of a neighbour each tile sees.
        min_side_px: the least side that a network gets to see.

    Raises:
        CheckpointError: the checkpoint is unsafe, cut off, of another model or of other classes.
        ConfigError: the config describes no segmentor.

    Example:
        >>> inferencer = SegInferencer('config.py', 'iter_1000.pth')  # doctest: +SKIP
        >>> inferencer('street.jpg').mask.shape  # doctest: +SKIP
        (360, 480)
    """

    def __init__(self, config: str | Path | Config, checkpoint: str | Path | None = None, device: str | None = None,
                 max_pixels: int = 4_000_000, tile_px: int = 1024, overlap_px: int = 128,
                 min_side_px: int = 32) -> None:
        if not 0 <= 2 * overlap_px < tile_px or tile_px < 64:
            raise ConfigError(f'overlap_px is {overlap_px} for tiles of tile_px={tile_px}; give tiles of at least 64 '
                              f'px and '
                              f'less than half a tile')
        self.cfg = copy.deepcopy(config) if isinstance(config, Config) else load_config(config)
        self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        self.max_pixels, self.tile_px, self.overlap_px = max_pixels, tile_px, overlap_px
        self.min_side_px = min_side_px
        if _finds_names(self.cfg):
            raise ConfigError(f'{self.cfg.filename or "the config"} finds names and is not trained: use `mmseg-weak '
                              'predict --text`, or OpenVocabInferencer')
        untrained = checkpoint is None and 'train_cfg' not in self.cfg
        self.model = build_model(self.cfg, keep_pretrained=untrained)
        meta: dict = {}
        if checkpoint is not None:
            content = read_checkpoint(checkpoint)
            meta = (content.get('meta') or {}).get('dataset_meta') or {}
            load_weights(self.model, content, checkpoint)
        self.num_classes = int(getattr(self.model, 'num_classes', 0) or 0)
        self.classes = self._classes(meta, checkpoint)
        self.palette = _palette(meta.get('palette') or config_meta(self.cfg).get('palette'), self.num_classes)
        self.model.to(self.device).eval()
        self.pipeline = _pipeline(self.cfg)

    def __call__(self, image: str | Path | np.ndarray) -> Prediction:
        """Label one image.

        Args:
            image: a file, or an array (H, W, 3) uint8 in BGR order (grey, BGRA and uint16 are taken too).

        Returns:
            The prediction, at the image's size.

        Raises:
            DataError: the file or array is no image.
        """
        image = to_bgr(image) if isinstance(image, np.ndarray) else read_image(image)
        height, width = image.shape[:2]
        pad_h, pad_w = max(0, self.min_side_px - height), max(0, self.min_side_px - width)
        if pad_h or pad_w:
            image = np.pad(image, ((0, pad_h), (0, pad_w), (0, 0)), mode='edge')
        prediction = self._predict(image)
        return Prediction(prediction.mask[:height, :width], prediction.confidence[:height, :width])

    @torch.no_grad()
    def _predict(self, image: np.ndarray) -> Prediction:
        shape = image.shape[:2]
        results = self.pipeline(dict(img=image, img_path=None, img_shape=shape, ori_shape=shape))
        prepared = results['img']
        size = prepared.shape[:2]
        # Logits at the original size are what fills the memory, so both sizes count.
        if max(size[0] * size[1], shape[0] * shape[1]) <= self.max_pixels:
            return self._pass(prepared, shape)
        kind = np.uint8 if self.num_classes <= 256 else np.uint16
        mask, confidence = np.zeros(shape, kind), np.zeros(shape, np.float32)
        scale = shape[0] / size[0], shape[1] / size[1]
        # Logits come out at the original scale, so where that is finer, a tile must be smaller.
        finer = max(1.0, *scale)
        side, overlap = max(64, int(self.tile_px / finer)), min(self.overlap_px, max(16, int(self.overlap_px / finer)))
        for top, bottom, row in _tiles(size[0], side, overlap):
            for left, right, column in _tiles(size[1], side, overlap):
                inside = [round(v * s) for v, s in ((top, scale[0]), (bottom, scale[0]),
                                                    (left, scale[1]), (right, scale[1]))]
                part = self._pass(np.ascontiguousarray(prepared[top:bottom, left:right]),
                                  (inside[1] - inside[0], inside[3] - inside[2]))
                keep = [round(v * s) for v, s in ((row[0], scale[0]), (row[1], scale[0]),
                                                  (column[0], scale[1]), (column[1], scale[1]))]
                target = slice(keep[0], keep[1]), slice(keep[2], keep[3])
                source = (slice(keep[0] - inside[0], keep[1] - inside[0]),
                          slice(keep[2] - inside[2], keep[3] - inside[2]))
                mask[target], confidence[target] = part.mask[source], part.confidence[source]
        return Prediction(mask, confidence)

    def _pass(self, prepared: np.ndarray, shape: tuple[int, int]) -> Prediction:
        """One pass of the network over a prepared image; the result has ``shape``."""
        size = prepared.shape[:2]
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=shape, pad_shape=size,
                                             scale_factor=(size[1] / shape[1], size[0] / shape[0])))
        tensor = torch.from_numpy(np.ascontiguousarray(prepared.transpose(2, 0, 1)))
        result = self.model.test_step(dict(inputs=[tensor], data_samples=[sample]))[0]
        logits = result.seg_logits.data.float()
        mask = result.pred_sem_seg.data.squeeze(0)
        if len(logits) > 1:
            confidence = F.softmax(logits, 0).amax(0)
        else:  # one sigmoid channel, already a probability
            confidence = torch.where(mask.bool(), logits[0], 1 - logits[0])
        kind = np.uint8 if self.num_classes <= 256 else np.uint16
        return Prediction(mask.cpu().numpy().astype(kind), confidence.cpu().numpy())

    def _classes(self, meta: dict, checkpoint: str | Path | None) -> list[str]:
        """Names of the classes; those of checkpoint, config and network must agree."""
        theirs = list(meta.get('classes') or [])
        ours = list(config_meta(self.cfg).get('classes') or [])
        if theirs and ours and theirs != ours:
            where = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b), min(len(theirs), len(ours)))
            pick = [names[where] if where < len(names) else 'none' for names in (theirs, ours)]
            raise CheckpointError(
                f'{checkpoint} was trained on {len(theirs)} classes and the config names {len(ours)}; the first '
                f'difference is class {where}: {pick[0]!r} in the checkpoint, {pick[1]!r} in the config. Use the '
                f'config that the checkpoint was trained with')
        names = theirs or ours or [f'class_{index}' for index in range(self.num_classes)]
        if self.num_classes and len(names) != self.num_classes:
            raise ConfigError(f'the network has num_classes={self.num_classes}, but {len(names)} classes are named '
                              f'({", ".join(names[:3])}, ...); make model num_classes and the class list agree')
        return names


def _finds_names(cfg: Config) -> bool:
    """Whether a config describes a method that wants class names, not images with tags."""
    kind = MODELS.get(str((cfg.get('model') or {}).get('type')))
    return kind is not None and issubclass(kind, OpenVocabSegmentor)


def build_model(cfg: Config, keep_pretrained: bool = False) -> torch.nn.Module:
    """Build the segmentor of a config.

    Args:
        cfg: the config.
        keep_pretrained: load the weights that a config names, as a model needs that is not trained; else a checkpoint
            follows and they are not fetched.

    Raises:
        ConfigError: the config has no ``model``.
    """
    if not cfg.get('model'):
        raise ConfigError(f'{cfg.filename or "the config"} has no key `model`; give a config that describes a network')
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    model = copy.deepcopy(cfg.model)
    if not keep_pretrained:
        forget_pretrained(model)
    model = MODELS.build(model)
    if not hasattr(model, 'test_step'):
        raise ConfigError(f'model.type is {cfg.model.type}, which is no segmentor; give a config of a segmentor')
    return model


def forget_pretrained(node) -> None:
    """Drop weights that a config would fetch at the start of training; a checkpoint follows."""
    if isinstance(node, dict):
        if node.get('type') == 'OpenCLIP':
            node.update(without_weights(node))
        if node.get('pretrained') is not None:
            node['pretrained'] = None
        init = node.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            node['init_cfg'] = None
        for value in node.values():
            forget_pretrained(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            forget_pretrained(value)


def config_meta(cfg: Config) -> dict:
    """Classes and palette that a config itself names: of its dataset's ``metainfo`` or of its dataset class."""
    for key in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (cfg.get(key) or {}).get('dataset') or {}
        while dataset.get('labeled') or dataset.get('dataset'):
            dataset = dataset.get('labeled') or dataset.get('dataset')
        if not isinstance(dataset, dict):
            continue
        if dataset.get('metainfo'):
            return dict(dataset['metainfo'])
        kind = DATASETS.get(dataset.get('type', '')) if isinstance(dataset.get('type'), str) else dataset.get('type')
        meta = getattr(kind, 'METAINFO', None)
        if meta:
            return dict(meta)
    return {}


def _palette(palette: list | None, num_classes: int) -> list[list[int]]:
    colours = [list(map(int, colour)) for colour in palette or []]
    return colours if len(colours) >= num_classes > 0 else voc_palette(max(num_classes, 1))


def _pipeline(cfg: Config) -> Compose:
    """The test pipeline without loading and packing, for an image that is already decoded."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    steps = (loader.get('dataset') or {}).get('pipeline') or cfg.get('test_pipeline') or []
    kept = []
    for step in steps:
        name = step['type'] if isinstance(step['type'], str) else step['type'].__name__
        name = name.rsplit('.', 1)[-1]
        if not (name.startswith(('Load', 'Pack')) or name.endswith('FormatBundle')):
            kept.append(TRANSFORMS.build(step))
    if any(type(step).__name__ == 'TestTimeAug' for step in kept):
        print_log('the test pipeline\'s TestTimeAug is left out: predict runs each image once', logger='current')
        kept = [step for step in kept if type(step).__name__ != 'TestTimeAug']
    return _Checked(kept)


class _Checked(Compose):
    """A pipeline that says which image step gave none."""

    def __call__(self, results: dict) -> dict:
        for step in self.transforms:
            results = step(results)
            if results is None:
                raise DataError(f'the step {type(step).__name__} of the test pipeline gave back nothing; take it out')
        return results


def _tiles(length: int, side: int, overlap: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Cut a length into overlapping tiles: (start, end, the part of it that is kept)."""
    step = side - 2 * overlap
    start = 0
    while True:
        end = min(length, start + side)
        begin = max(0, end - side)
        first, last = begin == 0, end == length
        kept_from = 0 if first else start + overlap
        yield begin, end, (kept_from, length if last else end - overlap)
        if last:
            return
        start += step
