"""Multi-scale class maps (4 scales, mirrored) against the bare forward passes of the same network on the same images.

    python benchmarks/cam_time.py [--repeats 5] [--classes 20] [--size 375 500]

Both run in turn in one process. The maps include resizing, mirroring, adding and normalising. Prints, asserts nothing.
"""
import argparse
import platform
import statistics
import time

import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_weak  # noqa: F401, registers the models


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--classes', type=int, default=20)
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500))
    parser.add_argument('--depth', type=int, default=50, help='of the ResNet')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    scales = (1.0, 0.5, 1.5, 2.0)
    model = MODELS.build(dict(
        type='CAMClassifier', num_classes=args.classes + 1,
        backbone=dict(type='ResNet', depth=args.depth, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 1), out_indices=(3,)),
        head=dict(in_channels=2048 if args.depth >= 50 else 512, pooling='gap'),
        seed=dict(scales=scales, flip='sum', rounding='round'))).eval()
    image = torch.randn(1, 3, *args.size)
    present = torch.zeros(1, args.classes, dtype=torch.bool)
    present[:, :2] = True
    views = []
    for scale in scales:
        size = [round(n * scale) for n in args.size]
        view = F.interpolate(image, size, mode='bilinear', align_corners=False)
        views.append(torch.cat([view, view.flip(-1)]))
    times: dict[str, list[float]] = dict(maps=[], bare=[])
    with torch.no_grad():
        for turn in range(args.repeats + 1):
            for name, work in (('bare', lambda: [model.class_maps(view) for view in views]),
                               ('maps', lambda: model.seed_scores(image, present))):
                start = time.perf_counter()
                work()
                if turn:  # the first turn warms up
                    times[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(times['maps'], times['bare'])]
    print(f'{platform.machine()}, {args.threads} thread(s), torch {torch.__version__}, ResNet-{args.depth}, '
          f'{args.size[0]}x{args.size[1]}, {args.classes} classes, 2 present')
    for name, values in times.items():
        print(f'{name}: median {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})')
    print(f'maps / bare: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})')


if __name__ == '__main__':
    main()
