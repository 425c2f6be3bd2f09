"""Improve masks that anybody made: give every pixel the class that fits its colour and its neighbours."""
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mmseg_weak.datasets.lists import Pair
from mmseg_weak.datasets.masks import decode_image, decode_mask
from mmseg_weak.datasets.pairs import pair_folders
from mmseg_weak.errors import ConfigError, DataError, MissingFileError, near
from mmseg_weak.files import check_writable, write_bytes
from mmseg_weak.visualization import mask_png, overlay, png_bytes, voc_palette

from .progress import progress

__all__ = ['METHODS', 'RefineResult', 'refine', 'refine_mask']

METHODS = ('crf', 'par', 'pamr')
UNKNOWN = ('keep', 'fill')
_IGNORE = 255


@dataclass
class RefineResult:
    """What a call of :func:`refine` did.

    Attributes:
        out: the output folder.
        written: masks written now.
        skipped: masks that were there already.
        broken: images or masks that cannot be used, each with one sentence.
        without_mask: images for which there is no mask.
        changed_ratio: share of the known pixels of the written masks that changed their class.
    """
    out: Path
    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    broken: list[tuple[Path, str]] = field(default_factory=list)
    without_mask: list[Path] = field(default_factory=list)
    changed_ratio: float = 0.0


def build_refiner(using: str, iters: int | None = None, preset: str | None = None) -> Any:
    """The module behind a name of ``METHODS``, also with its preset: 'crf:clip_es'.

    Raises:
        ConfigError: no such name, or a preset where there are none.
    """
    from mmseg_weak.models.refine import PAMR, PAR, DenseCRF
    using, _, named = using.partition(':')
    preset = named or preset
    if using not in METHODS:
        raise ConfigError(f"there is no refinement '{using}'; choose one of {', '.join(METHODS)}. "
                          f"{near(using, METHODS)}".rstrip())
    options = {} if iters is None else dict(num_iter=iters)
    if using == 'crf':
        return DenseCRF(preset or 'deeplab', **options)
    if preset is not None:
        raise ConfigError(f"preset '{preset}' goes with the CRF; {using} has none, leave it out.")
    return dict(par=PAR, pamr=PAMR)[using](**options)


def refine_mask(image: np.ndarray, mask: np.ndarray, refiner: Any, gt_prob: float = 0.7, unknown: str = 'keep',
                device: str | torch.device = 'cpu', max_side_px: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Refine one mask; only classes that it shows take part.

    Args:
        image: (H,W,3) uint8, BGR.
        mask: (H,W) uint8, 255 unknown.
        refiner: a module of :mod:`mmseg_weak.models.refine` that looks at images.
        gt_prob: trust in the mask, in (0, 1).
        unknown: 'keep' leaves 255 as it is, 'fill' gives such pixels the class that is found.
        device: where to compute.
        max_side_px: larger images are refined at this size, and the probabilities enlarged again.

    Returns:
        mask (H,W) uint8, and its probability (H,W) float32 in [0, 1], 0 where unknown.

    Raises:
        DataError: image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise DataError(f'the mask is {mask.shape[1]}x{mask.shape[0]} pixels and its image {image.shape[1]}x'
                        f'{image.shape[0]}; give masks of the size of their images.')
    blank = mask == _IGNORE
    classes = np.unique(mask[~blank])
    if len(classes) == 0:
        return mask.copy(), np.zeros(mask.shape, np.float32)
    if len(classes) == 1:
        found, conf = np.full_like(mask, classes[0]), np.ones(mask.shape, np.float32)
    else:
        number = np.full(256, _IGNORE, np.uint8)
        number[classes] = np.arange(len(classes))
        scores = _refined(image, number[mask], len(classes), refiner, gt_prob, device, max_side_px)
        best = scores.max(0)
        found, conf = classes[best.indices.numpy()].astype(np.uint8), best.values.clamp(0, 1).numpy()
    if unknown == 'keep':
        found, conf = np.where(blank, np.uint8(_IGNORE), found), np.where(blank, np.float32(0), conf)
    return found, conf


def _refined(image: np.ndarray, labels: np.ndarray, count: int, refiner: Any, gt_prob: float,
             device: str | torch.device, max_side_px: int) -> Tensor:
    """(C,H,W) probabilities, on the CPU."""
    from mmseg_weak.models.refine import labels_to_probs
    picture = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)[None].to(device)
    probs = labels_to_probs(torch.from_numpy(labels)[None].to(device), count, gt_prob)
    size, large = labels.shape, max(labels.shape) > max_side_px
    if large:
        smaller = [max(1, round(side * max_side_px / max(size))) for side in size]
        picture, probs = (F.interpolate(x.float(), smaller, mode='area') for x in (picture, probs))
    scores = refiner(probs, picture)
    scores = (F.interpolate(scores, size, mode='bilinear') if large else scores)[0]
    return (scores / scores.sum(0, keepdim=True).clamp_min(1e-8)).cpu()  # PAR's sums grow with its iterations


def refine(images: str | Path, masks: str | Path, out: str | Path, using: str = 'crf', preset: str | None = None,
           iters: int | None = None, gt_prob: float = 0.7, unknown: str = 'keep', confidence: bool = False,
           overlays: bool = False, device: str | None = None, max_side_px: int = 2048, overwrite: bool = False,
           quiet: bool = False) -> RefineResult:
    """Refine the masks of a folder; the results have the masks' names and are ordinary palette PNGs.

    Masks that are there are skipped, so an interrupted call goes on where it stopped. ``out/<name>.png`` holds the
    masks; with ``confidence``, ``out_confidence/<name>.png`` the probability times 255; with ``overlays``,
    ``out_overlays/<name>.jpg`` both on the image (both folders beside ``out``).

    Args:
        images: folder of the images.
        masks: folder of the masks, named as their images; class indices, 255 unknown.
        out: folder of the results.
        using: 'crf' (dense CRF), 'par' or 'pamr' (pixel-adaptive, faster).
        preset: settings of the CRF, see ``CRF_PRESETS``; 'deeplab' by default, which did better than 'irn_label' on
            blocky, too fat and too thin masks of COCO photographs (docs/refine.md).
        iters: number of iterations; 10 by default.
        gt_prob: trust in the masks, in (0, 1); lower lets the image change more.
        unknown: 'keep' or 'fill' pixels of value 255.
        confidence, overlays: what else to write.
        device: as torch names it; the GPU where there is one, by default.
        max_side_px: larger images are refined at this size (memory: about 2 GB at 2048 with the CRF).
        overwrite: refine again what is there.
        quiet: no progress bar.

    Raises:
        ConfigError: an option that does not exist, or an output that would overwrite the input.
        MissingFileError, DataError: folders that are not there or hold nothing, no mask fits, none can be used.
    """
    refiner = build_refiner(using, iters, preset)
    if not 0 < gt_prob < 1 or not math.isfinite(gt_prob):
        raise ConfigError(f'gt_prob is {gt_prob}; trust in the masks lies between 0 and 1.')
    if max_side_px < 1:
        raise ConfigError(f'max_side_px is {max_side_px}; give a size in pixels, such as 2048.')
    if unknown not in UNKNOWN:
        raise ConfigError(f"unknown is '{unknown}'; choose one of {', '.join(UNKNOWN)}.")
    out = Path(out)
    if out.resolve() in (Path(images).resolve(), Path(masks).resolve()):
        raise ConfigError(f'out is {out}, a folder that is read; give another one, so that nothing is overwritten.')
    result = RefineResult(out)
    todo = _pairs(Path(images), Path(masks), result, overwrite)
    check_writable(out)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    changed = known = 0
    for pair, target in progress(todo, 'refine', quiet=quiet):
        try:
            image, mask = decode_image(pair.image), decode_mask(pair.mask)
            found, conf = refine_mask(image, mask, refiner, gt_prob, unknown, device, max_side_px)
        except (DataError, MissingFileError) as error:
            text = str(error)
            result.broken.append((Path(pair.mask), text if pair.mask in text or pair.image in text
                                  else f'{pair.mask}: {text}'))
            continue
        certain = mask != _IGNORE
        known, changed = known + int(certain.sum()), changed + int((found != mask)[certain].sum())
        palette = _palette(pair.mask)
        name = target.relative_to(out).with_suffix('')
        if confidence:
            write_bytes(_beside(out, 'confidence') / f'{name}.png', png_bytes(np.rint(conf * 255).astype(np.uint8)))
        if overlays:
            stream = io.BytesIO()
            Image.fromarray(overlay(image[..., ::-1], found, palette)).save(stream, 'JPEG', quality=90)
            write_bytes(_beside(out, 'overlays') / f'{name}.jpg', stream.getvalue())
        write_bytes(target, mask_png(found, palette))  # last: where the mask is, everything is
        result.written.append(target)
    if result.broken and not (result.written or result.skipped):
        raise DataError(f'none of {len(result.broken)} masks could be used; the first: {result.broken[0][1]}')
    result.changed_ratio = changed / max(known, 1)
    return result


def _pairs(images: Path, masks: Path, result: RefineResult, overwrite: bool) -> list[tuple[Pair, Path]]:
    """What there is to do."""
    todo, taken = [], set()
    for pair in pair_folders(str(images), str(masks)):
        if pair.mask is None:
            result.without_mask.append(Path(pair.image))
            continue
        target = result.out / Path(pair.mask).relative_to(masks).with_suffix('.png')
        if target in taken:
            continue
        taken.add(target)
        if target.is_file() and not overwrite:
            result.skipped.append(target)
        else:
            todo.append((pair, target))
    if not taken:
        raise DataError(f'none of the {len(result.without_mask)} images in {images} has a mask in {masks}; a mask is '
                        f'named as its image, for example a.jpg and a.png.')
    return todo


def _beside(out: Path, kind: str) -> Path:
    return out.with_name(f'{out.name}_{kind}')


def _palette(mask: str) -> Sequence[Sequence[int]]:
    """Colours of a palette PNG, VOC's for other masks."""
    with Image.open(mask) as picture:
        colours = picture.getpalette() if picture.mode == 'P' else None
    return np.reshape(colours, (-1, 3)).tolist() if colours else voc_palette(256)
