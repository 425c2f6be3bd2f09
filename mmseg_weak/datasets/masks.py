"""Decode label masks and say clearly what is wrong with one that is not a mask."""
import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from mmseg_weak.errors import ConfigError, DataError

from .headers import read_file

__all__ = ['BIASED', 'RGB_HINT', 'check_values', 'colour_table', 'decode_image', 'decode_mask']

BIASED = 254  # in the files of `mmseg-weak debias`: a pseudo label that was found to be wrong; 255 stays unknown
RGB_HINT = (
    'a mask is one channel of class indices. Save class indices instead of colours; docs/data.md shows how.'
)
_FLAGS = {False: cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, True: cv2.IMREAD_COLOR}


def decode_image(path: str, exif: bool = False, backend_args: dict | None = None) -> np.ndarray:
    """Decode a photograph as (H, W, 3) uint8 BGR.

    Args:
        path: file to read through mmengine's file backends.
        exif: whether to turn the image as its EXIF orientation says. Masks carry none, so images with masks
            are read as stored by default.

    Raises:
        DataError, MissingFileError: where the file is not a whole image.
    """
    data = read_file(path, backend_args)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[exif])
    if image is None:
        raise DataError(
            f'{path} is not a readable image ({len(data)} bytes); save it again as JPEG or PNG, or leave '
            'it out.'
        )
    return image


def colour_table(color_map: Mapping | Sequence) -> dict[int, int]:
    """Packed colour -> class index.

    Args:
        color_map: a list of (r, g, b) in the order of the classes, or a mapping ``(r, g, b) or '#rrggbb' ->
            index``.
    """
    items = color_map.items() if isinstance(color_map, Mapping) else ((c, i) for i, c in enumerate(color_map))
    table = {}
    for colour, index in items:
        if isinstance(colour, str):
            text = colour.lstrip('#')
            colour = [int(text[i:i + 2], 16) for i in (0, 2, 4)]
        if len(colour) != 3:
            raise ConfigError(f'dataset.color_map: {colour!r} is not a colour; give (r, g, b) from 0 to 255.')
        r, g, b = (int(v) for v in colour)
        table[(r << 16) | (g << 8) | b] = int(index)
    return table


def _from_colours(mask: np.ndarray, table: Mapping[int, int], path: str) -> np.ndarray:
    packed = (mask[..., 0].astype(np.int64) << 16) | (mask[..., 1].astype(np.int64) << 8) | mask[..., 2]
    values, inverse = np.unique(packed, return_inverse=True)
    unknown = [int(v) for v in values if int(v) not in table]
    if unknown:
        raise DataError(
            f'{path} has the colour #{unknown[0]:06x}, which is not in dataset.color_map; add it, or save '
            'the mask without smoothing.'
        )
    return np.array([table[int(v)] for v in values], np.uint8)[inverse].reshape(packed.shape)


def decode_mask(path: str,
                color_table: Mapping[int, int] | None = None,
                backend_args: dict | None = None) -> np.ndarray:
    """Decode a mask as (H, W) uint8 class indices: greyscale, palette (its indices), 1 bit, or RGB with a
    table.

    Raises:
        DataError, MissingFileError: where the file is missing, truncated, or holds colours and no table was
            given.
    """
    data = read_file(path, backend_args)
    try:
        with Image.open(io.BytesIO(data)) as image:
            mask = np.array(image)
    except Exception as error:
        raise DataError(
            f'{path} is not a readable mask ({len(data)} bytes); save it again as PNG.'
        ) from error
    if mask.ndim == 3 and mask.shape[2] == 2:
        mask = mask[..., 0]  # grey with alpha
    if mask.ndim == 3:
        if color_table is None:
            raise DataError(f'{path} is RGB; {RGB_HINT}')
        return _from_colours(mask[..., :3], color_table, path)
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    if mask.dtype != np.uint8:
        if mask.size and (mask.min() < 0 or mask.max() > 255):
            raise DataError(
                f'{path} holds the value {int(mask.max())}; class indices must lie between 0 and 254, 255 '
                'means unknown. Save the mask as 8-bit PNG.'
            )
        mask = mask.astype(np.uint8)
    return mask


def check_values(mask: np.ndarray, num_classes: int, path: str, ignore_index: int = 255) -> None:
    """Refuse class indices outside the classes.

    Args:
        mask: (H, W) uint8.
        num_classes: how many classes there are.
        path: file, for the message.

    Raises:
        DataError: naming the value.
    """
    if not mask.size or int(mask.max()) < num_classes:
        return
    counts = np.bincount(mask.ravel(), minlength=256)
    counts[:num_classes] = 0
    counts[ignore_index] = 0
    wrong = np.flatnonzero(counts)
    if len(wrong):
        raise DataError(
            f'{path} holds the class index {int(wrong[0])}, but there are {num_classes} classes (0 to '
            f'{num_classes - 1}, {ignore_index} for unknown); mend the mask or the list of classes.'
        )
