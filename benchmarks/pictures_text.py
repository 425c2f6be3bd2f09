"""Pictures for docs/ of the methods whose answers need text: CaSED's words, TRIS's sentences, on ToyWorld.

    python benchmarks/pictures_text.py words --to docs/images/words_toyworld.png
    python benchmarks/pictures_text.py sentences --to docs/images/sentences_toyworld.png

Takes the configs and checkpoints that lift.py left in --out. Text stands below the picture it belongs to.
"""
import argparse
from pathlib import Path

import numpy as np
from lift import ROOT
from mmengine.config import Config
from pictures import predictions
from PIL import Image, ImageDraw

from mmseg_weak.visualization import overlay, voc_palette

CELL, LINE, GAP = 144, 12, 6
RUNS = dict(words=['cased_toyworld'], sentences=['clip-refer_toyworld', 'tris_toyworld', 'tris-stage2_toyworld'])


def shown(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours of a mask over its image, index 0 too where there are several."""
    return overlay(image, mask.astype(np.uint8), voc_palette(64), 0.6)


def words_row(found: tuple) -> list[tuple[np.ndarray, list[tuple[str, tuple]]]]:
    """Image, and CaSED's regions with their words, largest first."""
    image, sample = found
    mask, names = sample.pred_sem_seg.data[0].cpu().numpy() + 1, sample.metainfo['words']
    sizes = np.bincount(mask.ravel(), minlength=len(names) + 1)
    order = [i for i in np.argsort(-sizes) if sizes[i]][:8]
    return [(image, []), (shown(image, mask), [(names[i - 1], tuple(voc_palette(64)[i])) for i in order])]


def sentence_row(found: list[tuple]) -> list[tuple[np.ndarray, list[tuple[str, tuple]]]]:
    """Image with its sentence, the true mask, and what each run finds."""
    image, sample = found[0]
    words, lines = sample.get('expression').split(), ['']
    for word in words:
        lines = [*lines[:-1], f'{lines[-1]} {word}'.strip()] if len(lines[-1] + word) < 24 else [*lines, word]
    cells = [(image, [(line, (0, 0, 0)) for line in lines]),
             (shown(image, sample.gt_sem_seg.data[0].numpy()), [])]
    return cells + [(shown(image, each.pred_sem_seg.data[0].cpu().numpy()), []) for _, each in found]


def sheet(rows: list, titles: list[str]) -> Image.Image:
    """Text below each picture."""
    heights = [CELL + GAP + LINE * max(len(lines) for _, lines in row) for row in rows]
    out = Image.new('RGB', (len(rows[0]) * (CELL + GAP) + GAP, sum(heights) + 20), 'white')
    draw, top = ImageDraw.Draw(out), 20
    for column, title in enumerate(titles):
        draw.text((GAP + column * (CELL + GAP), 4), title, fill='black')
    for row, height in zip(rows, heights):
        for column, (picture, lines) in enumerate(row):
            left = GAP + column * (CELL + GAP)
            out.paste(Image.fromarray(picture).resize((CELL, CELL), Image.NEAREST), (left, top))
            for number, (line, colour) in enumerate(lines):
                draw.text((left, top + CELL + LINE * number), line, fill=colour)
        top += height
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('of', choices=list(RUNS))
    parser.add_argument('--images', nargs='*', type=int, default=[0, 5, 10, 15], help='numbers in the data set')
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs' / 'lift')
    parser.add_argument('--to', type=Path, required=True)
    args = parser.parse_args()
    runs = [args.out / name / 'seed0' for name in RUNS[args.of]]
    missing = [str(run) for run in runs if not (run / 'record.json').is_file()]
    if missing:
        raise SystemExit(f'no finished run in {", ".join(missing)}; run benchmarks/lift.py first.')
    found = [predictions(Config.fromfile(str(run / f'{run.parent.name}.py')), run, args.images)[0] for run in runs]
    if args.of == 'words':
        cells = [cell for each in found[0] for cell in words_row(each)]
        rows, titles = [cells], ['image', 'CaSED'] * len(args.images)
    else:
        rows, titles = [sentence_row(list(each)) for each in zip(*found)], ['image', 'true', 'CLIP', 'TRIS', 'stage 2']
    args.to.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows, titles).quantize(128).save(args.to, optimize=True)


if __name__ == '__main__':
    main()
