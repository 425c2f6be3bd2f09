"""What IRNet's walk brings after more and more steps: mIoU at the best background threshold, on some images.

    python benchmarks/walk_steps.py CONFIG CHECKPOINT --loader val --images 50

CONFIG and CHECKPOINT are an IRNet's; the loader must have masks. Class maps and edges are made once an image, then
walked. Prints a table, asserts nothing.
"""
import argparse

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS

from mmseg_weak.apis.inferencer import SegInferencer
from mmseg_weak.models.cam.boundaries import spread_to_edges
from mmseg_weak.models.refine import EdgeWalk

THRESHOLDS = np.arange(0.02, 0.9, 0.04)
SETTINGS = [(10, 0), (10, 2), (10, 4), (10, 6), (10, 8), (5, 4), (20, 8)]  # beta, logarithm of the steps


def count(hist: np.ndarray, scores: torch.Tensor, truth: np.ndarray, classes: int) -> None:
    """Add an image's confusion at every threshold: scores (K,H,W), truth (H,W)."""
    best, label = scores.max(0)
    best, label, known = best.numpy(), label.numpy() + 1, truth < classes
    for j, thr in enumerate(THRESHOLDS):
        pred = np.where(best > thr, label, 0)
        cells = truth[known].astype(np.int64) * classes + pred[known]
        hist[j] += np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def miou(hist: np.ndarray) -> list[float]:
    """Of each threshold, over classes in truth or prediction."""
    hit = np.diagonal(hist, axis1=1, axis2=2)
    union = hist.sum(1) + hist.sum(2) - hit
    return [float(100 * (h[u > 0] / u[u > 0]).mean()) for h, u in zip(hit, union)]


@torch.no_grad()
def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--loader', default='train_eval')
    parser.add_argument('--images', type=int, default=50)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cfg = Config.fromfile(args.config)
    model = SegInferencer(cfg, args.checkpoint, device='cpu').model
    dataset = DATASETS.build(cfg[f'{args.loader}_dataloader'].dataset)
    rows = {'without': None, **{f'{2**times} steps, beta {beta}': EdgeWalk(beta, times) for beta, times in SETTINGS}}
    hists = {name: np.zeros((len(THRESHOLDS), model.num_classes, model.num_classes)) for name in rows}
    for index in np.linspace(0, len(dataset) - 1, args.images).astype(int):
        batch = pseudo_collate([dataset[int(index)]])
        truth = batch['data_samples'][0].gt_sem_seg.data[0].numpy()
        batch = model.data_preprocessor(batch, False)
        images, present = batch['inputs'], model.tags(batch['data_samples']).bool()
        edge = model.edges(images)
        maps = model.cam.seed_scores(images, present, tuple(edge.shape[-2:]))
        size = tuple(images.shape[-2:])
        for name, walk in rows.items():
            scores = (F.interpolate(maps, size, mode='bilinear', align_corners=False) if walk is None else
                      spread_to_edges(walk, maps, edge, model.heads.strides[1], size, present))
            count(hists[name], scores[0, :, :truth.shape[0], :truth.shape[1]], truth, model.num_classes)
    print(f'| walk | best mIoU | its threshold | at {THRESHOLDS[6]:.2f} |\n|---|---|---|---|')
    for name, hist in hists.items():
        values = miou(hist)
        print(f'| {name} | {max(values):.1f} | {THRESHOLDS[int(np.argmax(values))]:.2f} | {values[6]:.1f} |')


if __name__ == '__main__':
    main()
