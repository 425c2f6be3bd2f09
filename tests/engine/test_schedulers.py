"""The warm-up polynomial: values by hand, groups, resume."""
import pytest
import torch

from mmseg_weak.engine import WarmupPolyLR
from mmseg_weak.errors import ConfigError


def build(**kwargs):
    groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=lr) for lr in (1.0, 10.0)]
    optimizer = torch.optim.SGD(groups)
    return optimizer, WarmupPolyLR(optimizer, max_iters=10, warmup_iters=4, warmup_ratio=0.2, power=1, **kwargs)


def run(optimizer, scheduler, steps):
    rates = []
    for _ in range(steps):
        rates.append([g['lr'] for g in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return rates


def test_by_hand():
    rates = run(*build(), 12)
    assert [r[0] for r in rates] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1])
    assert [r[1] for r in rates] == pytest.approx([10 * r[0] for r in rates])


def test_resume():
    whole = run(*build(), 9)
    optimizer, scheduler = build()
    run(optimizer, scheduler, 5)
    states = optimizer.state_dict(), scheduler.state_dict()
    optimizer, scheduler = build()
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    assert run(optimizer, scheduler, 4) == whole[5:]


def test_bad_settings():
    optimizer, _ = build()
    with pytest.raises(ConfigError, match=r'^warmup_iters=9 of WarmupPolyLR; give 0 or more, below max_iters=9\.$'):
        WarmupPolyLR(optimizer, max_iters=9, warmup_iters=9)
    with pytest.raises(ConfigError, match='it counts iterations, leave it out'):
        WarmupPolyLR(optimizer, max_iters=9, warmup_iters=1, by_epoch=True)
