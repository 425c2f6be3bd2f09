"""Runs that the contract tests share: from their middle, and on two processes."""
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import RUNNERS

from mmseg_weak.compat import load_checkpoint_file

__all__ = ['ITERS', 'check_resume', 'run_on_two_processes', 'shorten']

ROOT = Path(__file__).resolve().parents[2]
ITERS = 4


def shorten(config: Config, work_dir: Path) -> None:
    """Four iterations of two images in one process, without validation, a checkpoint in the middle."""
    loader = config.train_dataloader
    loader.batch_size = loader.sampler.batch_size = 2
    loader.num_workers, loader.persistent_workers = 0, False
    config.train_cfg.max_iters = ITERS
    for scheduler in config.param_scheduler:
        scheduler.end = ITERS
    for part in ('val', 'test'):
        config[f'{part}_dataloader'] = config[f'{part}_cfg'] = config[f'{part}_evaluator'] = None
    config.default_hooks.checkpoint.update(interval=ITERS // 2, max_keep_ckpts=-1)
    config.update(work_dir=str(work_dir), launcher='none',
                  experiment_name=f'{Path(config.filename).stem}_{work_dir.name}')


def _same(left: Any, right: Any, where: str) -> None:
    """Two parts of checkpoints are equal, bit for bit."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key, value in left.items():
            _same(value, right[key], f'{where}.{key}')
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for number, (one, other) in enumerate(zip(left, right)):
            _same(one, other, f'{where}.{number}')
    else:
        assert left == right, where


def check_resume(small: Callable[[Path], Config], folder: Path) -> None:
    """A run that went on from its middle ends as one that was never stopped.

    Args:
        small: work_dir -> a config that :func:`shorten` has shortened.
        folder: for both runs.
    """
    RUNNERS.build(small(folder / 'whole')).train()
    (folder / 'parts').mkdir()
    shutil.copy(folder / f'whole/iter_{ITERS // 2}.pth', folder / 'parts')
    random.seed(1234)  # what happens in between must not matter
    torch.rand(17)
    config = small(folder / 'parts')
    config.resume = True
    RUNNERS.build(config).train()
    middle, whole, parts = (load_checkpoint_file(folder / name) for name in (
        f'whole/iter_{ITERS // 2}.pth', f'whole/iter_{ITERS}.pth', f'parts/iter_{ITERS}.pth'))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        _same(whole[part], parts[part], part)
    assert any(not torch.equal(value, middle['state_dict'][key]) for key, value in whole['state_dict'].items())


def run_on_two_processes(script: str, configs: Sequence[Path], folder: Path) -> list[str]:
    """Run a script with conftest.py and configs as arguments; returns its lines that start with DONE, sorted."""
    path = folder / 'steps.py'
    path.write_text(script)
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={port}',
               path, ROOT / 'tests/contract/conftest.py', *configs]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=400, cwd=ROOT, env=dict(
        os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1'))
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return sorted(line for line in done.stdout.splitlines() if line.startswith('DONE'))
