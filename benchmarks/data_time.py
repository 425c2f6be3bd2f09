"""How many unlabelled images a worker delivers each second, beside the way the UniMatch authors' loader
works.

Setting: crops of 321 from JPEGs of 480x360 (such as CamVid; drawn ones where none are given), long side
scaled by 0.5 to 2, one thread. Ours: ``SemiDataset`` with geometry in the worker and strong views left to
the device. Theirs, described in our own words: every image is opened twice (once for itself, once as CutMix
partner), its mask too; each time PIL resizes, flips and crops it, and two strong views (colour jitter,
greyscale, blur) are made of it with PIL, then all views are normalised to float tensors. Times are medians
over repeats, both sides in turn.

    python benchmarks/data_time.py --images $MMSEG_WEAK_DATA/camvid/images/train --json data_time.json
"""
import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mmseg_weak.datasets import MultiSourceSampler, SemiDataset, UnlabeledDataset
from mmseg_weak.datasets.toyworld import draw_scene

CROP = 321
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=(CROP, CROP)),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs'),
]
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def draw_photographs(folder: Path, count: int = 64) -> Path:
    """JPEGs of 480x360 for a machine without photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        scene = draw_scene(480, 0, 0, i).render()[:360]
        cv2.imwrite(str(folder / f'{i:04d}.jpg'), scene, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return folder


def ours(folder: Path, batch: int = 4) -> Callable[[int], int]:
    """Function that loads batches through our worker side and returns the number of unlabelled images.

    Partners count as images of their own on both sides only where they are decoded: here ``partner='other'``
    decodes them too, so an image and its partner are two loads but one delivered sample, as with the authors.
    """
    source = UnlabeledDataset(images=str(folder), pipeline=PIPELINE)
    dataset = SemiDataset(source, UnlabeledDataset(images=str(folder), pipeline=PIPELINE))
    sampler = MultiSourceSampler(dataset, batch_size=3 * batch, source_ratio=[1, 2], seed=0, partner='other')

    def load(number: int) -> int:
        for index in sampler.batch(number)[batch:]:  # own and partner; the labelled part is not timed
            dataset[index]
        return batch
    return load


def _jitter(image: Image.Image) -> Image.Image:
    """Brightness, contrast, saturation and hue in random order, as torchvision's ColorJitter(0.5, 0.5, 0.5,
    0.25).
    """
    steps = [lambda i: ImageEnhance.Brightness(i).enhance(random.uniform(0.5, 1.5)),
             lambda i: ImageEnhance.Contrast(i).enhance(random.uniform(0.5, 1.5)),
             lambda i: ImageEnhance.Color(i).enhance(random.uniform(0.5, 1.5)), _hue]
    for step in random.sample(steps, len(steps)):
        image = step(image)
    return image


def _hue(image: Image.Image) -> Image.Image:
    hue, saturation, value = image.convert('HSV').split()
    turned = np.array(hue) + np.uint8(int(random.uniform(-0.25, 0.25) * 255) % 256)
    return Image.merge('HSV', (Image.fromarray(turned), saturation, value)).convert('RGB')


def _strong(image: Image.Image) -> Image.Image:
    if random.random() < 0.8:
        image = _jitter(image)
    if random.random() < 0.2:
        image = ImageOps.grayscale(image).convert('RGB')
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
    return image


def _tensor(image: Image.Image) -> torch.Tensor:
    array = (np.asarray(image, np.float32) / np.float32(255) - MEAN) / STD
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def _their_sample(path: Path) -> list[torch.Tensor]:
    image = Image.open(path).convert('RGB')
    mask = Image.fromarray(np.zeros(image.size[::-1], np.uint8))
    long_side = random.randint(int(max(image.size) * 0.5), int(max(image.size) * 2.0))
    scale = long_side / max(image.size)
    size = tuple(int(side * scale + 0.5) for side in image.size)
    image, mask = image.resize(size, Image.BILINEAR), mask.resize(size, Image.NEAREST)
    pad = max(CROP - size[0], 0), max(CROP - size[1], 0)
    image = ImageOps.expand(image, (0, 0, *pad), fill=0)
    mask = ImageOps.expand(mask, (0, 0, *pad), fill=254)
    left, top = random.randint(0, image.size[0] - CROP), random.randint(0, image.size[1] - CROP)
    box = left, top, left + CROP, top + CROP
    image, mask = image.crop(box), mask.crop(box)
    if random.random() < 0.5:
        image, mask = image.transpose(Image.FLIP_LEFT_RIGHT), mask.transpose(Image.FLIP_LEFT_RIGHT)
    views = [image, _strong(image), _strong(image)]
    return [_tensor(view) for view in views] + [torch.from_numpy(np.array(mask, np.int64))]


def theirs(folder: Path, batch: int = 4) -> Callable[[int], int]:
    """Function that loads batches the authors' way and returns the number of unlabelled images."""
    paths = sorted(folder.glob('*.jpg'))

    def load(number: int) -> int:
        for i in range(batch):
            for path in (
                paths[(number * batch + i) % len(paths)],
                random.choice(paths),
            ):  # itself and its partner
                _their_sample(path)
        return batch
    return load


def measure(sides: dict[str, Callable[[int], int]], batches: int, repeats: int) -> dict[str, list[float]]:
    """Images a second of each side, in turn, after one batch to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for load in sides.values():
        load(0)
    for repeat in range(repeats):
        for name, load in sides.items():
            start = time.process_time()  # one thread's own time: other work on the machine does not count
            done = sum(load(repeat * batches + n) for n in range(batches))
            rates[name].append(done / (time.process_time() - start))
    return rates


def main() -> None:
    """Measure, print a table and, with ``--json``, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--images', type=Path, help='folder of JPEGs; drawn ones without it')
    parser.add_argument('--batches', type=int, default=10, help='batches of 4 in a repeat')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--json', type=Path, help='write the figures here')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    random.seed(0)
    with tempfile.TemporaryDirectory() as spare:
        folder = args.images or draw_photographs(Path(spare) / 'drawn')
        rates = measure({'ours': ours(folder), "authors' way": theirs(folder)}, args.batches, args.repeats)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    print(f'{"":14}{"images/s/core":>14}{"lowest":>9}{"highest":>9}')
    for name, values in rates.items():
        print(f'{name:14}{middle[name]:14.1f}{min(values):9.1f}{max(values):9.1f}')
    ratio = middle['ours'] / middle["authors' way"]
    print(f'ratio {ratio:.2f}')
    if args.json:
        facts = dict(
            crop=CROP,
            images=str(args.images or 'drawn'),
            rates=rates,
            median=middle,
            ratio=ratio,
            versions=dict(
                python=platform.python_version(),
                torch=torch.__version__,
                mmcv=mmcv.__version__,
                opencv=cv2.__version__,
            ),
            machine=platform.processor() or platform.machine(),
        )
        args.json.write_text(json.dumps(facts, indent=1) + '\n')


if __name__ == '__main__':
    main()
