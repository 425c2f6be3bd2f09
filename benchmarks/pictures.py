"""Pictures for docs/: what each finished ToyWorld run of benchmarks/lift.py says of the same images.

    python benchmarks/pictures.py --group Names --to docs/images/names_toyworld.png
    python benchmarks/pictures.py --group "Image tags" --to docs/images/tags_toyworld.png

Takes the configs and checkpoints that lift.py left in --out; the first rows are images and true masks. Seeds are shown
at the best threshold of the 100 validation images.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from lift import ROOT, group, methods
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from mmseg_weak.apis.checkpoints import load_weights, read_checkpoint
from mmseg_weak.visualization import grid, overlay


def predictions(config: Config, work: Path, images: list[int], thr: float | None = None, **data: object) -> tuple:
    """Of a finished run: items' images (H,W,3) RGB with their samples; the data set, with settings ``data``."""
    init_default_scope('mmseg')
    model = MODELS.build(config.model)
    pointer = work / 'last_checkpoint'
    if pointer.is_file():
        path = pointer.read_text().strip()
        load_weights(model, read_checkpoint(path), path)
    if thr is not None:
        model.seed.update(background='constant', thr=thr)
    model.eval()
    dataset = DATASETS.build(dict((config.get('val_dataloader') or config.test_dataloader).dataset, **data))
    found = []
    for index in images:
        item = dataset[index]
        with torch.no_grad():
            sample, = model.test_step(dict(inputs=[item['inputs']], data_samples=[item['data_samples']]))
        found.append((np.ascontiguousarray(item['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]), sample))
    return found, dataset


def masks(config: Config, work: Path, images: list[int], thr: float | None) -> tuple[list, list, list, list]:
    """Of a run: images (H,W,3) RGB, true masks, predicted masks; the palette."""
    found, dataset = predictions(config, work, images, thr, num_images=100, split='val', test_mode=True,
                                 pipeline=[dict(type='PackSemiInputs')], supervision=('tags', 'mask'))
    return ([image for image, _ in found], [sample.gt_sem_seg.data[0].numpy() for _, sample in found],
            [sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8) for _, sample in found],
            dataset.metainfo['palette'])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--group', default='Names', help='which table of docs/lift.md')
    parser.add_argument('--images', nargs='*', type=int, default=[0, 1, 2, 3, 4], help='of the validation images')
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs' / 'lift')
    parser.add_argument('--to', type=Path, required=True)
    args = parser.parse_args()
    chosen = {name: config for name, config in methods().items()  # words that a method makes up have other colours
              if group(config.lift) == args.group and config.lift.measure in ('mIoU', 'seed_mIoU')}
    bases = list(dict.fromkeys(config.lift.baseline for config in chosen.values()))
    rows, titles = [], []
    for name in dict.fromkeys([*bases, *chosen]):
        work = args.out / Path(name).stem / 'seed0'
        if not (work / 'record.json').is_file():
            print(f'{name}: no run in {work}')
            continue
        record = json.loads((work / 'record.json').read_text())
        shown, true, found, palette = masks(Config.fromfile(str(work / Path(name).name)), work, args.images,
                                            record.get('seed_thr'))
        if not rows:
            rows, titles = [shown, [overlay(i, m, palette, 0.7) for i, m in zip(shown, true)]], ['image', 'true']
        rows.append([overlay(i, m, palette, 0.7) for i, m in zip(shown, found)])
        titles.append(Path(name).stem.replace('_toyworld', ''))
        print(name, flush=True)
    if not rows:
        raise SystemExit(f'no run of "{args.group}" in {args.out}; run benchmarks/lift.py first.')
    args.to.parent.mkdir(parents=True, exist_ok=True)
    columns = [list(column) for column in zip(*rows)]  # a row an image, a column a method
    Image.fromarray(grid(columns, titles, cell_px=90)).quantize(128).save(args.to, optimize=True)


if __name__ == '__main__':
    main()
