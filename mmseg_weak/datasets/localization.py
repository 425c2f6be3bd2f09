"""Object localisation from the users' own copies: CUB-200-2011, ILSVRC's CLS-LOC, and the lists of Choe et al.

An image has one class (``gt_image_label``, one-hot over the classes without the background), boxes where the files give
them (``gt_boxes``, x0 y0 x1 y1 in pixels as the file has them, and ``gt_box_labels``, counted with the background) and,
for OpenImages30k and CUB's segmentations, masks that ``LoadLocMask`` reads.
"""
import os.path as osp
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_weak.errors import ConfigError, DataError, MissingFileError

from .lists import IMAGE_SUFFIXES, read_lines
from .pairs import list_images, take_subset

__all__ = ['CUBLocalization', 'ILSVRCLocalization', 'LocRecord', 'LocalizationDataset', 'WSOLListDataset']


class LocRecord(NamedTuple):
    """One image.

    Attributes:
        image: its path.
        label: class from 0, the background not counted.
        boxes: (x0, y0, x1, y1) of the objects of that class.
        masks: files of which each shows one object; any value above half is the object.
        ignore: file of what must not count.
    """
    image: str
    label: int
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    masks: tuple[str, ...] = ()
    ignore: str | None = None


def _rows(path: str, separator: str | None, count: int | None) -> Iterator[list[str]]:
    """Lines of a table as lists of cells.

    Raises:
        MissingFileError: there is no such file. DataError: a line has another number of cells.
    """
    if not fileio.exists(path):
        raise MissingFileError(f'{path} does not exist; data_root or metadata must name the folder that holds '
                               f'{osp.basename(path)}, laid out as it is released.')
    for number, line in enumerate(read_lines(path), 1):
        cells = [cell.strip() for cell in line.split(separator)]
        if count is not None and len(cells) != count:
            raise DataError(f'Line {number} of {path} is {line!r}: {count} values were expected, {len(cells)} are '
                            'there.')
        yield cells


def _table(path: str, separator: str | None = None, count: int = 2) -> dict[str, list[str]]:
    """First cell -> the others."""
    return {cells[0]: cells[1:] for cells in _rows(path, separator, count)}


def _number(text: str, path: str, kind: Callable = float) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise DataError(f'{path} holds {text!r} where a number belongs; the file is damaged or of another '
                        'form.') from error


@DATASETS.register_module()
class LocalizationDataset(BaseSegDataset):
    """Base of the readers, and a dataset of records for whoever has his own format (``records``).

    Args:
        records: images, as :class:`LocRecord` or dicts of its fields; a subclass reads them.
        classes: class names without the background, which is put before them, or how many there are; None: as many as
            the labels of this split show.
        subset: part of the images, see :func:`.pairs.take_subset`.
        pipeline: steps.
        **kwargs: of mmseg's ``BaseSegDataset``.

    Raises:
        DataError: there is no image, or a label that is no class.
    """

    def __init__(self, records: Sequence[LocRecord | dict] = (), classes: Sequence[str] | int | None = None,
                 subset: dict | Sequence[int] | None = None, pipeline: Sequence[dict | Callable] = (),
                 **kwargs: Any) -> None:
        records = [r if isinstance(r, LocRecord) else LocRecord(**r) for r in records]
        if not records:
            raise DataError(f'{type(self).__name__} found no image; check its folders and its split.')
        count = max(r.label for r in records) + 1 if classes is None else classes
        names = tuple(f'class {i}' for i in range(count)) if isinstance(count, int) else tuple(count)
        wrong = next((r for r in records if not 0 <= r.label < len(names)), None)
        if wrong is not None:
            raise DataError(f'{wrong.image} has the class {wrong.label}, but there are {len(names)} (0 to '
                            f'{len(names) - 1}); mend the labels or the list of classes.')
        self.records, self.num_tags = take_subset(records, subset), len(names)
        # built here, in mmseg's registry, so that the datasets work without a runner's default scope
        steps = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]
        super().__init__(ann_file='', metainfo=dict(classes=('background', *names)), data_prefix=dict(img_path=''),
                         pipeline=steps, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The records as mmengine keeps them; they are not kept twice."""
        records, self.records = self.records, []
        return [dict(img_path=r.image, tag=r.label, boxes=np.array(r.boxes, np.float32).reshape(-1, 4),
                     loc_masks=r.masks, ignore_mask=r.ignore, seg_map_path=r.masks[0] if r.masks else None,
                     label_map=None, reduce_zero_label=False, seg_fields=[]) for r in records]

    def get_data_info(self, idx: int) -> dict:
        """A record with its one-hot class, which is made here: a million of them would fill the memory."""
        info = super().get_data_info(idx)
        tag, boxes = info.pop('tag'), info.pop('boxes')
        info['gt_image_label'] = np.zeros(self.num_tags, np.uint8)
        info['gt_image_label'][tag] = 1
        if len(boxes):
            info.update(gt_boxes=boxes, gt_box_labels=np.full(len(boxes), tag + 1, np.int64))
        return info


class _Reader(LocalizationDataset):
    """A dataset that reads its records from files."""

    def __init__(self, classes: Sequence[str] | int | None = None, **kwargs: Any) -> None:
        names, records = self.read()
        super().__init__(records, classes if classes is not None else names, **kwargs)

    @abstractmethod
    def read(self) -> tuple[Sequence[str] | None, list[LocRecord]]:
        """Class names and images."""


@DATASETS.register_module()
class CUBLocalization(_Reader):
    """CUB-200-2011 as released: images.txt, image_class_labels.txt, train_test_split.txt, bounding_boxes.txt.

    Args:
        data_root: the folder that holds these files, classes.txt and images/.
        split: 'train' (5994 images), 'test' (5794) or 'all'.
        masks: folder of the released segmentations (grey: how many annotators agree), relative to ``data_root``.
        **kwargs: of :class:`LocalizationDataset`.

    Raises:
        MissingFileError, DataError, ConfigError: a file or an entry that is not as released, an unknown split.
    """

    def __init__(self, data_root: str, split: str = 'train', masks: str | None = None, **kwargs: Any) -> None:
        if split not in ('train', 'test', 'all'):
            raise ConfigError(f'CUBLocalization: split={split!r} is none of train, test, all.')
        self.folder, self.split, self.mask_folder = data_root, split, masks
        super().__init__(**kwargs)

    def read(self) -> tuple[list[str], list[LocRecord]]:
        """Join the four tables by image id."""
        def at(name: str) -> str:
            return osp.join(self.folder, name)

        labels, test = _table(at('image_class_labels.txt')), _table(at('train_test_split.txt'))
        boxes = _table(at('bounding_boxes.txt'), count=5)
        names = [row[1].split('.', 1)[-1].replace('_', ' ') for row in _rows(at('classes.txt'), None, 2)]
        records = []
        for number, image in _rows(at('images.txt'), None, 2):
            for table, name in ((labels, 'image_class_labels.txt'), (test, 'train_test_split.txt'),
                                (boxes, 'bounding_boxes.txt')):
                if number not in table:
                    raise DataError(f'{at(name)} has no line for image {number} ({image}) of images.txt; the copy is '
                                    'not whole.')
            if self.split != 'all' and (test[number][0] == '1') != (self.split == 'train'):
                continue
            x, y, w, h = (_number(value, at('bounding_boxes.txt')) for value in boxes[number])
            masks = () if self.mask_folder is None else (
                osp.join(self.folder, self.mask_folder, osp.splitext(image)[0] + '.png'),)
            records.append(LocRecord(osp.join(self.folder, 'images', image),
                                     _number(labels[number][0], at('image_class_labels.txt'), int) - 1,
                                     ((x, y, x + w, y + h),), masks))
        return names, records


@DATASETS.register_module()
class ILSVRCLocalization(_Reader):
    """ILSVRC 2012, CLS-LOC: images by folder for training, the boxes of the XML files for evaluation.

    Args:
        data_root: the folder ``ILSVRC`` that holds Data/CLS-LOC and Annotations/CLS-LOC.
        split: 'train' (the class is the folder; no XML file is opened) or 'val' (class and boxes from the XML files;
            images flat or in folders, as the files are).
        synsets: file whose lines begin with the class ids in order (``LOC_synset_mapping.txt``, with names after
            them), relative to ``data_root`` or its parent; by default that file where it is, else the sorted folders of
            Data/CLS-LOC/train.
        **kwargs: of :class:`LocalizationDataset`.

    Raises:
        MissingFileError, DataError, ConfigError: a file that is not as released, an unknown split.
    """

    def __init__(self, data_root: str, split: str = 'train', synsets: str | None = None, **kwargs: Any) -> None:
        if split not in ('train', 'val'):
            raise ConfigError(f'ILSVRCLocalization: split={split!r} is none of train, val.')
        self.folder, self.split, self.synsets = data_root, split, synsets
        super().__init__(**kwargs)

    def _classes(self) -> dict[str, str]:
        """Class id -> name, in order."""
        name = self.synsets or 'LOC_synset_mapping.txt'
        tries = [osp.join(self.folder, name), osp.join(self.folder, '..', name), name]
        path = next((p for p in tries if fileio.exists(p)), None)
        if path is not None:
            return {cells[0]: ' '.join(cells[1:]).split(',')[0] or cells[0] for cells in _rows(path, None, None)}
        train = osp.join(self.folder, 'Data', 'CLS-LOC', 'train')
        if self.synsets or not fileio.isdir(train):
            raise MissingFileError(f'{name} is neither in {self.folder} nor beside it; the order of the classes comes '
                                   f'from it, or from the folders of {train}.')
        folders = sorted(n for n in fileio.list_dir_or_file(train, list_file=False))
        return {folder: folder for folder in folders}

    def read(self) -> tuple[list[str], list[LocRecord]]:
        """Walk the folder of images or of XML files."""
        classes = self._classes()
        index = {key: number for number, key in enumerate(classes)}
        images = osp.join(self.folder, 'Data', 'CLS-LOC', self.split)
        if self.split == 'train':
            records = []
            for name in list_images(images, ('.jpeg', '.jpg')):
                key = name.replace('\\', '/').split('/')[0]
                if key not in index:
                    raise DataError(f'{osp.join(images, name)} lies in no folder of a class ({key!r} is unknown).')
                records.append(LocRecord(osp.join(images, name), index[key]))
            return list(classes.values()), records
        folder = osp.join(self.folder, 'Annotations', 'CLS-LOC', self.split)
        if not fileio.isdir(folder):
            raise MissingFileError(f'{folder} does not exist; it holds the XML files of the boxes.')
        names = sorted(fileio.list_dir_or_file(folder, list_dir=False, suffix='.xml', recursive=True))
        return list(classes.values()), [self._annotated(folder, images, name, index) for name in names]

    @staticmethod
    def _annotated(folder: str, images: str, name: str, index: dict[str, int]) -> LocRecord:
        path = osp.join(folder, name)
        try:
            objects = [(str(item.findtext('name')).strip(), tuple(
                _number(str(item.findtext(f'bndbox/{side}')), path) for side in ('xmin', 'ymin', 'xmax', 'ymax')))
                for item in ElementTree.fromstring(fileio.get(path)).iter('object')]
        except ElementTree.ParseError as error:
            raise DataError(f'{path} is not valid XML: {error}.') from error
        if not objects or objects[0][0] not in index:
            raise DataError(f'{path} names {objects[0][0] if objects else "no object"}, which is none of the '
                            f'{len(index)} classes; check `synsets`.')
        key = objects[0][0]
        return LocRecord(osp.join(images, osp.splitext(name)[0] + '.JPEG'), index[key],
                         tuple(box for other, box in objects if other == key))


@DATASETS.register_module()
class WSOLListDataset(_Reader):
    """The lists of Choe et al. (clovaai/wsolevaluation), which cover OpenImages30k, ILSVRC and CUB.

    A folder of a split (``metadata/OpenImages/test``) holds image_ids.txt, class_labels.txt ("id,class" from 0) and,
    for evaluation, localization.txt: "id,x0,y0,x1,y1", a line a box, or "id,mask,ignore", a line a mask.

    Args:
        metadata: that folder.
        images: folder to which the ids are relative.
        masks: folder to which masks are relative; ``images`` by default.
        proxy: read image_ids_proxy.txt, the small list for tuning.
        **kwargs: of :class:`LocalizationDataset`; give ``classes``, since the lists do not name them.

    Raises:
        MissingFileError, DataError: a list that is missing or of another form.
    """

    def __init__(self, metadata: str, images: str, masks: str | None = None, proxy: bool = False,
                 **kwargs: Any) -> None:
        self.metadata, self.image_folder, self.mask_folder, self.proxy = metadata, images, masks or images, proxy
        super().__init__(**kwargs)

    def read(self) -> tuple[None, list[LocRecord]]:
        """Join the lists by image id."""
        def at(name: str) -> str:
            return osp.join(self.metadata, name)

        labels = _table(at('class_labels.txt'), ',')
        boxes: dict[str, list] = {}
        masks: dict[str, list[str]] = {}
        ignore: dict[str, str] = {}
        for cells in _rows(at('localization.txt'), ',', None) if fileio.exists(at('localization.txt')) else ():
            key, rest = cells[0], cells[1:]
            if rest and rest[0].lower().endswith(IMAGE_SUFFIXES):
                masks.setdefault(key, []).append(osp.join(self.mask_folder, rest[0]))
                if len(rest) > 1 and rest[1]:
                    ignore[key] = osp.join(self.mask_folder, rest[1])
            elif len(rest) == 4:
                boxes.setdefault(key, []).append(tuple(_number(value, at('localization.txt')) for value in rest))
            else:
                raise DataError(f'{at("localization.txt")} has the line {",".join(cells)!r}; a line is '
                                '"id,x0,y0,x1,y1" or "id,mask,ignore".')
        records = []
        for (key,) in _rows(at('image_ids_proxy.txt' if self.proxy else 'image_ids.txt'), '\n', 1):
            if key not in labels:
                raise DataError(f'{at("class_labels.txt")} has no class for {key}; the lists do not belong together.')
            records.append(LocRecord(osp.join(self.image_folder, key),
                                     _number(labels[key][0], at('class_labels.txt'), int), tuple(boxes.get(key, ())),
                                     tuple(masks.get(key, ())), ignore.get(key)))
        return None, records
