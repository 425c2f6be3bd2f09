"""Pack a sample and whatever supervision it carries."""
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData, PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

__all__ = ['PackSemiInputs']

_MAPS = {'gt_seg_map': 'gt_sem_seg', 'hidden_seg_map': 'hidden_sem_seg', 'gt_depth_map': 'gt_depth_map',
         'gt_amodal_masks': 'gt_amodal_masks', 'gt_biased_map': 'gt_biased'}


@TRANSFORMS.register_module()
class PackSemiInputs(BaseTransform):
    """Pack an image and all supervision of it that is there; what is not there stays absent.

    ==================  ==============================================================================
    key in results      field of the SegDataSample
    ==================  ==============================================================================
    gt_seg_map          gt_sem_seg, (1, H, W) int64
    hidden_seg_map      hidden_sem_seg, (1, H, W) int64, for diagnosis only
    gt_biased_map       gt_biased, (1, H, W) int64, 1 where a pseudo label was found to be biased (MARS)
    gt_image_label      gt_image_label, (C,) uint8
    gt_boxes            gt_boxes, InstanceData with bboxes (n, 4) float32 and labels (n,) int64
    caption             caption, str or list of str
    gt_amodal_masks     gt_amodal_masks, (n, H, W) int64
    gt_depth_order      gt_depth_order, (n,) int64, 0 = nearest
    modalities          modalities, dict of tensors (C, H, W)
    twin_img            twin_img, (3, H, W) uint8
    support             support, dict of images (k, 3, H, W) uint8 and masks (k, H, W) int64
    ==================  ==============================================================================

    Args:
        meta_keys: keys that travel as meta information where they are present.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_path',
            'seg_map_path',
            'ori_shape',
            'img_shape',
            'pad_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'reduce_zero_label',
            'episode_class',
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Build ``inputs`` and ``data_samples``."""
        packed = {}
        if 'img' in results:
            packed['inputs'] = _image(results['img'])
        sample = SegDataSample()
        for key, name in _MAPS.items():
            if results.get(key) is not None:
                array = np.ascontiguousarray(results[key])
                data = torch.from_numpy(array)
                data = data if array.dtype.kind == 'f' else data.long()
                sample.set_data({name: PixelData(data=data if data.ndim == 3 else data[None])})
        if results.get('gt_image_label') is not None:
            sample.set_data(
                {'gt_image_label': torch.as_tensor(np.asarray(results['gt_image_label'], np.uint8))}
            )
        if results.get('gt_depth_order') is not None:
            sample.set_data(
                {'gt_depth_order': torch.as_tensor(np.asarray(results['gt_depth_order'], np.int64))}
            )
        if results.get('gt_boxes') is not None:
            boxes = torch.as_tensor(np.asarray(results['gt_boxes'], np.float32).reshape(-1, 4))
            labels = torch.as_tensor(np.asarray(results['gt_box_labels'], np.int64).reshape(-1))
            sample.set_data({'gt_boxes': InstanceData(bboxes=boxes, labels=labels)})
        if results.get('caption') is not None:
            sample.set_data({'caption': results['caption']})
        if results.get('modalities'):
            sample.set_data(
                {
                    'modalities': {
                        name: torch.from_numpy(np.ascontiguousarray(_channels_first(value)))
                        for name, value in results['modalities'].items()
                    }
                }
            )
        if results.get('twin_img') is not None:
            sample.set_data({'twin_img': _image(results['twin_img'])})
        if results.get('support') is not None:
            images, masks = results['support']
            sample.set_data({'support': dict(images=torch.stack([_image(image) for image in images]),
                                             masks=torch.from_numpy(np.stack(masks)).long())})
        sample.set_metainfo({key: results[key] for key in self.meta_keys if key in results})
        packed['data_samples'] = sample
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


def _image(image: np.ndarray) -> torch.Tensor:
    """(H, W[, C]) array -> contiguous (C, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(_channels_first(image)))


def _channels_first(array: np.ndarray) -> np.ndarray:
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
