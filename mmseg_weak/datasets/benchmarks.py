"""VOC 2012 and COCO 2014 for learning from image tags: class lists as the published methods have them."""
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from mmseg.utils import get_classes, get_palette

from .folder import FolderSegDataset
from .tags import ImageLabelDataset

__all__ = ['COCO_CLASSES', 'COCO14Dataset', 'COCO14WSSSDataset', 'COCOObjectDataset', 'PascalVOC20Dataset',
           'VOC12WSSSDataset']

COCO_CLASSES = (
    'background', 'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse',
    'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag', 'tie',
    'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite', 'baseball bat', 'baseball glove',
    'skateboard', 'surfboard', 'tennis racket', 'bottle', 'wine glass', 'cup', 'fork', 'knife', 'spoon',
    'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut',
    'cake', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse',
    'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book',
    'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')


def _colours(count: int) -> list[list[int]]:
    """VOC's colours, continued beyond its 21: the three lowest bits of an index are the highest of the channels."""
    return [[sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
            for index in range(count)]


@DATASETS.register_module()
class COCO14Dataset(FolderSegDataset):
    """COCO 2014 with masks: background and 80 things without gaps, in COCO's order.

    Masks are VOC-style PNGs with values 0 to 80. Most conversions mark crowds as 255; some draw them as objects.
    """
    METAINFO = dict(classes=COCO_CLASSES, palette=_colours(81))


@DATASETS.register_module()
class COCO14WSSSDataset(ImageLabelDataset):
    """COCO 2014 with tags over the 80 things; from ``cls_labels*.npy``, or from the instance annotations."""
    METAINFO = COCO14Dataset.METAINFO


@DATASETS.register_module()
class VOC12WSSSDataset(ImageLabelDataset):
    """VOC 2012 with tags over the 20 things; from ``cls_labels*.npy``, or from the folder ``Annotations``."""
    METAINFO = dict(classes=tuple(get_classes('voc')), palette=get_palette('voc'))


@DATASETS.register_module()
class PascalVOC20Dataset(BaseSegDataset):
    """VOC 2012 as open vocabularies are evaluated on it without background: 0 becomes 255, the others lose one."""
    METAINFO = dict(classes=tuple(get_classes('voc'))[1:], palette=get_palette('voc')[1:])

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '.png', reduce_zero_label: bool = True,
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label,
                         **kwargs)


@DATASETS.register_module()
class COCOObjectDataset(BaseSegDataset):
    """COCO 2017: background and 80 things; ``tools/dataset_converters/coco_object.py`` makes its masks."""
    METAINFO = COCO14Dataset.METAINFO

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '_instanceTrainIds.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
