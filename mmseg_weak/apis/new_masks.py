"""Masks that hold colours or grey levels become masks that hold class indices."""
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_weak.errors import DataError
from mmseg_weak.files import write_bytes
from mmseg_weak.visualization import mask_png

from .check_data import DataReport

__all__ = ['index_masks']

_MOST_COLOURS = 64


def index_masks(found: DataReport, masks: str, out: Path) -> tuple[list[str], str]:
    """Write index copies of masks that need it; masks that hold class indices stay where they are.

    RGB masks: one class a colour, black first, the others in the order of their value. Grey masks of 0 and 255
    alone: 255 becomes class 1. Grey masks with large gaps (0, 50, 100): one class a level, 255 stays unlabelled.

    Args:
        found: of ``check_data``.
        masks: folder of the masks.
        out: folder of the copies.

    Returns:
        What was done, in words, and the folder to use.

    Raises:
        DataError: the colours are too many to be classes.
    """
    kinds = {finding.kind for finding in found.findings}
    files = [pair.mask for pair in found.pairs if pair.mask]
    if 'rgb_mask' in kinds:
        colours = _colours(files)
        table = {colour: index for index, colour in enumerate(colours)}
        for file in files:
            _copy(file, masks, out, table)
        legend = ', '.join(f'{index} = #{colour:06x}' for colour, index in table.items())
        return [f'The masks are RGB; copies with class indices were written to {out} ({legend}).'], str(out)
    values = sorted(found.values)
    if values == [0, 255]:
        levels = {0: 0, 255: 1}
    elif 'sparse_values' in kinds:
        levels = {value: index for index, value in enumerate(value for value in values if value != 255)}
    else:
        return [], masks
    for file in files:
        _copy(file, masks, out, levels, grey=True)
    legend = ', '.join(f'{index} = {value}' for value, index in levels.items())
    return [f'The masks hold grey levels; copies with class indices were written to {out} ({legend}).'], str(out)


def _packed(file: str) -> np.ndarray:
    """(H, W) colours as 0xrrggbb."""
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert('RGB'), np.int64)
    return pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]


def _colours(files: list[str]) -> list[int]:
    colours: set[int] = set()
    for file in files:
        colours.update(np.unique(_packed(file)).tolist())
        if len(colours) > _MOST_COLOURS:
            raise DataError(f'the RGB masks hold more than {_MOST_COLOURS} colours (seen at {file}), so the colours '
                            f'are '
                            f'no classes: they were smoothed or saved as JPEG. Export them as PNG without smoothing, '
                            f'best as class indices')
    return sorted(colours)


def _copy(file: str, masks: str, out: Path, table: dict[int, int], grey: bool = False) -> None:
    if grey:
        with Image.open(file) as picture:
            values = np.asarray(picture).astype(np.int64)
    else:
        values = _packed(file)
    indices = np.full(values.shape, 255, np.uint8)
    for value, index in table.items():
        indices[values == value] = index
    target = out / Path(file).resolve().relative_to(Path(masks).resolve()).with_suffix('.png')
    write_bytes(target, mask_png(indices))
