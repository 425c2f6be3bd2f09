"""Referring expressions: an image, an object in it, and sentences that mean it; from people's own files and RefCOCO's.

A sentence is one of its object's; sentences of other objects of the same image are its negatives. Masks are for
evaluation, or made by a method.
"""
import csv
import io
import json
import os.path as osp
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_weak.errors import ConfigError, DataError, MissingFileError, near

from .pairs import take_subset

__all__ = ['RefCOCODataset', 'ReferredObject', 'ReferringDataset', 'read_objects', 'read_refcoco']

_KEYS = ('image', 'expression', 'expressions', 'mask', 'value', 'box', 'object')


class ReferredObject(NamedTuple):
    """An object that sentences mean.

    Attributes:
        image: path of its image.
        expressions: sentences, one at least.
        mask: file of its mask; any value above 0 is the object, or ``value`` alone.
        value: see ``mask``.
        segmentation: COCO's polygons or run lengths, in the place of a file.
        box: x0, y0, x1, y1, pixels.
        name: unique; names what is written about it.
    """
    image: str
    expressions: tuple[str, ...]
    mask: str | None = None
    value: int | None = None
    segmentation: Any = None
    box: tuple[float, float, float, float] | None = None
    name: str = ''


def _text(path: str, what: str) -> str:
    if not fileio.exists(path):
        raise MissingFileError(f'There is no file {path}; give {what}.')
    try:
        return fileio.get(path).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DataError(f'{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.') from None


def _json(path: str, what: str) -> Any:
    try:
        return json.loads(_text(path, what))
    except ValueError as error:
        raise DataError(f'{path} is not valid JSON: {error}.') from None


def read_objects(path: str) -> tuple[list[dict], int | None]:
    """Objects of a file of one's own, as dicts, and the value of unknown pixels in its masks (None: there are none).

    JSON: a list of ``{"image": ..., "expression": ... or "expressions": [...], "mask": ..., "value": ..., "box": [x0,
    y0, x1, y1]}``, of which image and a sentence are needed; or ``{"objects": [such a list], "unknown": 255}``. CSV or
    TSV: a header with ``image`` and ``expression`` and, if wanted, ``mask``, ``value``, ``object``, ``x0``, ``y0``,
    ``x1``, ``y1``; rows of one image with the same ``object`` (or mask) mean one object.

    Raises:
        MissingFileError, DataError: no such file, or one that cannot be understood; the entry is named.
    """
    ending = osp.splitext(path)[1].lower()
    if ending == '.json':
        content = _json(path, 'a .json or .csv of images and expressions')
        unknown = content.get('unknown') if isinstance(content, dict) else None
        rows = content.get('objects') if isinstance(content, dict) else content
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f'{path} holds no list of objects; give [{{"image": ..., "expression": ...}}, ...].')
    elif ending in ('.csv', '.tsv'):
        rows, unknown = _rows(path, '\t' if ending == '.tsv' else ','), None
    else:
        raise ConfigError(f'{path} ends in {ending!r}; referring expressions come as .json, .csv or .tsv.')
    found = [_checked(row, number, path) for number, row in enumerate(rows)]
    if not found:
        raise DataError(f'{path} holds no object; write at least one image with a sentence.')
    return found, unknown


def _rows(path: str, separator: str) -> list[dict]:
    lines = list(csv.DictReader(io.StringIO(_text(path, 'a table of images and expressions')), delimiter=separator))
    header = [name.strip().lower() for name in (lines[0] if lines else {})]
    for need in ('image', 'expression'):
        if lines and need not in header:
            raise DataError(f'{path} has no column {need!r}. {near(need, header)} Its header reads '
                            f'{", ".join(header)}.'.replace('  ', ' '))
    objects: dict[tuple, dict] = {}
    for number, line in enumerate(lines):
        row = {key.strip().lower(): (value or '').strip() for key, value in line.items() if key}
        mark = row.get('object') or (row['mask'], row.get('value')) if row.get('mask') or row.get('object') else number
        one = objects.setdefault((row['image'], mark), dict(image=row['image'], expressions=[]))
        one['expressions'].append(row['expression'])
        try:
            if row.get('mask'):
                one['mask'] = row['mask']
            if row.get('value'):
                one['value'] = int(row['value'])
            if all(row.get(key) for key in ('x0', 'y0', 'x1', 'y1')):
                one['box'] = [float(row[key]) for key in ('x0', 'y0', 'x1', 'y1')]
        except ValueError as error:
            raise DataError(f'Line {number + 2} of {path} holds what is no number ({error}); mend value and box.'
                            ) from None
    return list(objects.values())


def _checked(row: dict, number: int, path: str) -> dict:
    wrong = next((key for key in row if key not in _KEYS), None)
    if wrong is not None:
        raise DataError(f'Object {number} of {path} has the key {wrong!r}, which is none of {", ".join(_KEYS)}. '
                        f'{near(wrong, _KEYS)}'.rstrip())
    said = row.get('expressions') or row.get('expression') or []
    sentences = [' '.join(str(text).split()) for text in ([said] if isinstance(said, str) else said)]
    sentences = [text for text in sentences if text]
    if not row.get('image') or not sentences:
        raise DataError(f'Object {number} of {path} has {"no sentence" if row.get("image") else "no image"}; both are '
                        'needed.')
    box = row.get('box')
    if box is not None and (len(box) != 4 or not box[0] < box[2] or not box[1] < box[3]):
        raise DataError(f'Object {number} of {path} has the box {box}; give x0, y0, x1, y1 with x0 < x1 and y0 < y1.')
    return dict(row, expressions=sentences, box=None if box is None else tuple(map(float, box)))


def read_refcoco(refs: str, instances: str, split: str) -> list[dict]:
    """Objects of RefCOCO, RefCOCO+ or G-Ref as dicts.

    Args:
        refs: ``refs(unc).json``, which ``tools/dataset_converters/refcoco.py`` makes of the released pickle.
        instances: ``instances.json`` as released.
        split: 'train', 'val', 'test', 'testA', 'testB', ...

    Raises:
        MissingFileError, DataError: a file that is not there, or not as released.
        ConfigError: a split that the file does not have.
    """
    content = _json(refs, 'refs(...).json, made by tools/dataset_converters/refcoco.py')
    coco = _json(instances, 'instances.json, as released with the expressions')
    try:
        names = {image['id']: image['file_name'] for image in coco['images']}
        marks = {mark['id']: mark for mark in coco['annotations']}
        splits = sorted({ref['split'] for ref in content})
        last = split[-1] if split in ('testA', 'testB', 'testC') else None
        chosen = [ref for ref in content if ref['split'] == split or (split == 'test' and 'test' in ref['split'])
                  or (last and 'test' in ref['split'] and last in ref['split'])]
        found = []
        for ref in chosen:
            mark = marks[ref['ann_id']]
            x, y, w, h = mark['bbox']
            found.append(dict(image=names[ref['image_id']], segmentation=mark['segmentation'],
                              expressions=[sentence['sent'] for sentence in ref['sentences']],
                              box=(x, y, x + w, y + h), object=str(ref['ref_id'])))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{refs} and {instances} are not as released ({type(error).__name__}: {error}); download them '
                        'again.') from error
    if not found:
        raise ConfigError(f'{refs} has no split {split!r}. {near(split, splits)} It has {", ".join(splits)}.'
                          .replace('  ', ' '))
    return found


@DATASETS.register_module()
class ReferringDataset(BaseSegDataset):
    """Images with sentences that mean an object of theirs.

    In training a sample is an object with one of its sentences, drawn anew each time, and ``negatives`` sentences of
    other objects: of the same image where it has others, else of any. In evaluation (``test_mode``) it is an object
    with one of its sentences, each in turn. Keys of a sample: ``expression``, ``negatives``, ``image_expressions`` (all
    sentences about the image), ``gt_boxes`` where there is one, and what ``LoadReferredMask`` draws the mask from.

    Args:
        objects: file of :func:`read_objects`, or its dicts.
        images: folder of the images, to which paths are relative.
        masks: folder of the masks; that of the images by default.
        data_root: folder to which both are relative.
        negatives: number of negative sentences. Paper (TRIS): 3.
        with_masks: say where masks lie; an object without one is an error then. By default in evaluation alone.
        subset: part of the objects, see :func:`.pairs.take_subset`.
        pipeline: steps.
        **kwargs: of mmseg's ``BaseSegDataset``.

    Raises:
        MissingFileError, DataError, ConfigError: see :func:`read_objects`; or no sentence to take as a negative.
    """
    METAINFO = dict(classes=('background', 'referred'), palette=[[0, 0, 0], [220, 60, 60]])

    def __init__(self, objects: str | Sequence[dict] = (), images: str = '', masks: str | None = None,
                 data_root: str | None = None, negatives: int = 0, with_masks: bool | None = None,
                 subset: dict | Sequence[int] | None = None, pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False, **kwargs: Any) -> None:
        root = data_root or ''
        self.source, self.images = objects, osp.join(root, images)
        self.masks = osp.join(root, masks) if masks is not None else self.images
        self.num_negatives, self.subset, self.unknown = negatives, subset, None
        self.with_masks = test_mode if with_masks is None else with_masks
        self.objects: list[ReferredObject] = []
        self.neighbours: dict[str, list[int]] = {}
        steps = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]
        super().__init__(ann_file='', data_prefix=dict(img_path=''), pipeline=steps, test_mode=test_mode, **kwargs)

    def read(self) -> tuple[list[dict], int | None]:
        """Objects as dicts, and the value of unknown pixels."""
        return read_objects(self.source) if isinstance(self.source, str) else (
            [_checked(row, number, 'objects') for number, row in enumerate(self.source)], None)

    def load_data_list(self) -> list[dict]:
        """Find the objects."""
        rows, self.unknown = self.read()
        self.objects = take_subset([self._object(row, number) for number, row in enumerate(rows)], self.subset)
        for number, one in enumerate(self.objects):
            self.neighbours.setdefault(one.image, []).append(number)
        if self.with_masks:
            missing = [one for one in self.objects if one.mask is None and one.segmentation is None]
            if missing:
                raise DataError(f'{len(missing)} of {len(self.objects)} objects have no mask (first: '
                                f'{missing[0].expressions[0]!r} in {missing[0].image}); evaluation needs them.')
        if self.num_negatives and len({text for one in self.objects for text in one.expressions}) < 2:
            raise DataError('All objects have the same sentence, so there is no negative; give more objects, or '
                            'negatives=0.')
        pairs = [(number, place) for number, one in enumerate(self.objects)
                 for place in (range(len(one.expressions)) if self.test_mode else (None, ))]
        return [dict(img_path=self.objects[number].image, object=number, sentence=place, label_map=None,
                     reduce_zero_label=False, seg_fields=[]) for number, place in pairs]

    def _object(self, row: dict, number: int) -> ReferredObject:
        mask = row.get('mask')
        return ReferredObject(
            osp.join(self.images, row['image']), tuple(row['expressions']),
            None if mask is None else osp.join(self.masks, mask), row.get('value'), row.get('segmentation'),
            row.get('box'), f'{number:06d}_{osp.splitext(osp.basename(row["image"]))[0]}')

    def get_data_info(self, idx: int) -> dict:
        """A sample before its image is read; sentences are drawn by numpy's generator."""
        info = super().get_data_info(idx)
        number, place = info['object'], info.pop('sentence')
        one = self.objects[number]
        place = np.random.randint(len(one.expressions)) if place is None else place
        about = [text for other in self.neighbours[one.image] for text in self.objects[other].expressions]
        info.update(expression=one.expressions[place], image_expressions=about, expressions=list(one.expressions),
                    object_name=one.name, negatives=self._negatives(number, one.expressions[place]))
        if one.box is not None:
            info.update(gt_boxes=np.array([one.box], np.float32), gt_box_labels=np.ones(1, np.int64))
        if self.with_masks:
            info.update(referred_mask=dict(mask=one.mask, value=one.value, segmentation=one.segmentation,
                                           unknown=self.unknown), seg_map_path=one.mask)
        return info

    def _negatives(self, number: int, expression: str) -> list[str]:
        """Sentences of other objects, drawn with replacement."""
        others = [n for n in self.neighbours[self.objects[number].image]
                  if n != number and any(text != expression for text in self.objects[n].expressions)]
        found: list[str] = []
        while len(found) < self.num_negatives:
            other = others[np.random.randint(len(others))] if others else np.random.randint(len(self.objects))
            sentences = self.objects[other].expressions
            text = sentences[np.random.randint(len(sentences))]
            if text != expression:
                found.append(text)
        return found


@DATASETS.register_module()
class RefCOCODataset(ReferringDataset):
    """RefCOCO, RefCOCO+ or G-Ref; see :func:`read_refcoco`.

    Args:
        refs, instances: their files, relative to ``data_root``.
        split: of the expressions.
        images: folder of COCO 2014's training images, relative to ``data_root``.
        **kwargs: of :class:`ReferringDataset`.
    """

    def __init__(self, refs: str, instances: str, split: str = 'train', images: str = 'train2014',
                 data_root: str | None = None, **kwargs: Any) -> None:
        self.files, self.split = tuple(osp.join(data_root or '', path) for path in (refs, instances)), split
        super().__init__(images=images, data_root=data_root, **kwargs)

    def read(self) -> tuple[list[dict], int | None]:
        """Join the two files."""
        return read_refcoco(*self.files, self.split), None
