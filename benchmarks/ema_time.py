"""Our EMA teacher's update against torch.optim.swa_utils.AveragedModel with its multi-tensor averaging.

    python benchmarks/ema_time.py          # ResNet-50 DeepLabV3+, parameters and BatchNorm statistics

Both are run in turn in one process on the same network. Prints medians and spread, asserts nothing.
"""
import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import mmseg_weak  # noqa: F401  (registers)
from mmseg_weak.models.teachers import EMATeacher

BASE = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'models'


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=50)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    config = Config.fromfile(str(BASE / 'deeplabv3plus_r50-d16.py')).model
    config.backbone.pop('init_cfg')
    network = MODELS.build(config).to(args.device)
    rivals = {
        'EMATeacher, buffers averaged': EMATeacher(network, momentum=0.004, buffers='average').to(args.device),
        'AveragedModel, use_buffers': AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.996),
                                                    use_buffers=True),
        'EMATeacher, parameters only': EMATeacher(network, momentum=0.004, buffers='leave').to(args.device),
    }
    steps = {name: (lambda r=rival: r.update(network)) if isinstance(rival, EMATeacher) else
             (lambda r=rival: r.update_parameters(network)) for name, rival in rivals.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(args.steps + 3):
        for name, step in steps.items():
            if args.device != 'cpu':
                torch.cuda.synchronize()
            start = time.perf_counter()
            step()
            if args.device != 'cpu':
                torch.cuda.synchronize()
            if i >= 3:
                times[name].append(time.perf_counter() - start)
    count = sum(p.numel() for p in network.parameters()) / 1e6
    print(f'{count:.1f} M parameters, {args.threads} threads, {args.device}, torch {torch.__version__}')
    for name, values in times.items():
        low, high = statistics.quantiles(values, n=4)[::2]
        print(f'{name:30} {statistics.median(values) * 1e3:8.2f} ms   (quartiles {low * 1e3:.2f} to {high * 1e3:.2f})')
    if args.json:
        Path(args.json).write_text(json.dumps(times))


if __name__ == '__main__':
    main()
