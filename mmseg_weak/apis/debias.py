"""Find objects of a folder of pseudo masks that belong to the background elsewhere, and mark them (MARS)."""
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope

from mmseg_weak.datasets.corrections import file_mark, read_index
from mmseg_weak.datasets.masks import BIASED, decode_image, decode_mask
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.files import check_writable, write_bytes
from mmseg_weak.methods.weak.mars import Debiaser
from mmseg_weak.visualization import mask_png, voc_palette

from .config import find_config, load_config
from .progress import progress
from .pseudo_files import Records, settle_settings, write_index
from .pseudo_sheet import write_sheet

__all__ = ['DebiasResult', 'debias']

_BIASED_COLOUR = (224, 64, 224)
_IGNORE = 255
_MOST_MEASURED = 100  # images of which the mean feature is taken


@dataclass
class DebiasResult:
    """What a call of :func:`debias` did.

    Attributes:
        out: the folder.
        written, skipped: number of masks written now, and of those that were there.
        corrected: names of masks that were corrected by hand and left alone.
        broken: images that could not be used, each with a sentence.
        biased_ratio: share of the objects' pixels that is biased, over all masks.
        by_class: the same for each class that a mask shows, and its number of pixels.
    """
    out: Path
    written: int = 0
    skipped: int = 0
    corrected: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    biased_ratio: float = 0.0
    by_class: dict[str, tuple[float, int]] = field(default_factory=dict)


def debias(folder: str | Path, config: str | Path, out: str | Path, device: str | None = None, pictures: int = 12,
           overwrite: bool = False, cfg_options: Mapping[str, Any] | None = None, quiet: bool = False) -> DebiasResult:
    """Mark biased pixels of the pseudo masks in ``folder`` with 254, in a new folder of the same form.

    The masks are read as they are now, corrected by hand or not. A killed call goes on where it stopped in its second
    pass; masks of ``out`` that were corrected since are never written over.

    Args:
        folder: of `mmseg-weak pseudo-label`.
        config: file or name, with ``debias``: arguments of :class:`.Debiaser` (``num_classes`` is the folder's).
        out: the new folder.
        device: as torch names it; the GPU where there is one, by default.
        pictures: in each part of the contact sheet, where biased pixels are white.
        overwrite: make masks again that are there (never those corrected by hand).
        cfg_options: overrides of the config.
        quiet: no progress bar.

    Raises:
        ConfigError: no ``debias`` in the config, a folder that cannot be written or was made in another way.
        MissingFileError, DataError: no pseudo masks, none that can be used.
    """
    import torch
    folder, out = Path(folder), Path(out)
    index = read_index(str(folder))
    if index['made'].get('debiased'):
        raise ConfigError(f"{folder} is debiased already (from {index['made'].get('source')}); give the folder of "
                          '`mmseg-weak pseudo-label`.')
    if out.resolve() == folder.resolve():
        raise ConfigError(f'out is {out}, the folder that is read; give another one.')
    classes = list(index['classes'])
    if len(classes) > BIASED:
        raise ConfigError(f'{folder} has {len(classes)} classes, and the value {BIASED} is needed for biased pixels; '
                          f'at most {BIASED} classes fit.')
    cfg = load_config(config, cfg_options)
    if not cfg.get('debias'):
        raise ConfigError(f'{config} has no key `debias`; give a config of MARS, such as mars_toyworld, or add '
                          'debias=dict(extractor=dict(backbone=...)).')
    check_writable(out, out / 'masks')
    init_default_scope('mmseg')
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    worker = Debiaser(**cfg.debias, num_classes=len(classes), device=device)
    result = DebiasResult(out)
    items, marks = _readable(folder, index['images'], result)
    settings = dict(config=find_config(config).name, debias=cfg.debias.to_dict(), masks=marks)
    settle_settings(out, settings, overwrite)
    _look_at_all(worker, folder, items, quiet)
    _write_all(worker, folder, out, items, classes, index, result, overwrite, quiet)
    made = dict(config=find_config(config).name, debiased=True, source=str(folder.resolve()))
    records = Records(out).read()
    rows = [records[item['name']] for item in items if item['name'] in records]
    write_index(out, rows, classes, index['palette'] or voc_palette(len(classes)), made, 'DebiasedLabelDataset')
    write_sheet(out, pictures)
    _count(result, rows, classes)
    return result


def _readable(folder: Path, items: Sequence[dict], result: DebiasResult) -> tuple[list[dict], str]:
    """The images whose masks are there, and a mark of all of these masks."""
    digest, found = hashlib.sha256(), []
    for item in items:
        path = folder / item['mask']
        if not path.is_file():
            continue  # deleted on purpose: PseudoLabelDataset leaves its image out, too
        digest.update(path.read_bytes())
        found.append(item)
    if not found:
        raise DataError(f'{folder} has no mask left of {len(items)} in its index; run pseudo-label again.')
    return found, digest.hexdigest()[:16]


def _read(folder: Path, item: dict, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    image, mask = decode_image(item['image']), decode_mask(str(folder / item['mask']))
    if image.shape[:2] != mask.shape:
        raise DataError(f'{folder / item["mask"]} is {mask.shape[1]}x{mask.shape[0]} pixels and its image '
                        f'{image.shape[1]}x{image.shape[0]}; give masks of the size of their images.')
    most = int(mask[mask != _IGNORE].max(initial=0))
    if most >= num_classes:
        raise DataError(f'{folder / item["mask"]} holds {most}, and there are {num_classes} classes; mend the mask.')
    return image, mask


def _look_at_all(worker: Debiaser, folder: Path, items: Sequence[dict], quiet: bool) -> None:
    """First pass: the centroids of the whole set."""
    step = -(-len(items) // _MOST_MEASURED)
    images = []
    for item in items[::step] if worker.centre else ():
        try:
            images.append(decode_image(item['image']))
        except (DataError, MissingFileError):
            continue
    if images:
        worker.measure(images)
    for item in progress(items, 'debias: centroids', quiet=quiet):
        try:
            worker.look(*_read(folder, item, worker.num_classes))
        except (DataError, MissingFileError):
            continue  # said in the second pass
    worker.settle()


def _write_all(worker: Debiaser, folder: Path, out: Path, items: Sequence[dict], classes: Sequence[str], index: dict,
               result: DebiasResult, overwrite: bool, quiet: bool) -> None:
    """Second pass: masks, each after its record."""
    records = Records(out)
    known = records.read()
    states = {item['name']: records.state(item['name'], known) for item in items}
    result.corrected = [name for name, state in states.items() if state == 'corrected']
    if overwrite:
        records.forget(keep=result.corrected)
    palette = [list(map(int, colour)) for colour in index['palette'] or voc_palette(len(classes))]
    palette += [[255, 255, 255]] * (BIASED - len(palette)) + [list(_BIASED_COLOUR)]
    for item in progress(items, 'debias: masks', quiet=quiet):
        name = item['name']
        if states[name] == 'corrected' or (states[name] == 'done' and not overwrite):
            result.skipped += 1
            continue
        try:
            image, mask = _read(folder, item, len(classes))
            shown = [c for c in np.unique(mask).tolist() if c not in (0, _IGNORE)]
            tags = shown if item.get('tags') is None else [classes.index(tag) for tag in item['tags']]
            _, biased = worker.debias(image, mask, tags)
        except (DataError, MissingFileError) as error:
            result.broken.append((item['image'], str(error)))
            continue
        found = np.where(biased, np.uint8(BIASED), mask)
        data = mask_png(found, palette)
        counts = np.bincount(found.ravel(), minlength=256)
        before = np.bincount(mask.ravel(), minlength=256)
        left = [c for c in shown if counts[c]]
        records.add('debias', dict(
            item, mark=file_mark(data), shape=list(found.shape), foreground=float(counts[1:BIASED].sum() / found.size),
            unknown=float(counts[_IGNORE] / found.size), biased=float(counts[BIASED] / found.size),
            shown=[classes[c] for c in left], tags=[classes[c] for c in tags],
            not_shown=[classes[c] for c in tags if c not in left],
            pixels={classes[c]: [int(before[c] - counts[c]), int(before[c])] for c in shown}))
        write_bytes(records.mask(name), data)
        result.written += 1
    if result.broken and not (result.written or result.skipped):
        raise DataError(f'none of {len(result.broken)} masks could be used; the first: {result.broken[0][1]}')


def _count(result: DebiasResult, rows: Sequence[dict], classes: Sequence[str]) -> None:
    """How much is biased, in all and by class."""
    total = {name: np.zeros(2, np.int64) for name in classes}
    for row in rows:
        for name, pair in row.get('pixels', {}).items():
            total[name] += pair
    result.by_class = {name: (float(biased / pixels), int(pixels))
                       for name, (biased, pixels) in total.items() if pixels}
    biased, pixels = sum(total.values())
    result.biased_ratio = float(biased / max(pixels, 1))
