"""Time of a threshold sweep over seeds: one threshold, sixty in one pass, sixty as the published scripts do it.

    python benchmarks/sweep_time.py            # 3 images of VOC's size and classes, seconds
    python benchmarks/sweep_time.py --json     # the numbers as JSON

The published form predicts, and counts a confusion matrix, once for each threshold (MCTformer, CLIP-ES: the loop is
around the whole data set). Prints a table, asserts nothing.
"""
import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch

from mmseg_weak.evaluation.seed_scores import cross_table, iou_scores, seed_confusions, seed_histogram, seed_labels


def median_seconds(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and spread (max - min) of some calls after one that does not count."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), max(taken) - min(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=3)
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500))
    parser.add_argument('--classes', type=int, default=20, help='foreground classes')
    parser.add_argument('--thresholds', type=int, default=60)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(0)
    cams = torch.rand(args.images, args.classes, *args.size, generator=generator)
    labels = torch.randint(args.classes + 1, (args.images, *args.size), generator=generator)
    present = torch.rand(args.images, args.classes, generator=generator) < 0.15
    many = [i / 100 for i in range(args.thresholds)]

    def sweep(thresholds: list[float]) -> torch.Tensor:
        return iou_scores(seed_confusions(seed_histogram(cams, labels, thresholds, present)))['miou']

    def one_by_one() -> torch.Tensor:
        tables = [cross_table(seed_labels(cams, thr, present), labels, args.classes + 1)[:, :-1] for thr in many]
        return iou_scores(torch.stack(tables))['miou']

    difference = float((sweep(many) - one_by_one()).abs().max())
    rows = {'1 threshold': median_seconds(lambda: sweep(many[:1]), args.repeats),
            f'{args.thresholds} thresholds, one pass': median_seconds(lambda: sweep(many), args.repeats),
            f'{args.thresholds} thresholds, one by one': median_seconds(one_by_one, max(1, args.repeats // 3))}
    base = rows['1 threshold'][0]
    found = dict(
        device='cpu', machine=platform.machine(), threads=args.threads, torch=torch.__version__, images=args.images,
        size=list(args.size), classes=args.classes, largest_difference=difference,
        rows={name: dict(seconds=seconds, spread=spread, ratio=seconds / base)
              for name, (seconds, spread) in rows.items()})
    if args.json:
        print(json.dumps(found))
        return
    print(f'{args.images} images of {args.size[1]}x{args.size[0]}, {args.classes} classes, {args.threads} thread(s), '
          f'torch {torch.__version__}; largest difference of the mIoU {difference:.1e}')
    print(f'{"":<32} {"seconds":>9} {"spread":>8} {"ratio":>7}')
    for name, row in found['rows'].items():
        print(f'{name:<32} {row["seconds"]:>9.3f} {row["spread"]:>8.3f} {row["ratio"]:>7.2f}')


if __name__ == '__main__':
    main()
