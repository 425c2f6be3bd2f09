"""Steps of localisation: masks of several objects as one, and a resize that takes the boxes along."""
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_weak.errors import DataError

from ..headers import read_file

__all__ = ['LoadLocMask', 'ResizeWithBoxes']


@TRANSFORMS.register_module()
class LoadLocMask(BaseTransform):
    """Union of an image's object masks: its class where any shows the object, 255 where it is to be ignored and none
    does, 0 elsewhere (Choe et al., CVPR 2020).

    Nothing is opened where the dataset names no mask. Load after the resize: masks are scored at their own size.

    Required Keys: loc_masks, ignore_mask, gt_image_label. Added Keys: gt_seg_map (H, W) uint8, seg_fields.

    Raises:
        DataError: a mask that is no image, or masks of different sizes.
    """

    def transform(self, results: dict) -> dict:
        """Load ``gt_seg_map``."""
        paths = results.get('loc_masks') or ()
        if not paths:
            return results
        parts = [self._read(path) for path in paths]
        if len({part.shape for part in parts}) > 1:
            raise DataError(f'{paths[0]} and the other masks of {results["img_path"]} differ in size.')
        shown = np.any(parts, 0)
        mask = np.where(shown, int(np.argmax(results['gt_image_label'])) + 1, 0).astype(np.uint8)
        if results.get('ignore_mask'):
            ignored = self._read(results['ignore_mask'])
            if ignored.shape != mask.shape:
                raise DataError(f'{results["ignore_mask"]} is {ignored.shape[1]}x{ignored.shape[0]}, the masks of its '
                                f'image are {mask.shape[1]}x{mask.shape[0]}; give both the same size.')
            mask[ignored & ~shown] = 255
        results['gt_seg_map'] = mask
        results['seg_fields'] = [*results.get('seg_fields', ()), 'gt_seg_map']
        return results

    @staticmethod
    def _read(path: str) -> np.ndarray:
        """(H,W) bool: above half of what the file's type holds; masks of 0 and 1 as they are."""
        mask = cv2.imdecode(np.frombuffer(read_file(path), np.uint8), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise DataError(f'{path} is not a readable mask; save it again as PNG.')
        return mask > (0 if mask.max() <= 1 else 127)


@TRANSFORMS.register_module()
class ResizeWithBoxes(BaseTransform):
    """Resize to one size, shape not kept, as localisation does before it crops; boxes and maps follow.

    Required Keys: img. Modified Keys: img, img_shape, every map in seg_fields, gt_boxes. Added Keys: scale_factor
    (w, h).

    Args:
        scale: (width, height). Published: 256 x 256 before a crop of 224.
    """

    def __init__(self, scale: tuple[int, int] = (256, 256)) -> None:
        self.scale = tuple(scale)

    def transform(self, results: dict) -> dict:
        """Resize everything."""
        height, width = results['img'].shape[:2]
        results['img'] = cv2.resize(results['img'], self.scale, interpolation=cv2.INTER_LINEAR)
        for key in results.get('seg_fields', []):
            results[key] = cv2.resize(results[key], self.scale, interpolation=cv2.INTER_NEAREST)
        factor = (self.scale[0] / width, self.scale[1] / height)
        if results.get('gt_boxes') is not None:
            results['gt_boxes'] = np.asarray(results['gt_boxes'], np.float32) * np.float32(factor + factor)
        results.update(scale_factor=factor, img_shape=results['img'].shape[:2])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(scale={self.scale})'
