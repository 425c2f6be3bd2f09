"""A whole training step of UniMatch against the bare step of the same networks on the same images.

    python benchmarks/step_time.py                       # DeepLabV3+ ResNet-50, 2 + 2 (+ 2 partner) crops of 256x256
    python benchmarks/step_time.py --net mobilenetv2 --labelled 3 --unlabelled 3

Bare: the same forward passes (labelled + weak with the doubled decoder input, two strong views, the partner without
gradient), cross-entropy at image size with given labels, backward, optimizer step. Whole: `model.train_step` on uint8
crops: padding, normalising, strong views, CutMix, pseudo labels, losses, statistics, backward, optimizer step. Both are
run in turn in one process, so that a slow moment of the machine hits both. Prints medians and spread, asserts nothing.
"""
import argparse
import json
import os
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_weak  # noqa: F401  (registers)
from mmseg_weak.models.utils import eval_mode

BASE = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'models'
NETS = dict(resnet50='deeplabv3plus_r50-d16.py', mobilenetv2='mobilenetv2_light.py', toyworld='toyworld_net.py')


def build(net: str, size: int, channels_last: bool) -> torch.nn.Module:
    """UniMatch around a network, from scratch."""
    segmentor = Config.fromfile(str(BASE / NETS[net])).model
    segmentor.backbone.pop('init_cfg', None)
    view = dict(type='PhotometricView')
    return revert_sync_batchnorm(MODELS.build(dict(
        type='UniMatch', segmentor=segmentor, channels_last=channels_last, conf_thr=0.0,
        data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=(size, size), partner=True,
                               views=dict(strong1=view, strong2=view))))).train()


def batch(labelled: int, unlabelled: int, size: int, classes: int) -> dict:
    """Random uint8 crops with the marks that SemiDataset sets."""
    samples = []
    for i in range(labelled + 2 * unlabelled):
        sample = SegDataSample(metainfo=dict(img_shape=(size, size), source='sup' if i < labelled else 'unsup'))
        if i < labelled:
            sample.gt_sem_seg = PixelData(data=torch.randint(classes, (1, size, size)))
        samples.append(sample)
    return dict(inputs=list(torch.randint(256, (len(samples), 3, size, size), dtype=torch.uint8)), data_samples=samples)


def bare_step(model, optim, images: dict[str, torch.Tensor], labels: torch.Tensor) -> None:
    """The least that trains the same networks on the same images."""
    with torch.no_grad(), eval_mode(model.student):
        model.logits(images['partner'])
    feats = model.features(images['clean'])
    clean, dropped = model.decode(model.perturb(feats)).chunk(2)
    strong = model.decode(model.features(images['strong']))
    outputs = torch.cat([clean, dropped[len(labels) - len(dropped):], strong])
    logits = model.upsample(outputs, images['clean'].shape[-2:])
    loss = F.cross_entropy(logits, labels.repeat(len(logits) // len(labels) + 1, 1, 1)[:len(logits)])
    optim.update_params(loss)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--net', choices=sorted(NETS), default='resnet50')
    parser.add_argument('--labelled', type=int, default=2)
    parser.add_argument('--unlabelled', type=int, default=2)
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--steps', type=int, default=30)
    parser.add_argument('--warmup', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmseg')
    model = build(args.net, args.size, args.channels_last).to(args.device)
    optim = OptimWrapper(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-4))
    data = batch(args.labelled, args.unlabelled, args.size, model.num_classes)
    count = args.labelled + args.unlabelled
    images = {k: torch.randn(n, 3, args.size, args.size, device=args.device)
              for k, n in (('partner', args.unlabelled), ('clean', count), ('strong', 2 * args.unlabelled))}
    labels = torch.randint(model.num_classes, (args.labelled, args.size, args.size), device=args.device)

    def timed(function) -> float:
        if args.device != 'cpu':
            torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        if args.device != 'cpu':
            torch.cuda.synchronize()
        return time.perf_counter() - start

    parts = {'bare step': lambda: bare_step(model, optim, images, labels),
             'whole step': lambda: model.train_step(dict(data), optim),
             'padding, normalising, views': lambda: model.data_preprocessor(dict(data), True)}
    times: dict[str, list[float]] = {k: [] for k in parts}
    for step in range(args.warmup + args.steps):
        for name, function in parts.items():
            seconds = timed(function)
            if step >= args.warmup:
                times[name].append(seconds)
    median = {k: statistics.median(v) for k, v in times.items()}
    print(f'{args.net}, {args.labelled} + {args.unlabelled} (+ {args.unlabelled} partner) crops of {args.size}, '
          f'{args.threads} threads, {args.steps} steps, {args.device}, torch {torch.__version__}, '
          f'{os.cpu_count()} cores')
    for name, values in times.items():
        low, high = statistics.quantiles(values, n=4)[::2]
        print(f'{name:30} {median[name] * 1e3:9.1f} ms   (quartiles {low * 1e3:.1f} to {high * 1e3:.1f})')
    print(f"whole / bare: {median['whole step'] / median['bare step']:.3f}; preprocessing with views: "
          f"{median['padding, normalising, views'] / median['whole step']:.1%} of the step")
    if args.json:
        Path(args.json).write_text(json.dumps(dict(vars(args), times=times)))


if __name__ == '__main__':
    main()
