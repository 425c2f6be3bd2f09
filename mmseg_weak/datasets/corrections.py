"""Folders of pseudo masks: what was written, and what a person corrected since."""
import hashlib
import json
import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log

from mmseg_weak.errors import DataError, MissingFileError

from .lists import Pair

__all__ = ['INDEX', 'corrected_masks', 'file_mark', 'find_pseudo_folder', 'read_index', 'say_corrected']

INDEX = 'index.json'


def file_mark(data: bytes) -> str:
    """Short hash by which an edited file is noticed."""
    return hashlib.sha256(data).hexdigest()[:16]


def read_index(folder: str) -> dict[str, Any]:
    """The index that `mmseg-weak pseudo-label` wrote: classes, palette, settings, and one entry an image.

    Raises:
        MissingFileError: there is none.
        DataError: it is no index.
    """
    path = osp.join(folder, INDEX)
    if not osp.isfile(path):
        raise MissingFileError(f'{folder} has no {INDEX}: it was not written by `mmseg-weak pseudo-label`, or its '
                               'shards are not done; run that command again without --shard. Give other folders of '
                               'masks to FolderSegDataset.')
    try:
        with open(path, encoding='utf-8') as stream:
            index = json.load(stream)
        return dict(index, images=[dict(item, image=str(item['image']), mask=str(item['mask']), mark=str(item['mark']))
                                   for item in index['images']])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f'{path} is no index of pseudo masks ({type(error).__name__}: {error}); run `mmseg-weak '
                        f'pseudo-label` on this folder again.') from error


def find_pseudo_folder(path: str) -> str | None:
    """The pseudo-label folder that a mask, or a folder of masks, lies in; None where there is none."""
    place = osp.abspath(path)
    for _ in range(6):
        if osp.isfile(osp.join(place, INDEX)) and osp.isdir(osp.join(place, 'masks')):
            return place
        place = osp.dirname(place)
    return None


def corrected_masks(folder: str, names: Sequence[str] | None = None) -> list[str]:
    """Masks that are no longer what was written, by their names below the folder.

    Args:
        folder: of `mmseg-weak pseudo-label`.
        names: masks to look at; all of the index by default.
    """
    marks = {item['mask']: item['mark'] for item in read_index(folder)['images']}
    found = []
    for name in marks if names is None else names:
        path = osp.join(folder, name)
        if name in marks and osp.isfile(path):
            with open(path, 'rb') as stream:
                if file_mark(stream.read()) != marks[name]:
                    found.append(name)
    return found


def say_corrected(pairs: Sequence[Pair]) -> None:
    """Log which masks of a training set come from a pseudo-label folder and which of them were edited since."""
    folders: dict[str, str | None] = {}
    inside: dict[str, list[str]] = {}
    for pair in pairs:
        place = osp.dirname(pair.mask or '')
        if '://' in place:
            continue
        if place not in folders:
            folders[place] = find_pseudo_folder(place)
        if folders[place]:
            inside.setdefault(folders[place], []).append(
                osp.relpath(osp.abspath(pair.mask), folders[place]).replace('\\', '/'))
    for folder, names in inside.items():
        edited = corrected_masks(folder, names)
        text = f'{len(names)} pseudo masks of {folder}'
        if edited:
            shown = ', '.join(edited[:10]) + (', ...' if len(edited) > 10 else '')
            text += f'; {len(edited)} of them were corrected by hand and are trained on as they are now: {shown}.'
        else:
            text += '; none was changed since it was written.'
        print_log(text, logger='current')
