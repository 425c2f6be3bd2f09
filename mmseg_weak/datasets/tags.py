"""Images with image-level tags, from CSV, JSON, a .npy dict or folder names."""
import csv
import io
import json
import os.path as osp
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine import fileio
from mmseg.registry import DATASETS

from mmseg_weak.errors import ConfigError, DataError, MissingFileError, near

from .folder import _FileDataset, resolve
from .lists import Pair

__all__ = ['ImageLabelDataset', 'load_tag_file', 'safe_load_npy']

_ALLOWED = {('numpy.core.multiarray', '_reconstruct'), ('numpy._core.multiarray', '_reconstruct'),
            ('numpy.core.multiarray', 'scalar'), ('numpy._core.multiarray', 'scalar'), ('numpy', 'ndarray'),
            ('numpy', 'dtype'), ('_codecs', 'encode')}


class _Restricted(pickle.Unpickler):
    """Unpickler that knows numpy arrays and python's containers, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED or (module.startswith('numpy.dtypes') and name.endswith('DType')):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'{module}.{name}')


def safe_load_npy(path: str) -> Any:
    """Load an array, or the dict that ``np.save`` pickled (``cls_labels*.npy``), without running code from
    the file.

    Raises:
        DataError: where the file wants anything but arrays, strings, numbers and containers.
    """
    stream = io.BytesIO(_read(path))
    try:
        version = np.lib.format.read_magic(stream)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        dtype = reader(stream)[2]
        if not dtype.hasobject:
            stream.seek(0)
            return np.load(stream, allow_pickle=False)
        array = _Restricted(stream, encoding='latin1').load()
    except pickle.UnpicklingError as error:
        raise DataError(
            f'{path} was refused: its pickle asks for {error}, and only arrays, strings and numbers are '
            'loaded. Save the tags as JSON instead.'
        ) from error
    except Exception as error:
        raise DataError(
            f'{path} is not a readable .npy file: {error}. Save the tags as JSON or CSV.'
        ) from error
    return array.item() if getattr(array, 'shape', None) == () else array


def _read(path: str) -> bytes:
    if not fileio.exists(path):
        raise MissingFileError(f'Tag file {path} does not exist; check `tags` of the dataset.')
    return fileio.get(path)


def _cells(row: Sequence[str]) -> list[str]:
    """Tags of a CSV row: further columns, or one column of tags separated by ';', '|' or spaces."""
    cells = [cell.strip() for cell in row if cell.strip()]
    if len(cells) == 1:
        for mark in (';', '|', ' '):
            if mark in cells[0]:
                return [cell for cell in cells[0].split(mark) if cell]
    return cells


def load_tag_file(path: str) -> dict[str, Any]:
    """Read a tag file as image name -> tags, the tags as the file gives them.

    JSON: ``{"image": [tags]}``. CSV: ``image,tag,tag`` or ``image,"tag;tag"``, a header line is recognised.
    ``.npy``: the usual ``cls_labels.npy`` dict of multi-hot vectors.
    """
    suffix = osp.splitext(path)[1].lower()
    if suffix == '.npy':
        table = safe_load_npy(path)
    elif suffix == '.json':
        try:
            table = json.loads(_read(path).decode('utf-8-sig'))
        except ValueError as error:
            raise DataError(f'{path} is not valid JSON: {error}.') from error
    elif suffix in ('.csv', '.tsv', '.txt'):
        text = _read(path).decode('utf-8-sig')
        rows = [row for row in csv.reader(io.StringIO(text), delimiter='\t' if '\t' in text else ',') if row]
        if rows and rows[0][0].strip().lower() in ('image', 'img', 'file', 'filename', 'name', 'id', 'path'):
            rows = rows[1:]
        table = {row[0].strip(): _cells(row[1:]) for row in rows}
    else:
        raise ConfigError(
            f'dataset.tags={path!r}: the ending {suffix!r} is unknown; use .json, .csv or .npy.'
        )
    if not isinstance(table, Mapping) or not table:
        raise DataError(f'{path} holds no table of images and tags; give a mapping of image name to tags.')
    return dict(table)


@DATASETS.register_module()
class ImageLabelDataset(_FileDataset):
    """Images with tags only, as ``gt_image_label``: multi-hot (C,) uint8 over the foreground classes.

    Args:
        images: folder of the images.
        tags: tag file (see :func:`load_tag_file`), or ``'folders'`` where each image lies in a folder named
            after its class. Tags are class names or class indices; multi-hot vectors may cover the
            foreground classes or all classes.
        classes: all class names, the background's among them.
        background: index of the class that has no tag; None where every class is foreground.
        list_file, data_root, subset, img_suffix, palette: as in ``FolderSegDataset``.

    Raises:
        DataError: where an image has no tags, or a tag is no class.
    """

    def __init__(self,
                 images: str | None = None,
                 tags: str = 'folders',
                 list_file: str | None = None,
                 data_root: str | None = None,
                 classes: Sequence[str] | str | None = None,
                 palette: Sequence | None = None,
                 metainfo: dict | None = None,
                 background: int | None = 0,
                 subset: dict | Sequence[int] | None = None,
                 img_suffix: str | None = None,
                 **kwargs: Any) -> None:
        if not classes and not (metainfo or {}).get('classes'):
            raise ConfigError(
                'ImageLabelDataset: `classes` is missing; list all class names, the background first.'
            )
        self.tags = tags
        self.background = background
        files = dict(
            images=images,
            masks=None,
            list_file=list_file,
            img_suffix=img_suffix,
            seg_map_suffix=None,
            mask_replace=None,
        )
        super().__init__(files, subset, classes, palette, metainfo, data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the images and their tags."""
        pairs = self._pairs()
        if self.tags == 'folders':
            found = [[osp.basename(osp.dirname(pair.image))] for pair in pairs]
        else:
            found = self._from_file(pairs, resolve(self.tags, self.root, where_user_stands=True))
        return [dict(self._info(pair), gt_image_label=self._multi_hot(tags, pair.image))
                for pair, tags in zip(pairs, found)]

    def _from_file(self, pairs: Sequence[Pair], path: str) -> list:
        table = load_tag_file(path)
        by_stem = {osp.splitext(osp.basename(key))[0]: value for key, value in table.items()}
        found, missing = [], []
        for pair in pairs:
            name = osp.basename(pair.image)
            tags = table.get(name, by_stem.get(osp.splitext(name)[0]))
            found.append(tags)
            if tags is None:
                missing.append(pair.image)
        if missing:
            raise DataError(
                f'{len(missing)} of {len(pairs)} images have no entry in {path} (first: {missing[0]}); '
                'add their tags, or leave them out with a list_file.'
            )
        return found

    def _multi_hot(self, tags: Any, image: str) -> np.ndarray:
        classes = list(self._metainfo['classes'])
        total, label = len(classes), np.zeros(len(classes), np.uint8)
        if isinstance(tags, np.ndarray):
            if tags.shape == (total, ):
                label[:] = tags > 0
                return label if self.background is None else np.delete(label, self.background)
            if self.background is not None and tags.shape == (total - 1, ):
                return (tags > 0).astype(np.uint8)
            raise DataError(
                f'The tags of {image} have shape {tags.shape}; {total} classes need a vector of {total}'
                + ('' if self.background is None else f' or {total - 1} (foreground only)')
                + ' numbers.'
            )
        for tag in [tags] if isinstance(tags, (str, int)) else tags:
            label[self._index(tag, classes, image)] = 1
        return label if self.background is None else np.delete(label, self.background)

    @staticmethod
    def _index(tag: str | int, classes: list[str], image: str) -> int:
        if isinstance(tag, str) and tag in classes:
            return classes.index(tag)
        number = tag if isinstance(tag, (int, np.integer)) else (int(tag) if str(tag).isdigit() else None)
        if number is None:
            raise DataError(
                f'{image} has the tag {tag!r}, which is no class. {near(str(tag), classes)} Known are '
                f'{len(classes)} classes, first {", ".join(classes[:5])}.'
            )
        if not 0 <= number < len(classes):
            raise DataError(f'{image} has the tag {number}, but there are {len(classes)} classes (0 to '
                            f'{len(classes) - 1}).')
        return int(number)
