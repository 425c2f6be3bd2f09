"""Masks and confidences as pictures that people can look at."""
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .palette import voc_palette

__all__ = ['colorize', 'confidence_picture', 'grid', 'mask_png', 'overlay', 'png_bytes', 'shrink']

# Colours at confidence 0, 1/4, ... 1: dark violet over teal to yellow. Brightness rises all the way, so the
# order survives a grey print and colour blindness.
RAMP = np.array([[26, 5, 51], [63, 52, 130], [40, 120, 142], [78, 190, 108], [250, 230, 40]], np.float32)
IGNORE_COLOUR = (255, 255, 255)


def colorize(mask: np.ndarray, palette: Sequence[Sequence[int]] | None = None,
             ignore_index: int = 255) -> np.ndarray:
    """Paint a mask.

    Args:
        mask: (H, W) class indices; ``ignore_index`` and indices without a colour become white.
        palette: one ``[r, g, b]`` a class; VOC's colours where it is not given.
        ignore_index: the value of unlabelled pixels.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    mask = np.asarray(mask).astype(np.int64)
    colours = np.array(palette if palette is not None else voc_palette(256), np.uint8).reshape(-1, 3)
    table = np.concatenate([colours, np.array([IGNORE_COLOUR], np.uint8)])
    known = (mask >= 0) & (mask < len(colours)) & (mask != ignore_index)
    return table[np.where(known, mask, len(colours))]


def overlay(image: np.ndarray, mask: np.ndarray, palette: Sequence[Sequence[int]] | None = None,
            opacity: float = 0.5, ignore_index: int = 255) -> np.ndarray:
    """Lay a painted mask over its image; unlabelled pixels show the bare image.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) class indices.
        palette: one ``[r, g, b]`` a class.
        opacity: share of the mask's colour, in [0, 1].
        ignore_index: the value of unlabelled pixels.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f'the image is {image.shape[1]}x{image.shape[0]} and its mask '
                         f'{mask.shape[1]}x{mask.shape[0]}; an overlay needs both of one size')
    painted = colorize(mask, palette, ignore_index).astype(np.float32)
    share = np.where(mask == ignore_index, 0.0, opacity).astype(np.float32)[..., None]
    return np.rint(image * (1 - share) + painted * share).astype(np.uint8)


def confidence_picture(confidence: np.ndarray) -> np.ndarray:
    """Paint a confidence map, from dark violet (0) to yellow (1).

    Args:
        confidence: (H, W), in [0, 1].

    Returns:
        (H, W, 3) uint8, RGB.
    """
    position = np.clip(np.nan_to_num(np.asarray(confidence, np.float32)), 0, 1) * (len(RAMP) - 1)
    lower = np.minimum(position.astype(np.int64), len(RAMP) - 2)
    share = (position - lower)[..., None]
    return np.rint(RAMP[lower] * (1 - share) + RAMP[lower + 1] * share).astype(np.uint8)


def mask_png(mask: np.ndarray, palette: Sequence[Sequence[int]] | None = None) -> bytes:
    """Encode a mask as a PNG whose pixel values are the class indices and whose colours are the palette's.

    Args:
        mask: (H, W) class indices, 0-255 (255 is shown white). Larger indices become a 16-bit grey PNG, since a
            palette holds 256 colours.
        palette: one ``[r, g, b]`` a class; VOC's colours where it is not given.

    Returns:
        The bytes of the file.
    """
    mask = np.ascontiguousarray(mask)
    if mask.size and int(mask.max()) > 255:
        return png_bytes(Image.fromarray(mask.astype(np.uint16)))
    picture = Image.fromarray(mask.astype(np.uint8), mode=None).convert('L')
    colours = [list(colour) for colour in (palette if palette is not None else voc_palette(256))][:256]
    colours += [list(IGNORE_COLOUR)] * (256 - len(colours))
    picture.putpalette([value for colour in colours for value in colour])
    return png_bytes(picture)


def png_bytes(picture: Image.Image | np.ndarray) -> bytes:
    """Encode a PIL picture or a uint8 array as PNG."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    stream = io.BytesIO()
    picture.save(stream, 'PNG')
    return stream.getvalue()


def shrink(array: np.ndarray, long_side_px: int, nearest: bool = False) -> np.ndarray:
    """Reduce a picture or mask to a long side; smaller ones stay as they are.

    Args:
        array: (H, W) or (H, W, 3) uint8.
        long_side_px: the most pixels of the longer side.
        nearest: keep values as they are (masks) instead of averaging them.

    Returns:
        The reduced uint8 array.
    """
    height, width = array.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1:
        return array
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(array)).resize(size, method))


def grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = (), cell_px: int = 160,
         gap_px: int = 6) -> np.ndarray:
    """Put pictures on one white sheet, a row an image and a column a kind.

    Args:
        rows: pictures (H, W, 3) uint8; rows may differ in length.
        titles: one text a column, above the first row.
        cell_px: side of the square in which each picture is centred.
        gap_px: white space between pictures.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError('grid() got no picture; give at least one row with one picture')
    head = 16 if titles else 0
    step = cell_px + gap_px
    sheet = Image.new('RGB', (columns * step + gap_px, len(rows) * step + gap_px + head), 'white')
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles[:columns]):
        draw.text((gap_px + column * step, 4), title, fill='black')
    for top, row in enumerate(rows):
        for left, picture in enumerate(row):
            small = Image.fromarray(np.ascontiguousarray(picture))
            scale = cell_px / max(small.size)
            small = small.resize([max(1, round(side * scale)) for side in small.size],
                                 Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)
            sheet.paste(small, (gap_px + left * step + (cell_px - small.width) // 2,
                                head + gap_px + top * step + (cell_px - small.height) // 2))
    return np.asarray(sheet)
