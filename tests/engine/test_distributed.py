"""Two processes on CPU: one run with the doubled batch, teachers equal, no deadlock, exit code 0."""
import socket
import sys
from pathlib import Path

import pytest
import torch

from mmseg_weak.compat import load_checkpoint_file

ROOT = Path(__file__).resolve().parents[2]


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


@pytest.fixture
def dist_train(run_python):
    """Function that runs ``tools/dist_train.sh`` with two processes."""
    import os
    import subprocess

    def run(config, *args, processes=2, timeout=240):
        env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1',
                   PYTHON=sys.executable, PORT=str(_free_port()))
        return subprocess.run(['bash', str(ROOT / 'tools/dist_train.sh'), str(config), str(processes), *map(str, args)],
                              env=env, capture_output=True, text=True, timeout=timeout)
    return run


@pytest.mark.slow
@pytest.mark.smoke
def test_two_processes_are_one_with_the_doubled_batch(toy_config, tmp_path, dist_train, run_python):
    # GroupNorm instead of BN, whose statistics are per process; no dropout, whose draws are per rank
    settings = dict(norm="dict(type='GN', num_groups=1)", dropout=0.0, iters=3, interval=3)
    one = run_python(ROOT / 'tools/train.py', toy_config('supervised', name='one', batch=4, **settings),
                     '--work-dir', tmp_path / 'one')
    assert one.returncode == 0, one.stderr[-3000:]
    two = dist_train(toy_config('supervised', name='two', batch=2, **settings), '--work-dir', tmp_path / 'two')
    assert two.returncode == 0, two.stderr[-3000:]
    left, right = (load_checkpoint_file(tmp_path / name / 'iter_3.pth') for name in ('one', 'two'))
    for key, value in left['state_dict'].items():
        # three steps of float32: the means of two halves are rounded differently from the mean of the whole
        torch.testing.assert_close(value, right['state_dict'][key], rtol=1e-4, atol=1e-5, msg=key)
    moved = load_checkpoint_file(tmp_path / 'one/iter_3.pth')['optimizer']['state']
    assert max(float(state['momentum_buffer'].abs().max()) for state in moved.values()) > 1e-3


BATTERY = '''
import os, sys, torch, torch.distributed as dist
from mmengine.config import Config
from mmseg.registry import RUNNERS
cfg = Config.fromfile(sys.argv[1])
cfg.launcher, cfg.work_dir = 'pytorch', sys.argv[2]
runner = RUNNERS.build(cfg)
model = runner.model.module
if dist.get_rank() == 1:  # nothing that this rank sees is confident
    model.consistency.conf_thr = 2.0
def say(line):  # in one write, since two processes share the pipe
    os.write(1, f'{line}\\n'.encode())
close = type(runner)._close_group
def compare(self):
    state = torch.cat([v.detach().float().flatten() for v in model.state_dict().values()])
    both = [torch.empty_like(state) for _ in range(2)]
    dist.all_gather(both, state)
    say(f'EQUAL {torch.equal(both[0], both[1])} FINITE {bool(torch.isfinite(both[0]).all())}')
    close(self)
type(runner)._close_group = compare
runner.train()
say(f'OPEN {dist.is_initialized()}')
'''


@pytest.mark.slow
def test_no_deadlock_without_confident_pixels_and_equal_teachers(toy_config, tmp_path, run_python):
    script = tmp_path / 'battery.py'
    script.write_text(BATTERY)
    config = toy_config(iters=4, interval=4, norm="dict(type='SyncBN')")
    launcher = '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={_free_port()}'
    done = run_python(*launcher, script, config, tmp_path / 'w', timeout=200)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-4000:]
    assert done.stdout.count('EQUAL True FINITE True') == 2, text[-3000:]  # student, teacher and statistics
    assert done.stdout.count('OPEN False') == 2
    assert text.count('every SyncBN layer of the model is now a BN layer') == 1


def test_step_of_a_method_runs_through_the_wrapper(monkeypatch):
    from mmseg_weak.engine.ddp import WeakDDP
    monkeypatch.setattr(WeakDDP, '_average_norm_statistics', lambda self: None)
    wrapper = WeakDDP.__new__(WeakDDP)
    torch.nn.Module.__init__(wrapper)

    class Method(torch.nn.Module):
        def train_step_through(self, forward, data, optim_wrapper):
            return dict(forward=forward, data=data, optim=optim_wrapper)
    wrapper.module = Method()
    out = wrapper.train_step('batch', 'wrapper')
    assert out['forward'] == wrapper._run_forward and out['data'] == 'batch' and out['optim'] == 'wrapper'
