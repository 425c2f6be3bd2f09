"""Read images and masks, with a clear error for a file that is not what it should be."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_weak.errors import DataError

from ..headers import read_file
from ..masks import BIASED, check_values, decode_image, decode_mask

__all__ = ['LoadDebiasedMask', 'LoadImage', 'LoadMask', 'LoadPanopticClass']


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Decode an image with OpenCV and refuse a truncated one.

    EXIF orientation is ignored by default, because masks carry none: an image and the mask drawn over its
    stored pixels stay aligned. Where masks were drawn over the turned view, set ``exif=True`` here.

    Required Keys: img_path. Added Keys: img (H, W, 3) uint8 BGR, img_shape, ori_shape.

    Args:
        exif: whether to turn the image as its EXIF tag says.
        backend_args: mmengine's file backend.
    """

    def __init__(self, exif: bool = False, backend_args: dict | None = None) -> None:
        self.exif = exif
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Load ``img``."""
        image = decode_image(results['img_path'], self.exif, self.backend_args)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadMask(BaseTransform):
    """Decode the mask of a labelled image, or the hidden mask of an unlabelled one under ``diagnose``.

    Nothing is opened where the dataset names no mask, so one pipeline serves both branches.

    Required Keys: ori_shape; and, where there is a mask, seg_map_path or hidden_map_path. Optional:
    num_classes, color_table, label_map, reduce_zero_label. Added Keys: gt_seg_map or hidden_seg_map (H, W)
    uint8, seg_fields.

    Args:
        ignore_index: value of unknown pixels.
        backend_args: mmengine's file backend.

    Raises:
        DataError: where the mask is RGB, of another size than its image, or holds values outside the classes.
    """

    def __init__(self, ignore_index: int = 255, backend_args: dict | None = None) -> None:
        self.ignore_index = ignore_index
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Load ``gt_seg_map`` and ``hidden_seg_map`` where their paths are given."""
        fields = list(results.get('seg_fields', []))
        for source, target in (('seg_map_path', 'gt_seg_map'), ('hidden_map_path', 'hidden_seg_map')):
            if results.get(source):
                results[target] = self._load(results[source], results)
                fields.append(target)
        results['seg_fields'] = fields
        return results

    def _load(self, path: str, results: dict) -> np.ndarray:
        mask = decode_mask(path, results.get('color_table'), self.backend_args)
        height, width = results.get('ori_shape', mask.shape)  # the image may have been resized already
        if mask.shape != (height, width):
            raise DataError(
                f'{path} is {mask.shape[1]}x{mask.shape[0]}, but its image {results.get("img_path")} is '
                f'{width}x{height}; give both the same size.'
            )
        if results.get('reduce_zero_label'):
            lower = mask - np.uint8(1)  # 0 wraps to 255 = unknown
            mask = np.where(mask == self.ignore_index, np.uint8(self.ignore_index), lower)
        if results.get('label_map') is not None:
            table = np.arange(256, dtype=np.uint8)
            for old, new in results['label_map'].items():
                table[old] = new
            mask = table[mask]
        if results.get('num_classes'):
            check_values(mask, results['num_classes'], path, self.ignore_index)
        return mask


@TRANSFORMS.register_module()
class LoadDebiasedMask(LoadMask):
    """Decode a mask of `mmseg-weak debias`: classes, 255 unknown, 254 biased.

    Biased pixels become a map of their own and are unknown (255) in the mask, so that no loss can take them for a
    class, and no augmentation can mix them up with pixels that were unknown before.

    Required Keys: as :class:`LoadMask`. Added Keys: gt_seg_map and gt_biased_map (H, W) uint8, seg_fields.
    """

    def transform(self, results: dict) -> dict:
        """Load ``gt_seg_map`` and part it from ``gt_biased_map``."""
        mask = self._load(results['seg_map_path'], {**results, 'num_classes': None, 'reduce_zero_label': False})
        biased = mask == BIASED
        mask = np.where(biased, np.uint8(self.ignore_index), mask)
        if results.get('num_classes'):
            check_values(mask, results['num_classes'], results['seg_map_path'], self.ignore_index)
        results['gt_seg_map'], results['gt_biased_map'] = mask, biased.astype(np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map', 'gt_biased_map']
        return results


@TRANSFORMS.register_module()
class LoadPanopticClass(BaseTransform):
    """Decode the class out of a panoptic PNG of KITTI-STEP: the red channel, 255 unknown.

    Required Keys: seg_map_path. Added Keys: gt_seg_map (H, W) uint8, seg_fields.

    Raises:
        DataError: the file is no picture of three channels.
    """

    def transform(self, results: dict) -> dict:
        """Load ``gt_seg_map``."""
        path = results['seg_map_path']
        picture = cv2.imdecode(np.frombuffer(read_file(path), np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3:
            found = 'no picture' if picture is None else 'a picture of one channel'
            raise DataError(f'{path} is {found}; KITTI-STEP keeps class and instance in the channels of an RGB PNG: '
                            'check data_prefix.seg_map_path.')
        results['gt_seg_map'] = np.ascontiguousarray(picture[..., 2])
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results
