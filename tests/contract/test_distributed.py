"""Methods that learn from tags on two processes: no deadlock in any stage of a run, equal states after it."""
from pathlib import Path

import pytest
from mmengine.config import Config

from .runs import run_on_two_processes

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = '''
import os, runpy, sys
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
import mmseg_weak
from mmseg_weak.engine.ddp import WeakDDP

tools = runpy.run_path(sys.argv[1])
init_default_scope('mmseg')
dist.init_process_group('gloo')
hub = MessageHub.get_current_instance()
for path in sys.argv[2:]:
    config = Config.fromfile(path)
    hub.update_info('max_iters', 1000)
    hub.update_info('iter', 0)
    model, side = tools['build_small'](config)
    if getattr(model, 'teacher', None) is not None:
        model.teacher.start(model.student)
    model.train()
    wrapped = WeakDDP(model, find_unused_parameters=config.get('find_unused_parameters', False))
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimizer = OptimWrapper(torch.optim.SGD(learnt, lr=1e-3))
    for step, iteration in enumerate((0, 1, 500, 501, 998, 999)):
        hub.update_info('iter', iteration)
        batch = tools['random_batch'](model, side, seed=2 * step + dist.get_rank())
        wrapped.train_step(batch, optimizer)
    flat = torch.cat([v.detach().flatten().double() for v in model.state_dict().values()])
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    os.write(1, f'DONE {path} {torch.equal(*both)} {bool(torch.isfinite(flat).all())}\\n'.encode())
dist.barrier()
os._exit(0)  # gloo's threads outlive the group; engine/runner.py waits for them
'''


def _seeds(path: Path) -> bool:
    config = Config.fromfile(str(path))
    return config.get('train_cfg') is not None and config.get('lift', {}).get('measure') == 'seed_mIoU'


@pytest.mark.slow
@pytest.mark.parametrize('part', [0, 1, 2])
def test_tag_methods_on_two_processes(tmp_path, part):
    configs = [path for path in sorted((ROOT / 'configs').glob('*/*_toyworld.py')) if _seeds(path)][part::3]
    assert len(configs) > 3
    ended = run_on_two_processes(SCRIPT, configs, tmp_path)
    assert ended == sorted(2 * [f'DONE {path} True True' for path in configs]), ended
