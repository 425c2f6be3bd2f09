"""Masks of COCO-Object: COCO-Stuff's own annotation files with things as 1 to 80, without gaps, and all else as 0.

    python tools/dataset_converters/coco_object.py data/coco_stuff164k

reads ``annotations/val2017/<id>.png`` (COCO-Stuff as distributed: a thing's COCO id less one, stuff from 91 on, 255
unlabelled) and writes ``<id>_instanceTrainIds.png`` beside them. Unlabelled pixels are background, as in the files of
GroupViT and of all later work. A second run leaves alone what is there.
"""
import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_weak.apis.progress import progress
from mmseg_weak.apis.train import main_of_tool
from mmseg_weak.errors import DataError, MissingFileError
from mmseg_weak.files import write_bytes

_MISSING = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)  # COCO's ids less one that no thing has (ids 12, 26, ...)


def thing_table() -> np.ndarray:
    """(256,) uint8: value of a COCO-Stuff file -> class.

    >>> thing_table()[[0, 12, 89, 91, 255]].tolist()
    [1, 12, 80, 0, 0]
    """
    table = np.zeros(256, np.uint8)
    things = [value for value in range(90) if value not in _MISSING]
    table[things] = np.arange(1, len(things) + 1)
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help='folder of COCO-Stuff with annotations/val2017')
    parser.add_argument('--parts', nargs='+', default=['val2017'], help='folders below annotations/')
    args = parser.parse_args()
    table, files = thing_table(), []
    for part in args.parts:
        folder = args.root / 'annotations' / part
        found = [path for path in sorted(folder.glob('*.png')) if 'TrainIds' not in path.name]
        if not found:
            raise MissingFileError(f'{folder} holds no COCO-Stuff annotation (<id>.png): unpack '
                                   'stuffthingmaps_trainval2017.zip there.')
        files += found
    for path in progress(files, 'convert'):
        target = path.with_name(f'{path.stem}_instanceTrainIds.png')
        if target.is_file():
            continue
        with Image.open(path) as picture:
            mask = np.asarray(picture)
        if mask.ndim != 2 or mask.dtype != np.uint8:
            raise DataError(f'{path} is {mask.dtype} of shape {mask.shape}; COCO-Stuff files are one channel of uint8.')
        stream = io.BytesIO()
        Image.fromarray(table[mask]).save(stream, 'PNG')
        write_bytes(target, stream.getvalue())
    print(f'Written: {len(files)} masks below {args.root}/annotations')


if __name__ == '__main__':
    main_of_tool(main)
