"""Images with image-level tags, from CSV, JSON, a .npy dict, folder names, or masks."""
import csv
import io
import json
import os.path as osp
import pickle
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine import fileio
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from mmseg_weak.errors import ConfigError, DataError, MissingFileError, near

from .folder import _FileDataset, resolve
from .lists import Pair
from .masks import check_values, decode_mask
from .transforms.supervision import image_rng, noisy_tags, tags_of

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


def _coco_tags(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Class names of each image of a COCO annotation file, crowds included."""
    names = {item['id']: item['name'] for item in content['categories']}
    files = {item['id']: item['file_name'] for item in content['images']}
    found: dict[str, list[str]] = {name: [] for name in files.values()}
    for item in content['annotations']:
        tags, name = found[files[item['image_id']]], names[item['category_id']]
        if name not in tags:
            tags.append(name)
    return found


def _voc_tags(folder: str) -> dict[str, list[str]]:
    """Class names of each image of a folder of VOC's XML files, difficult objects included."""
    found = {}
    for name in sorted(fileio.list_dir_or_file(folder, list_dir=False, suffix='.xml')):
        try:
            tree = ElementTree.fromstring(_read(osp.join(folder, name)))
        except ElementTree.ParseError as error:
            raise DataError(f'{osp.join(folder, name)} is not valid XML: {error}.') from error
        tags = [str(item.findtext('name')).strip() for item in tree.iter('object')]
        found[osp.splitext(name)[0]] = list(dict.fromkeys(tags))
    return found


def load_tag_file(path: str) -> dict[str, Any]:
    """Read a tag file as image name -> tags, the tags as the file gives them.

    JSON: ``{"image": [tags]}``, or COCO's instance annotations. CSV: ``image,tag,tag`` or ``image,"tag;tag"``, a header
    line is recognised. ``.npy``: the usual ``cls_labels.npy`` dict of multi-hot vectors. A folder: VOC's XML files.

    Raises:
        ConfigError: an ending that is none of these.
        DataError: the file holds no table.
    """
    suffix = osp.splitext(path)[1].lower()
    if fileio.isdir(path):
        table = _voc_tags(path)
    elif suffix == '.npy':
        table = safe_load_npy(path)
    elif suffix == '.json':
        try:
            table = json.loads(_read(path).decode('utf-8-sig'))
        except ValueError as error:
            raise DataError(f'{path} is not valid JSON: {error}.') from error
        if isinstance(table, dict) and {'images', 'annotations', 'categories'} <= set(table):
            table = _coco_tags(table)
    elif suffix in ('.csv', '.tsv', '.txt'):
        text = _read(path).decode('utf-8-sig')
        rows = [row for row in csv.reader(io.StringIO(text), delimiter='\t' if '\t' in text else ',') if row]
        if rows and rows[0][0].strip().lower() in ('image', 'img', 'file', 'filename', 'name', 'id', 'path'):
            rows = rows[1:]
        table = {row[0].strip(): _cells(row[1:]) for row in rows}
    else:
        raise ConfigError(
            f'dataset.tags={path!r}: the ending {suffix!r} is unknown; use .json, .csv or .npy, or a folder of VOC '
            'XML files.'
        )
    if not isinstance(table, Mapping) or not table:
        raise DataError(f'{path} holds no table of images and tags; give a mapping of image name to tags.')
    return dict(table)


@DATASETS.register_module()
class ImageLabelDataset(_FileDataset):
    """Images with tags, as ``gt_image_label``: multi-hot (C,) uint8 over the foreground classes.

    An image without any tag (``[]``) is legal: it shows background only. A class that no image shows is said once.

    Args:
        images: folder of the images.
        tags: tag file (see :func:`load_tag_file`); ``'folders'`` where each image lies in a folder named after its
            class; ``'masks'`` to derive them from ``masks``. Tags are class names or class indices; multi-hot
            vectors may cover the foreground classes or all classes.
        masks: folder of masks, read only for ``tags='masks'`` and ``with_masks``.
        with_masks: hand the masks out as well, to evaluate seeds; training never sets it.
        tag_noise: arguments of :func:`.noisy_tags` and ``seed``; the same for an image in every run. For example
            ``dict(missing_ratio=0.1)`` or ``dict(swap_ratio=0.1)``.
        min_area_px: pixels from which a class of a mask is a tag.
        classes: all class names, the background's among them, or the name of a dataset that mmseg knows.
        background: index of the class that has no tag; None where every class is foreground.
        list_file, data_root, subset, img_suffix, seg_map_suffix, palette: as in ``FolderSegDataset``.

    Raises:
        DataError: where an image has no entry, or a tag is no class.
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
                 masks: str | None = None,
                 seg_map_suffix: str | None = None,
                 with_masks: bool = False,
                 tag_noise: dict | None = None,
                 min_area_px: int = 1,
                 **kwargs: Any) -> None:
        if not classes and not (metainfo or {}).get('classes') and not self.METAINFO.get('classes'):
            raise ConfigError(
                'ImageLabelDataset: `classes` is missing; list all class names, the background first.'
            )
        if (tags == 'masks' or with_masks) and not (masks or list_file):
            raise ConfigError(
                f"{type(self).__name__}: tags={tags!r} with with_masks={with_masks} reads masks; give `masks`, their "
                'folder, or a list_file that names them.'
            )
        self.tags = tags
        self.background = background
        self.with_masks = with_masks
        self.tag_noise = dict(tag_noise or {})
        self.min_area_px = min_area_px
        reads = tags == 'masks' or with_masks
        files = dict(
            images=images,
            masks=masks if reads else None,
            list_file=list_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix if reads else None,
            mask_replace=None,
        )
        super().__init__(files, subset, classes, palette, metainfo, data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the images and their tags."""
        pairs = self._pairs()
        if self.tags == 'masks' or self.with_masks:
            missing = [pair.image for pair in pairs if pair.mask is None]
            if missing:
                raise DataError(f'{len(missing)} of {len(pairs)} images have no mask in {self.files["masks"]} (first: '
                                f'{missing[0]}); a mask has the stem of its image.')
        if self.tags == 'masks':
            labels = [self._of_mask(pair.mask) for pair in pairs]
        else:
            if self.tags == 'folders':
                found = [[osp.basename(osp.dirname(pair.image))] for pair in pairs]
            else:
                found = self._from_file(pairs, resolve(self.tags, self.root, where_user_stands=True))
            labels = [self._multi_hot(tags, pair.image) for tags, pair in zip(found, pairs)]
        noise = {key: value for key, value in self.tag_noise.items() if key != 'seed'}
        if any(noise.values()):
            labels = [noisy_tags(label, image_rng(pair.image, self.tag_noise.get('seed', 0)), **noise)
                      for label, pair in zip(labels, pairs)]
        self._say_unused(labels)
        infos = [dict(self._info(pair), gt_image_label=label) for pair, label in zip(pairs, labels)]
        if self.with_masks:
            infos = [dict(info, seg_map_path=pair.mask, num_classes=self.num_classes)
                     for info, pair in zip(infos, pairs)]
        return infos

    def _of_mask(self, path: str) -> np.ndarray:
        mask = decode_mask(path)
        check_values(mask, self.num_classes, path)
        return tags_of(mask, self.num_classes, self.background, self.min_area_px)

    def _say_unused(self, labels: Sequence[np.ndarray]) -> None:
        """Name the classes that no training image shows."""
        if self.test_mode or not labels:
            return
        classes = [name for i, name in enumerate(self._metainfo['classes']) if i != self.background]
        unused = [name for name, count in zip(classes, np.sum(labels, 0)) if not count]
        if unused:
            print_log(f'{len(unused)} of {len(classes)} classes are the tag of none of {len(labels)} images and cannot '
                      f'be learned: {", ".join(unused)}.', logger='current', level=30)

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
