"""Methods with names and sentences on two processes: no deadlock in either stage of a run, equal states after it."""
from pathlib import Path

import pytest

from .runs import run_on_two_processes

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ('maskclip/maskclip-plus_toyworld.py', 'clip_dinoiser/clip_dinoiser_toyworld.py', 'tris/tris_toyworld.py',
           'tris/tris-stage2_toyworld.py')
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
hub.update_info('max_iters', 4)
for path in sys.argv[2:]:
    config = Config.fromfile(path)
    if config.model.type == 'MaskCLIPPlus':
        config.model.self_train_from = 2
    hub.update_info('iter', 0)
    model, side = tools['build_small'](config)
    model.train()
    wrapped = WeakDDP(model, find_unused_parameters=config.get('find_unused_parameters', False))
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in learnt.items()}
    optimizer = OptimWrapper(torch.optim.SGD(learnt.values(), lr=1e-2))
    for iteration in range(4):
        hub.update_info('iter', iteration)
        batch = tools['random_batch'](model, side, seed=2 * iteration + dist.get_rank())
        wrapped.train_step(batch, optimizer)
    flat = torch.cat([value.flatten().double() for value in model.state_dict().values()])
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    moved = all(bool((p != before[name]).any()) for name, p in learnt.items() if p.numel() > 1000)
    os.write(1, f'DONE {path} {torch.equal(*both)} {bool(torch.isfinite(flat).all())} {moved}\\n'.encode())
dist.barrier()
os._exit(0)  # gloo's threads outlive the group; engine/runner.py waits for them
'''


@pytest.mark.slow
def test_methods_with_names_on_two_processes(tmp_path):
    configs = [ROOT / 'configs' / name for name in CONFIGS]
    ended = run_on_two_processes(SCRIPT, configs, tmp_path)
    assert ended == sorted(2 * [f'DONE {path} True True True' for path in configs]), ended
