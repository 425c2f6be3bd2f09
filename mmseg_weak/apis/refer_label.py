"""Pseudo masks of referring expressions: TRIS's step between its stages."""
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch import Tensor

from mmseg_weak.datasets.masks import decode_mask
from mmseg_weak.datasets.referring import ReferredObject, ReferringDataset
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.files import write_bytes, write_json
from mmseg_weak.methods.openvocab.tris import TRIS, TRISWalk, normalize_response
from mmseg_weak.models.cam import ConfidentSeeds, confident_labels
from mmseg_weak.visualization import mask_png, png_bytes

from .config import find_config, load_config
from .images import read_image
from .progress import progress
from .pseudo_files import checkpoint_mark, settle_settings
from .refer import Referrer, open_trained

__all__ = ['ReferLabelResult', 'refer_label']

_PALETTE = [[0, 0, 0], [220, 60, 60]]


@dataclass
class ReferLabelResult:
    """What a call of :func:`refer_label` did.

    Attributes:
        out: the folder.
        written, skipped: objects whose response was made now, and those that had one.
        object_share: mean share of an image that an object's mask fills.
        broken: images that could not be read, each with a sentence.
    """
    out: Path
    written: int = 0
    skipped: int = 0
    object_share: float = 0.0
    broken: list[tuple[str, str]] = field(default_factory=list)


def refer_label(config: str | Path, checkpoint: str | Path, out: str | Path, walk: str | Path | None = None,
                walk_checkpoint: str | Path | None = None, thr: float = 0.25, strict: float = 0.3, loose: float = 0.1,
                crf: bool = True, device: str | None = None, overwrite: bool = False,
                cfg_options: Mapping[str, Any] | None = None, quiet: bool = False) -> ReferLabelResult:
    """Write what stage 1 sees of each training object, as data sets to train on.

    ``out/scores``: of each object the response that all its sentences together like best (PRMS), over its largest
    value times 255. ``out/seeds``: its sure pixels (1), surely other ones (0), 255 between: what ``TRISWalk`` learns
    from (``out/seeds.json``). ``out/masks``: 1 where the response is above ``thr``, after it has walked up to the
    boundaries where ``walk`` is given: what stage 2 learns from (``out/objects.json``).

    An interrupted call goes on where it stopped. A second call with ``walk`` makes masks anew of the same responses;
    one with another ``strict``, ``loose`` or ``crf`` and without ``walk`` makes seeds anew. Responses of another
    checkpoint, config or list of objects are refused.

    Args:
        config: of :class:`.TRIS`; its training objects are labelled.
        checkpoint: of stage 1.
        out: the folder.
        walk, walk_checkpoint: config and weights of a trained :class:`.TRISWalk`.
        thr: of masks that do not walk; those that do have ``model.thr`` of their config.
        strict, loose: sure pixels are above the one, surely other ones below the other. Paper: 0.3, 0.1.
        crf: refine both by the image's colours first, as IRNet does.
        device: as torch names it; the GPU where there is one, by default.
        overwrite: make responses and seeds again.
        cfg_options: overrides of ``config``.
        quiet: no progress bar.

    Raises:
        ConfigError: a config of another method, one half of a walk, or a folder whose responses were made otherwise.
        MissingFileError, DataError, CheckpointError: no images, none that can be read, foreign weights.
    """
    if (walk is None) != (walk_checkpoint is None):
        raise ConfigError('a walk needs both: --walk, the config of TRISWalk, and --walk-checkpoint, its weights.')
    if not 0 < thr < 1 or not 0 <= loose < strict < 1:
        raise ConfigError(f'thr={thr}, strict={strict}, loose={loose}: shares of the largest response between 0 and 1, '
                          'the loose one the lower.')
    cfg = load_config(config, cfg_options)
    dataset = _objects(cfg)
    referrer = Referrer(cfg, checkpoint, device)
    if not isinstance(referrer.model, TRIS):
        raise ConfigError(f'{config} describes {type(referrer.model).__name__}; responses come from stage 1, TRIS.')
    walker = None
    if walk is not None:
        walk_cfg, model = open_trained(walk, walk_checkpoint, device)
        if not isinstance(model, TRISWalk):
            raise ConfigError(f'{walk} describes {type(model).__name__}; the walk is that of TRISWalk.')
        walker = _Walker(model, walk_cfg)
    seeds = ConfidentSeeds(strict, loose, crf=dict(type='DenseCRF', preset='irn_label') if crf else None)
    result, kept = ReferLabelResult(Path(out)), []
    settle_settings(result.out, dict(
        config=find_config(config).name, checkpoint=checkpoint_mark(checkpoint), objects=_mark(dataset.objects),
        cfg_options={key: str(value) for key, value in (cfg_options or {}).items()}), overwrite)
    if overwrite:
        _forget(result.out / 'scores', dataset.objects)
    _settle_seeds(result.out, dict(strict=strict, loose=loose, crf=crf), dataset.objects, overwrite, walker is None)
    for one in progress(dataset.objects, 'refer-label', quiet=quiet):
        try:
            image = read_image(one.image)
        except (DataError, MissingFileError) as error:
            if one.image not in dict(result.broken):
                result.broken.append((one.image, str(error)))
            continue
        score = _score(referrer, one, image, result)
        if not (result.out / 'seeds' / f'{one.name}.png').is_file():
            _write(result.out / 'seeds', one.name, _sure(seeds, score, image, referrer.device))
        mask = score > thr if walker is None else walker(score, image)
        _write(result.out / 'masks', one.name, mask.astype(np.uint8))
        result.object_share += float(mask.mean())
        kept.append(one)
    if not kept:
        raise DataError(f'none of {len(result.broken)} images could be read; the first: {result.broken[0][1]}')
    result.object_share /= len(kept)
    for name, folder in (('objects', 'masks'), ('seeds', 'seeds')):
        write_json(result.out / f'{name}.json', dict(objects=[_entry(one, folder) for one in kept], unknown=255))
    return result


def _objects(cfg: Config) -> ReferringDataset:
    """The training objects of a config."""
    loader = cfg.get('train_dataloader')
    if not loader:
        raise ConfigError(f'{cfg.filename} has no train_dataloader, whose objects are to be labelled.')
    dataset = loader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if not issubclass(DATASETS.get(dataset.type) or object, ReferringDataset):
        raise ConfigError(f'{cfg.filename} trains on {dataset.type}; sentences come from ReferringDataset, '
                          'RefCOCODataset or ToyWorldReferring.')
    return DATASETS.build(dict(dataset, pipeline=[], with_masks=False))


def _mark(objects: list[ReferredObject]) -> str:
    """Number of objects, and a hash of what is said of which image."""
    said = '\0'.join('\0'.join((one.image, *one.expressions)) for one in objects)
    return f'{len(objects)} {hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:16]}'


def _forget(folder: Path, objects: list[ReferredObject]) -> None:
    for one in objects:
        (folder / f'{one.name}.png').unlink(missing_ok=True)


def _settle_seeds(out: Path, settings: dict[str, Any], objects: list[ReferredObject], overwrite: bool,
                  follow: bool) -> None:
    """Forget seeds that were made with other settings; those that a walk has learnt from stay (``follow`` is off)."""
    path = out / 'seeds_settings.json'
    try:
        before = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        before = None
    if overwrite or before is None or (follow and before != settings):
        _forget(out / 'seeds', objects)
        write_json(path, settings)


def _score(referrer: Referrer, one: ReferredObject, image: np.ndarray, result: ReferLabelResult) -> np.ndarray:
    """(H, W) float32 in [0, 1]: the best response of an object, made or read."""
    path = result.out / 'scores' / f'{one.name}.png'
    if path.is_file():
        result.skipped += 1
        return decode_mask(str(path)).astype(np.float32) / 255
    _, response = referrer.model.best_response(referrer.prepared(image), list(one.expressions))
    score = normalize_response(response[None], image.shape[:2])[0].cpu().numpy()
    grey = np.rint(score * 255).astype(np.uint8)
    write_bytes(path, png_bytes(grey))
    result.written += 1
    return grey.astype(np.float32) / 255


def _rgb(image: np.ndarray, device: torch.device) -> Tensor:
    """(1,3,H,W) RGB, 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))[None].float().to(device)


def _sure(seeds: ConfidentSeeds, score: np.ndarray, image: np.ndarray, device: torch.device) -> np.ndarray:
    """(H, W) uint8: 1 surely the object, 0 surely not, 255 between."""
    planes = F.pad(torch.from_numpy(score)[None, None].to(device), (0, 0, 0, 0, 1, 0))
    return confident_labels(seeds(planes, _rgb(image, device)))[0].cpu().numpy().astype(np.uint8)


class _Walker:
    """Responses that walk up to boundaries, at the image's own size."""

    def __init__(self, model: TRISWalk, cfg: Config) -> None:
        self.model, self.device = model, next(model.parameters()).device
        self.cfg = cfg

    def __call__(self, score: np.ndarray, image: np.ndarray) -> np.ndarray:
        """(H, W) bool."""
        raw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        batch = self.model.data_preprocessor(dict(inputs=[raw]), False)['inputs']
        response = torch.from_numpy(score)[None, None].to(self.device)
        height, width = score.shape
        padded = F.pad(response, (0, batch.shape[-1] - width, 0, batch.shape[-2] - height))
        return (self.model.spread(batch, padded)[0, 0, :height, :width] > self.model.thr).cpu().numpy()


def _write(folder: Path, name: str, mask: np.ndarray) -> None:
    write_bytes(folder / f'{name}.png', mask_png(mask, _PALETTE))


def _entry(one: ReferredObject, folder: str) -> dict:
    image = one.image if '://' in one.image else str(Path(one.image).resolve())
    entry = dict(image=image, expressions=list(one.expressions), mask=f'{folder}/{one.name}.png', value=1)
    return entry if one.box is None else entry | dict(box=[float(v) for v in one.box])
