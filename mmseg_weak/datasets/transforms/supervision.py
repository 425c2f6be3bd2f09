"""Derive weaker or noisier supervision from dense masks, the same for an image in every run and epoch.

The functions take a mask (H, W) uint8 with 255 = unknown and a numpy Generator, and return a new mask (or
boxes, or tags); :class:`DeriveSupervision` seeds the generator from the image's name. Apply it right after
loading, before any random geometry.
"""
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_weak.errors import ConfigError, near

__all__ = ['DeriveSupervision', 'affine_noise', 'block_labels', 'boxes_of', 'dilate_labels', 'erode_labels',
           'image_rng', 'noisy_tags', 'point_labels', 'scribble_labels', 'tags_of']

UNKNOWN = 255


def image_rng(name: str, seed: int = 0) -> np.random.Generator:
    """Generator of an image: a function of the seed and the last two parts of its path, so of no machine's
    folders.
    """
    key = '/'.join(name.replace('\\', '/').split('/')[-2:])
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))


def _regions(mask: np.ndarray, background: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Connected regions (8 neighbours) as (class, (H, W) bool), in order of class and position."""
    for label in np.unique(mask):
        if label in (UNKNOWN, background):
            continue
        count, parts = cv2.connectedComponents((mask == label).astype(np.uint8), connectivity=8)
        for part in range(1, count):
            yield int(label), parts == part


def point_labels(mask: np.ndarray, rng: np.random.Generator, count: int = 1, radius_px: int = 0,
                 min_area_px: int = 16) -> np.ndarray:
    """Keep ``count`` points of every connected region; a point is a disc of ``radius_px`` clipped to its
    region.
    """
    out = np.full_like(mask, UNKNOWN)
    for label, region in _regions(mask):
        ys, xs = np.nonzero(region)
        if len(ys) < min_area_px:
            continue
        for pick in rng.integers(len(ys), size=count):
            disc = np.zeros(mask.shape, np.uint8)
            cv2.circle(disc, (int(xs[pick]), int(ys[pick])), radius_px, 1, -1)
            out[disc.astype(bool) & region] = label
    return out


def scribble_labels(
    mask: np.ndarray, rng: np.random.Generator, width_px: int = 3, min_area_px: int = 64
) -> np.ndarray:
    """Draw one curve into every connected region: through three of its inner pixels, clipped to the
    region.
    """
    out = np.full_like(mask, UNKNOWN)
    steps = np.linspace(0, 1, 24)[:, None]
    for label, region in _regions(mask):
        if region.sum() < min_area_px:
            continue
        depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 3)
        ys, xs = np.nonzero(depth >= 0.5 * depth.max())
        start, bend, end = (np.array([xs[i], ys[i]], float) for i in rng.integers(len(ys), size=3))
        curve = (1 - steps)**2 * start + 2 * steps * (1 - steps) * bend + steps**2 * end
        line = np.zeros(mask.shape, np.uint8)
        cv2.polylines(line, [np.rint(curve).astype(np.int32)], False, 1, width_px)
        out[line.astype(bool) & region] = label
    return out


def block_labels(
    mask: np.ndarray, rng: np.random.Generator, block_px: int = 32, keep_ratio: float = 0.1
) -> np.ndarray:
    """Keep the labels of a share of the square blocks of a grid, at least one."""
    height, width = mask.shape
    rows, columns = -(-height // block_px), -(-width // block_px)
    keep = max(1, int(round(keep_ratio * rows * columns)))
    grid = np.zeros(rows * columns, np.uint8)
    grid[rng.permutation(rows * columns)[:keep]] = 1
    kept = np.kron(grid.reshape(rows, columns), np.ones((block_px, block_px), np.uint8))[:height, :width]
    return np.where(kept.astype(bool), mask, np.uint8(UNKNOWN))


def boxes_of(
    mask: np.ndarray, background: int | None = 0, min_area_px: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes around the connected regions of the foreground.

    Returns:
        Boxes (n, 4) float32 as x1, y1, x2, y2 in pixels (x2, y2 exclusive) and labels (n,) int64.
    """
    boxes, labels = [], []
    for label, region in _regions(mask, background):
        if region.sum() < min_area_px:
            continue
        ys, xs = np.nonzero(region)
        boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        labels.append(label)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)


def tags_of(
    mask: np.ndarray, num_classes: int, background: int | None = 0, min_area_px: int = 1
) -> np.ndarray:
    """Multi-hot tags of the foreground classes.

    Args:
        num_classes: classes including the background.
        background: index of the background, which has no tag; None where every class is foreground.

    Returns:
        (C,) uint8, C = num_classes without the background.
    """
    present = (np.bincount(mask.ravel(), minlength=256)[:num_classes] >= min_area_px).astype(np.uint8)
    return present if background is None else np.delete(present, background)


def _morph(
    mask: np.ndarray, rng: np.random.Generator, max_px: int, background: int, grow: bool
) -> np.ndarray:
    out = mask.copy()
    labels = [int(v) for v in np.unique(mask) if v not in (background, UNKNOWN)]
    for label in rng.permutation(labels).astype(int) if labels else ():
        size = int(rng.integers(1, max_px + 1))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * size + 1, 2 * size + 1))
        region = (mask == label).astype(np.uint8)
        if grow:
            out[cv2.dilate(region, kernel).astype(bool) & (mask != UNKNOWN)] = label
        else:
            out[region.astype(bool) & ~cv2.erode(region, kernel).astype(bool)] = background
    return out


def dilate_labels(
    mask: np.ndarray, rng: np.random.Generator, max_px: int = 5, background: int = 0
) -> np.ndarray:
    """Let every foreground class grow by 1 to ``max_px`` pixels over its neighbours."""
    return _morph(mask, rng, max_px, background, grow=True)


def erode_labels(
    mask: np.ndarray, rng: np.random.Generator, max_px: int = 5, background: int = 0
) -> np.ndarray:
    """Let every foreground class shrink by 1 to ``max_px`` pixels; what it leaves becomes background."""
    return _morph(mask, rng, max_px, background, grow=False)


def affine_noise(
    mask: np.ndarray,
    rng: np.random.Generator,
    max_shift_px: int = 6,
    max_angle_deg: float = 15.0,
    scale_range: tuple[float, float] = (0.85, 1.15),
    background: int = 0,
) -> np.ndarray:
    """Move, turn and scale every foreground class a little, each by its own draw."""
    height, width = mask.shape
    out = np.where(mask == UNKNOWN, mask, np.uint8(background))
    for label in (int(v) for v in np.unique(mask) if v not in (background, UNKNOWN)):
        region = (mask == label).astype(np.uint8)
        ys, xs = np.nonzero(region)
        centre = float(xs.mean()), float(ys.mean())
        turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-max_angle_deg, max_angle_deg)),
                                       float(rng.uniform(*scale_range)))
        turn[:, 2] += rng.integers(-max_shift_px, max_shift_px + 1, size=2)
        moved = cv2.warpAffine(region, turn, (width, height), flags=cv2.INTER_NEAREST)
        out[moved.astype(bool) & (mask != UNKNOWN)] = label
    return out


def noisy_tags(tags: np.ndarray, rng: np.random.Generator, missing_ratio: float = 0., wrong_ratio: float = 0.,
               swap_ratio: float = 0.) -> np.ndarray:
    """Spoil tags as people do: forget some, add some, confuse some.

    Args:
        tags: (C,) multi-hot.
        rng: of the image, see :func:`image_rng`.
        missing_ratio: chance of each true tag to be dropped.
        wrong_ratio: chance of each absent tag to be added; with 20 classes 0.1 adds two tags an image.
        swap_ratio: chance of each true tag to be replaced by an absent one ("10 % of the tags are wrong": 0.1).

    Returns:
        (C,) uint8.

    Raises:
        ConfigError: a ratio outside [0, 1].
    """
    for name, ratio in (('missing_ratio', missing_ratio), ('wrong_ratio', wrong_ratio), ('swap_ratio', swap_ratio)):
        if not 0 <= ratio <= 1:
            raise ConfigError(f'{name}={ratio} of noisy tags; give a share between 0 and 1, such as 0.1.')
    true = tags.astype(bool)
    draw = rng.random(tags.shape)
    out = np.where(true, draw >= missing_ratio, draw < wrong_ratio).astype(np.uint8)
    if swap_ratio:
        absent = rng.permutation(np.flatnonzero(~true))
        confused = np.flatnonzero(true & (rng.random(tags.shape) < swap_ratio))[:len(absent)]
        out[confused] = 0
        out[absent[:len(confused)]] = 1
    return out


_MASK_KINDS = {
    'points': point_labels,
    'scribbles': scribble_labels,
    'blocks': block_labels,
    'dilate': dilate_labels,
    'erode': erode_labels,
    'affine': affine_noise,
}


@TRANSFORMS.register_module()
class DeriveSupervision(BaseTransform):
    """Replace the dense mask by weaker supervision made from it.

    Required Keys: gt_seg_map, img_path. Modified Keys: gt_seg_map (for mask kinds). Added Keys: gt_boxes and
    gt_box_labels for ``'boxes'``; gt_image_label for ``'tags'``. For both of these gt_seg_map is removed
    unless ``keep_mask``.

    Args:
        kind: 'points', 'scribbles', 'blocks', 'dilate', 'erode', 'affine', 'boxes' or 'tags'.
        seed: seed of all images together.
        keep_mask: keep the dense mask beside boxes or tags.
        options: keyword arguments of the function of that kind, for example ``dict(count=1, radius_px=2)``;
            for 'tags' also those of :func:`noisy_tags`.
    """

    def __init__(
        self, kind: str, seed: int = 0, keep_mask: bool = False, options: dict | None = None
    ) -> None:
        kinds = [*_MASK_KINDS, 'boxes', 'tags']
        if kind not in kinds:
            raise ConfigError(f'DeriveSupervision: kind={kind!r} is unknown. {near(kind, kinds)} Known: '
                              f'{", ".join(kinds)}.')
        self.kind = kind
        self.seed = seed
        self.keep_mask = keep_mask
        self.options: dict[str, Any] = dict(options or {})
        if kind == 'tags' and 'num_classes' not in self.options:
            raise ConfigError("DeriveSupervision: kind='tags' needs options=dict(num_classes=...).")

    def transform(self, results: dict) -> dict:
        """Derive the supervision of one image."""
        if results.get('gt_seg_map') is None:
            return results
        mask, rng = results['gt_seg_map'], image_rng(results['img_path'], self.seed)
        if self.kind in _MASK_KINDS:
            results['gt_seg_map'] = _MASK_KINDS[self.kind](mask, rng, **self.options)
            return results
        if self.kind == 'boxes':
            results['gt_boxes'], results['gt_box_labels'] = boxes_of(mask, **self.options)
        else:
            noise = {k: v for k, v in self.options.items() if k in ('missing_ratio', 'wrong_ratio', 'swap_ratio')}
            tags = tags_of(mask, **{k: v for k, v in self.options.items() if k not in noise})
            results['gt_image_label'] = noisy_tags(tags, rng, **noise)
        if not self.keep_mask:
            del results['gt_seg_map']
            results['seg_fields'] = [key for key in results.get('seg_fields', []) if key != 'gt_seg_map']
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(kind={self.kind!r}, seed={self.seed}, options={self.options})'
