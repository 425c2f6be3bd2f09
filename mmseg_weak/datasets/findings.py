"""What a look at the data found: structured findings, from which errors, reports and configs are made."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from mmengine import fileio

from mmseg_weak.errors import DataError, MissingFileError, WeakError

from .headers import FileInfo, read_header
from .lists import Pair
from .masks import RGB_HINT, check_values, decode_mask

__all__ = ['Finding', 'check_images', 'check_pairs', 'raise_first']

_MASK_MODES = ('L', 'P', '1', 'I', 'I;16', 'I;16B', 'LA', 'PA')


@dataclass
class Finding:
    """One kind of fault (or remark) and all files that show it.

    Attributes:
        kind: 'missing', 'broken', 'rgb_mask', 'size', 'values', 'empty', 'no_mask', 'unused_mask', 'turned',
            ...
        text: the whole sentence, with counts and the first file.
        files: every file concerned.
        fatal: whether training cannot start with it.
    """
    kind: str
    text: str
    files: list[str] = field(default_factory=list)
    fatal: bool = True


def _first(files: Sequence[str]) -> str:
    return f'(first: {files[0]})'


def check_images(paths: Iterable[str], total: int) -> tuple[dict[str, FileInfo], list[Finding]]:
    """Headers of images and the findings about broken ones.

    Args:
        paths: image files.
        total: how many there are, for the sentence.
    """
    infos, missing, broken, reason = {}, [], [], ''
    for path in paths:
        try:
            infos[path] = read_header(path)
        except MissingFileError:
            missing.append(path)
        except DataError as error:
            broken.append(path)
            reason = reason or str(error)
    found = []
    if missing:
        found.append(
            Finding(
                'missing',
                f'{len(missing)} of {total} images do not exist {_first(missing)}; check the '
                'folder or the list file that names them.',
                missing,
            )
        )
    if broken:
        found.append(
            Finding(
                'broken', f'{len(broken)} of {total} images cannot be read {_first(broken)}: {reason}', broken
            )
        )
    return infos, found


def check_pairs(pairs: Sequence[Pair],
                num_classes: int | None,
                level: str = 'headers',
                color_table: Mapping[int, int] | None = None,
                reduce_zero_label: bool = False,
                ignore_index: int = 255,
                on_mask: Callable[[Pair, np.ndarray], None] | None = None,
                exif: bool = False,
                watch: Callable[[Sequence, str], Iterable] | None = None) -> list[Finding]:
    """Check images and masks.

    Args:
        pairs: images with masks; pairs without a mask are passed over.
        num_classes: number of classes; None skips the check of values.
        level: ``'exists'`` (opens nothing), ``'headers'`` (sizes, modes, truncation), ``'full'`` (all
            values).
        color_table: for RGB masks, from :func:`.masks.colour_table`.
        reduce_zero_label: whether 0 means unknown and the classes start at 1.
        exif: whether images are turned as their EXIF tag says before they meet their masks.
        on_mask: called with every decoded mask at level ``'full'``, to gather statistics.
        watch: called with a list and a word for it, walks over the list: a progress bar.

    Returns:
        Findings, worst first; empty where all is well.
    """
    pairs = [pair for pair in pairs if pair.mask is not None]
    total = len(pairs)
    found: list[Finding] = []
    missing = [pair.mask for pair in pairs if not fileio.exists(pair.mask)]
    if missing:
        found.append(
            Finding(
                'missing',
                f'{len(missing)} of {total} masks do not exist {_first(missing)}; every '
                'labelled image needs its mask.',
                missing,
            )
        )
    if level == 'exists':
        absent = [pair.image for pair in pairs if not fileio.exists(pair.image)]
        if absent:
            found.append(
                Finding(
                    'missing',
                    f'{len(absent)} of {total} images do not exist {_first(absent)}; check '
                    'the folder or the list file that names them.',
                    absent,
                )
            )
        return found
    gone = set(missing)
    watch = watch or (lambda items, what: items)
    infos, of_images = check_images(watch([pair.image for pair in pairs], 'images'), total)
    found += of_images
    rgb, broken, sizes, values, reasons = [], [], [], [], {}
    for pair in watch(pairs, 'masks'):
        if pair.mask in gone:
            continue
        try:
            info = read_header(pair.mask)
            if info.mode not in _MASK_MODES and color_table is None:
                rgb.append(pair.mask)
                continue
            image = infos.get(pair.image)
            if image and _seen_size(image, exif) != (info.width, info.height):
                sizes.append(pair.mask)
                turned = not exif and _seen_size(image, exif=True) == (info.width, info.height)
                reasons.setdefault('size', f'{info.width}x{info.height} where its image {pair.image} has '
                                   f'{image.width}x{image.height}' +
                                   (' (its EXIF tag turns it: set exif=True in LoadImage)' if turned else ''))
                continue
            if level == 'full':
                mask = decode_mask(pair.mask, color_table)
                if on_mask:
                    on_mask(pair, mask)
                if num_classes is not None:
                    _check(mask, num_classes, pair.mask, reduce_zero_label, ignore_index)
        except WeakError as error:
            kind = 'values' if 'class index' in str(error) else 'broken'
            (values if kind == 'values' else broken).append(pair.mask)
            reasons.setdefault(kind, str(error))
    if rgb:
        found.append(
            Finding('rgb_mask', f'{len(rgb)} of {total} masks are RGB {_first(rgb)}; {RGB_HINT}', rgb)
        )
    if broken:
        found.append(Finding('broken', f'{len(broken)} of {total} masks cannot be read {_first(broken)}: '
                             f'{reasons["broken"]}', broken))
    if sizes:
        found.append(Finding('size', f'{len(sizes)} of {total} masks differ in size from their image '
                             f'{_first(sizes)}: {reasons["size"]}; give both the same size.', sizes))
    if values:
        found.append(Finding('values', f'{len(values)} of {total} masks hold values outside the classes '
                             f'{_first(values)}: {reasons["values"]}', values))
    return found


def _seen_size(image: FileInfo, exif: bool) -> tuple[int, int]:
    """Width and height as loaded; EXIF orientations 5 to 8 swap them."""
    size = image.width, image.height
    return size[::-1] if exif and image.orientation >= 5 else size


def _check(mask: np.ndarray, num_classes: int, path: str, reduce_zero_label: bool, ignore_index: int) -> None:
    if reduce_zero_label:
        num_classes += 1
    check_values(mask, num_classes, path, ignore_index)


def raise_first(findings: Sequence[Finding]) -> None:
    """Raise the first fatal finding, and say how many others there are.

    Raises:
        MissingFileError: where files are missing.
        DataError: for any other fault.
    """
    fatal = [finding for finding in findings if finding.fatal]
    if not fatal:
        return
    text = fatal[0].text
    if len(fatal) > 1:
        text += f' (And {len(fatal) - 1} more kind(s) of fault; `mmseg-weak check-data` lists all.)'
    raise (MissingFileError if fatal[0].kind == 'missing' else DataError)(text)
