"""Steps of referring expressions: the mask of the object that is meant, and packing with its sentences."""
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_weak.errors import DataError

from ..masks import decode_mask
from .formatting import PackSemiInputs

__all__ = ['LoadReferredMask', 'PackReferring', 'draw_segmentation']

_SENTENCES = ('expression', 'negatives', 'image_expressions', 'expressions')


def _run_lengths(text: str | bytes) -> list[int]:
    """COCO's compressed run lengths: groups of 5 bits from the lowest, a sign, differences to the run before last."""
    data = text.encode('ascii') if isinstance(text, str) else text
    counts, place = [], 0
    while place < len(data):
        value = shift = 0
        more = True
        while more:
            bits = data[place] - 48
            value |= (bits & 31) << shift
            more, shift, place = bool(bits & 32), shift + 5, place + 1
            if not more and bits & 16:
                value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def draw_segmentation(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """COCO's polygons or run lengths -> (H, W) uint8, 0 and 1.

    Args:
        segmentation: a list of polygons [x, y, x, y, ...]; or run lengths ``{"size": [H, W], "counts": ...}``,
            compressed or not, or a list of them.
        size: of the image.

    Raises:
        DataError: it is neither, or of another size.
    """
    mask = np.zeros(size, np.uint8)
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    if not isinstance(parts, (list, tuple)) or not parts:
        raise DataError(f'A segmentation is {str(segmentation)[:60]!r}; give polygons or run lengths as COCO has them.')
    for part in parts:
        if isinstance(part, dict):
            if tuple(part['size']) != tuple(size):
                raise DataError(f'Run lengths of {part["size"][1]}x{part["size"][0]} pixels came with an image of '
                                f'{size[1]}x{size[0]}.')
            counts = part['counts'] if isinstance(part['counts'], list) else _run_lengths(part['counts'])
            values = np.repeat(np.arange(len(counts)) % 2, counts)
            if len(values) != size[0] * size[1]:
                raise DataError(f'Run lengths add up to {len(values)} pixels, and the image has {size[0] * size[1]}.')
            mask |= values.reshape(size[1], size[0]).T.astype(np.uint8)  # column by column
        else:
            points = np.array(part, np.float64).reshape(-1, 2)
            cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask


@TRANSFORMS.register_module()
class LoadReferredMask(BaseTransform):
    """The object as 1, everything else as 0, unknown pixels as 255.

    Nothing is opened where the dataset names no mask. Evaluation loads it after the resize, at the image's own size.

    Required Keys: ori_shape; and, where there is a mask, referred_mask. Added Keys: gt_seg_map (H, W) uint8,
    seg_fields.

    Raises:
        DataError: a mask of another size than its image, or a segmentation that cannot be drawn.
    """

    def transform(self, results: dict) -> dict:
        """Load ``gt_seg_map``."""
        known = results.get('referred_mask')
        if not known:
            return results
        size = tuple(results['ori_shape'][:2])
        if known['segmentation'] is not None:
            try:
                mask = draw_segmentation(known['segmentation'], size)
            except (DataError, TypeError, ValueError) as error:
                raise DataError(f'The object {results.get("object_name", "?")} of {results.get("img_path")} cannot be '
                                f'drawn: {error}') from error
        else:
            values = decode_mask(known['mask'])
            if values.shape != size:
                raise DataError(f'{known["mask"]} is {values.shape[1]}x{values.shape[0]}, but its image '
                                f'{results.get("img_path")} is {size[1]}x{size[0]}; give both the same size.')
            mask = (values > 0 if known['value'] is None else values == known['value']).astype(np.uint8)
            if known['unknown'] is not None:
                mask[values == known['unknown']] = 255
        results['gt_seg_map'] = mask
        results['seg_fields'] = [*results.get('seg_fields', ()), 'gt_seg_map']
        return results


@TRANSFORMS.register_module()
class PackReferring(PackSemiInputs):
    """``PackSemiInputs`` with the sentences: ``expression`` (str), ``negatives``, ``image_expressions`` and
    ``expressions`` (lists of str) on the sample, ``object_name`` in its meta information.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.meta_keys = (*self.meta_keys, 'object_name')

    def transform(self, results: dict) -> dict:
        """Build ``inputs`` and ``data_samples``."""
        packed = super().transform(results)
        packed['data_samples'].set_data({key: results[key] for key in _SENTENCES if key in results})
        return packed
