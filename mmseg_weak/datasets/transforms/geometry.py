"""Geometry that runs in the workers: image, masks and boxes move by the same drawn parameters."""
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

__all__ = ['CentreView', 'RandomFlipFields', 'RandomRescale']


@TRANSFORMS.register_module()
class RandomRescale(BaseTransform):
    """Resize to a random share of the image's own long side, keeping its shape (the scale step of UniMatch,
    CPS).

    The new long side is an integer drawn uniformly from ``[lo * long, hi * long]``; the short one follows,
    rounded half up. Images that end smaller than the crop stay smaller; the preprocessor pads them on the
    right and bottom.

    Required Keys: img. Modified Keys: img, img_shape, every map in seg_fields, gt_boxes. Added Keys:
    scale_factor (w, h).

    Args:
        ratio_range: ``(lo, hi)``. Paper (UniMatch): (0.5, 2.0).
    """

    def __init__(self, ratio_range: Sequence[float] = (0.5, 2.0)) -> None:
        self.ratio_range = tuple(ratio_range)

    @cache_randomness
    def draw(self, long_side: int) -> int:
        """Draw the new long side, in pixels."""
        low, high = (int(long_side * ratio) for ratio in self.ratio_range)
        return int(np.random.randint(low, high + 1))

    def transform(self, results: dict) -> dict:
        """Draw a long side and resize everything to it."""
        height, width = results['img'].shape[:2]
        long_side = max(1, self.draw(max(height, width)))
        if height > width:
            new_h, new_w = long_side, int(width * long_side / height + 0.5)
        else:
            new_h, new_w = int(height * long_side / width + 0.5), long_side
        size = (max(1, new_w), max(1, new_h))
        results['img'] = cv2.resize(results['img'], size, interpolation=cv2.INTER_LINEAR)
        for key in results.get('seg_fields', []):
            results[key] = cv2.resize(results[key], size, interpolation=cv2.INTER_NEAREST)
        factor = (size[0] / width, size[1] / height)
        if results.get('gt_boxes') is not None:
            results['gt_boxes'] = np.asarray(results['gt_boxes'], np.float32) * np.float32(factor + factor)
        results['scale_factor'] = factor
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ratio_range={self.ratio_range})'


@TRANSFORMS.register_module()
class RandomFlipFields(BaseTransform):
    """Mirror the image and every map in ``seg_fields`` (mmcv's RandomFlip turns ``gt_seg_map`` only).

    Required Keys: img. Modified Keys: img, every map in seg_fields, gt_boxes. Added Keys: flip,
    flip_direction.

    Args:
        prob: chance of a horizontal flip.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    @cache_randomness
    def draw(self) -> bool:
        """Draw whether to flip."""
        return bool(np.random.rand() < self.prob)

    def transform(self, results: dict) -> dict:
        """Flip everything, or nothing."""
        flip = self.draw()
        if flip:
            width = results['img'].shape[1]
            for key in ('img', *results.get('seg_fields', [])):
                results[key] = np.ascontiguousarray(results[key][:, ::-1])
            if results.get('gt_boxes') is not None:
                boxes = np.array(results['gt_boxes'], np.float32)
                boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
                results['gt_boxes'] = boxes
        results['flip'] = flip
        results['flip_direction'] = 'horizontal' if flip else None
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


@TRANSFORMS.register_module()
class CentreView(BaseTransform):
    """Short side to ``side`` by nearest neighbours, the centre square of it, as methods without labels are evaluated
    (STEGO, ReCo); prediction and truth have that size, so ``ori_shape`` becomes it.

    A pixel takes the one at its centre, as Pillow does; OpenCV takes the one at its corner.

    Required Keys: img. Modified Keys: img, img_shape, ori_shape, every map in seg_fields.

    Args:
        side: pixels. Paper (both): 320.
    """

    def __init__(self, side: int = 320) -> None:
        self.side = side

    def transform(self, results: dict) -> dict:
        """Resize and cut everything."""
        height, width = results['img'].shape[:2]
        short = min(height, width)
        size = tuple(self.side if n == short else int(self.side * n / short) for n in (height, width))
        places = []
        for length, new in zip((height, width), size):
            top, step = round((new - self.side) / 2), length / new
            centres = np.cumsum(np.r_[step / 2, np.full(new - 1, step)])  # added up, with Pillow's rounding
            places.append(np.minimum(centres.astype(np.int64), length - 1)[top:top + self.side])
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = np.ascontiguousarray(results[key][places[0]][:, places[1]])
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(side={self.side})'
