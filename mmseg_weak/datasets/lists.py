"""Read the list files in which split protocols are published.

Two forms exist and both are read as they are: one entry a line (a bare id such as ``2007_000733``, or an
image path), or ``image mask`` a line, separated by a space or a TAB (UniMatch, CPS on Cityscapes). Windows
line ends, a missing last newline, blank lines and a byte order mark are harmless. Masks are only *named*
here, never opened.
"""
import os.path as osp
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmengine import fileio

from mmseg_weak.errors import DataError, MissingFileError

__all__ = ['IMAGE_SUFFIXES', 'Pair', 'read_lines', 'read_pairs', 'split_columns']

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')


class Pair(NamedTuple):
    """One image and, where it has one, its mask; both full paths."""
    image: str
    mask: str | None = None


def read_lines(path: str) -> list[str]:
    """Entries of a list file, without blank lines.

    Raises:
        MissingFileError: where the file is not there.
        DataError: where it holds no entry.
    """
    if not fileio.exists(path):
        raise MissingFileError(
            f'List file {path} does not exist; give the path of a text file with one image a line.'
        )
    text = fileio.get_text(path, encoding='utf-8-sig')
    lines = [line.strip(' \t\r') for line in text.replace('\r\n', '\n').replace('\r', '\n').split('\n')]
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(
            f'List file {path} is empty; it needs at least one line: an image, or an image and its mask.'
        )
    return lines


def _is_image(path: str) -> bool:
    return path.lower().endswith(IMAGE_SUFFIXES)


def split_columns(line: str, exists: Callable[[str], bool]) -> tuple[str, str | None]:
    """Split a line into image and mask, also where paths contain spaces.

    A TAB always separates. Otherwise every space at which both sides could be image files is a candidate;
    where there are several, the one whose left side exists is taken; a line that exists as a whole is one
    image.

    Args:
        line: one entry, stripped.
        exists: tells whether an image path, relative to the data root, is there.

    Returns:
        Image and mask; mask is None for an entry of one column.

    >>> split_columns('JPEGImages/a.jpg SegmentationClass/a.png', lambda path: True)
    ('JPEGImages/a.jpg', 'SegmentationClass/a.png')
    >>> split_columns('2007_000733', lambda path: False)
    ('2007_000733', None)
    """
    if '\t' in line:
        image, mask = re.split(r'\s*\t\s*', line, maxsplit=1)
        return image, mask
    cuts = [(line[:m.start()].rstrip(), line[m.end():].lstrip()) for m in re.finditer(' +', line)]
    cuts = [cut for cut in cuts if _is_image(cut[0]) and _is_image(cut[1])]
    if len(cuts) > 1:
        cuts = [cut for cut in cuts if exists(cut[0])] or cuts
    if cuts and not (exists(line) and not exists(cuts[0][0])):
        return cuts[0]
    parts = line.split()
    if len(parts) == 2 and not _is_image(line) and not exists(line):
        return parts[0], parts[1]  # two bare ids
    return line, None


def _join(root: str | None, path: str) -> str:
    """Join to the root; lists of some projects start their relative paths with a slash."""
    if not root or (osp.isabs(path) and fileio.exists(path)):
        return path
    return osp.join(root, path.lstrip('/\\'))


def _find(path: str, root: str | None, folder: str | None, suffixes: Sequence[str]) -> str:
    """First existing reading of an entry; the most likely one where none exists, for the error message."""
    suffixes = ('',) if _is_image(path) else tuple(suffixes)
    bases = [folder, root] if folder else [root]
    tries = [_join(base, path + suffix) for base in bases for suffix in suffixes]
    if _is_image(path) and folder and root:
        tries.reverse()  # a path with its extension is relative to the root in every published list
    for candidate in tries:
        if len(tries) == 1 or fileio.exists(candidate):
            return candidate
    return tries[0]


def read_pairs(path: str,
               data_root: str | None = None,
               images: str | None = None,
               masks: str | None = None,
               img_suffix: str | None = None,
               seg_map_suffix: str = '.png',
               mask_replace: Sequence[Sequence[str]] | None = None) -> list[Pair]:
    """Read a published or own list file.

    Args:
        path: the list file.
        data_root: folder to which the paths in the list are relative.
        images: folder of the images, for lists of bare ids.
        masks: folder of the masks, for lists that name no mask. Without it (and without ``mask_replace``)
            entries of one column have no mask.
        img_suffix: extension of the images of bare ids; None tries the usual ones.
        seg_map_suffix: extension (with any ending of the stem) of the masks of entries of one column.
        mask_replace: pairs of strings ``(old, new)`` that turn an image path into its mask path, for lists
            of image paths such as those of Cityscapes in U2PL.

    Returns:
        Pairs in the order of the file, paths joined with ``data_root``.
    """
    suffixes = (img_suffix, ) if img_suffix else IMAGE_SUFFIXES
    pairs = []
    for line in read_lines(path):
        image, mask = split_columns(line, lambda p: fileio.exists(_join(data_root, p)))
        full = _find(image, data_root, images, suffixes)
        if mask is not None:
            mask = (
                _join(data_root, mask)
                if _is_image(mask)
                else _join(masks or data_root, mask + seg_map_suffix)
            )
        elif mask_replace:
            mask = image
            for old, new in mask_replace:
                mask = mask.replace(old, new)
            mask = _join(data_root, mask)
        elif masks:
            relative = image if not _is_image(image) else osp.splitext(image)[0]
            if _is_image(image) and images:
                inside = osp.relpath(full, images)
                relative = osp.splitext(inside if not inside.startswith('..') else osp.basename(full))[0]
            mask = _join(masks, relative + seg_map_suffix)
        pairs.append(Pair(full, mask))
    return pairs
