"""VOC 2012 and COCO 2014 for learning from image tags: class lists as the published methods have them; benchmarks of
open vocabularies that mmseg lacks.
"""
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from mmseg.utils import get_classes, get_palette

from .folder import FolderSegDataset
from .tags import ImageLabelDataset

__all__ = ['COCO_CLASSES', 'COCO14Dataset', 'COCO14WSSSDataset', 'COCOObjectDataset', 'COCOStuff27Dataset',
           'Cityscapes27Dataset', 'KittiStepDataset', 'PascalVOC20Dataset', 'VOC12WSSSDataset']

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


@DATASETS.register_module()
class Cityscapes27Dataset(BaseSegDataset):
    """Cityscapes with the 27 classes that methods without labels are evaluated on (STEGO, ReCo): the released label ids
    7 to 33, from 0 on; lower ones are unknown.
    """
    METAINFO = dict(
        classes=('road', 'sidewalk', 'parking lot', 'rail track', 'building', 'wall', 'fence', 'guard rail', 'bridge',
                 'tunnel', 'pole', 'polegroup', 'traffic light', 'traffic sign', 'vegetation', 'terrain', 'sky',
                 'person', 'rider', 'car', 'truck', 'bus', 'caravan', 'trailer', 'train', 'motorcycle', 'bicycle'),
        palette=[[128, 64, 128], [244, 35, 232], [250, 170, 160], [230, 150, 140], [70, 70, 70], [102, 102, 156],
                 [190, 153, 153], [180, 165, 180], [150, 100, 100], [150, 120, 90], [153, 153, 153], [133, 133, 133],
                 [250, 170, 30], [220, 220, 0], [107, 142, 35], [152, 251, 152], [70, 130, 180], [220, 20, 60],
                 [255, 0, 0], [0, 0, 142], [0, 0, 70], [0, 60, 100], [0, 0, 90], [0, 0, 110], [0, 80, 100],
                 [0, 0, 230], [119, 11, 32]])

    def __init__(self, img_suffix: str = '_leftImg8bit.png', seg_map_suffix: str = '_gtFine_labelIds.png',
                 **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
        self.label_map = {old: old - 7 if old > 6 else 255 for old in range(34)}

    def get_data_info(self, idx: int) -> dict:
        """An image with the map of its label ids."""
        return dict(super().get_data_info(idx), label_map=self.label_map)


# The coarse classes of COCO-Stuff's hierarchy with their fine ones, by the names of the things and of the stuff.
_COCO27 = {
    'electronic': 'tv; laptop; mouse; remote; keyboard; cell phone',
    'appliance': 'microwave; oven; toaster; sink; refrigerator',
    'food things': 'banana; apple; sandwich; orange; broccoli; carrot; hot dog; pizza; donut; cake',
    'furniture things': 'chair; couch; potted plant; bed; dining table; toilet',
    'indoor': 'book; clock; vase; scissors; teddy bear; hair drier; toothbrush',
    'kitchen': 'bottle; wine glass; cup; fork; knife; spoon; bowl',
    'accessory': 'backpack; umbrella; handbag; tie; suitcase',
    'animal': 'bird; cat; dog; horse; sheep; cow; elephant; bear; zebra; giraffe',
    'outdoor': 'traffic light; fire hydrant; stop sign; parking meter; bench',
    'person': 'person',
    'sports': 'frisbee; skis; snowboard; sports ball; kite; baseball bat; baseball glove; skateboard; surfboard; '
               'tennis racket',
    'vehicle': 'bicycle; car; motorcycle; airplane; bus; train; truck; boat',
    'ceiling': 'ceiling other; ceiling tile',
    'floor': 'carpet; floor marble; floor other; floor stone; floor tile; floor wood',
    'food stuff': 'food other; fruit; salad; vegetable',
    'furniture stuff': 'cabinet; counter; cupboard; desk stuff; door stuff; furniture other; light; mirror stuff; '
                        'shelf; stairs; table',
    'raw material': 'cardboard; metal; paper; plastic',
    'textile': 'banner; blanket; cloth; clothes; curtain; mat; napkin; pillow; rug; textile other; towel',
    'wall': 'wall brick; wall concrete; wall other; wall panel; wall stone; wall tile; wall wood',
    'window': 'window blind; window other',
    'building': 'bridge; building other; house; roof; skyscraper; tent',
    'ground': 'dirt; gravel; ground other; mud; pavement; platform; playingfield; railroad; road; sand; snow',
    'plant': 'branch; bush; flower; grass; leaves; moss; plant other; straw; tree',
    'sky': 'clouds; sky other',
    'solid': 'hill; mountain; rock; solid other; stone; wood',
    'structural': 'cage; fence; net; railing; structural other',
    'water': 'fog; river; sea; water other; waterdrops',
}


def _coarse_of_fine() -> dict[int, int]:
    """COCO-Stuff's 171 classes, as mmseg converts them -> 27."""
    coarse = {fine: number for number, group in enumerate(_COCO27.values()) for fine in group.split('; ')}
    stuff = sorted(set(coarse) - set(COCO_CLASSES))
    names = [*COCO_CLASSES[1:], *stuff]
    return {index: coarse[name] for index, name in enumerate(names)}


@DATASETS.register_module()
class COCOStuff27Dataset(BaseSegDataset):
    """COCO-Stuff 164k with the 27 coarse classes of its hierarchy, from the 171-class masks that mmseg converts.

    ``METAINFO['members']`` has the fine names of each class.
    """
    METAINFO = dict(classes=tuple(_COCO27), palette=_colours(28)[1:],
                    members=tuple(tuple(group.split('; ')) for group in _COCO27.values()))

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '_labelTrainIds.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
        self.label_map = _coarse_of_fine()

    def get_data_info(self, idx: int) -> dict:
        """An image with the map of its classes."""
        return dict(super().get_data_info(idx), label_map=self.label_map)


@DATASETS.register_module()
class KittiStepDataset(BaseSegDataset):
    """KITTI-STEP: Cityscapes' 19 classes in driving videos; its panoptic PNGs want ``LoadPanopticClass``."""
    METAINFO = dict(classes=tuple(get_classes('cityscapes')), palette=get_palette('cityscapes'))

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
