"""The memory bank is a queue, the contrast reads right by hand, ignored pixels take no part."""
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import get_state_dict, load_state_dict, save_checkpoint, weights_to_cpu
from mmseg.registry import MODELS

from mmseg_weak.models.losses.unreliable_contrast import contrast_pixels, entropy_split, resize_mask, to_onehot


def build(**kwargs):
    return MODELS.build(dict(type='UnreliableContrastLoss', num_classes=3, feat_channels=2, low_rank=1, high_rank=3,
                             num_queries=4, num_negatives=3, bank_size=4, background_bank_size=None) | kwargs)


def scene(dtype=torch.float32):
    """One labelled and one unlabelled row of four pixels."""
    label = torch.tensor([[[0, 0, 1, 255]], [[0, 1, 1, 255]]])
    onehot = to_onehot(label, 3, (1, 4))
    probs = torch.tensor([[.6, .3, .1]] * 8).view(2, 1, 4, 3).permute(0, 3, 1, 2).contiguous()
    probs[:, :, 0, 2] = torch.tensor([.3, .6, .1])
    known = label.ne(255)
    rep = torch.randn(2, 2, 1, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    return dict(rep=rep, rep_teacher=rep.flip(3).clone(), onehot=onehot, probs=probs, low=known, high=known,
                num_labeled=1)


def test_bank_is_first_in_first_out():
    loss = build()
    rows = torch.arange(14.).view(7, 2)
    assert loss.push(rows[:3], torch.tensor([1, 1, 1])).tolist() == [0, 3, 0]
    loss.push(rows[3:5], torch.tensor([1, 2]))
    loss.push(rows[5:], torch.tensor([1, 1]))
    assert loss.bank(1)[:, 0].tolist() == [4, 6, 10, 12]  # 0 and 2 left
    assert loss.bank(2)[:, 0].tolist() == [8]
    assert loss.bank(0).shape == (0, 2)


def test_of_too_many_rows_the_last_stay():
    loss = build()
    loss.push(torch.arange(20.).view(10, 2), torch.zeros(10, dtype=torch.long))
    assert loss.bank(0)[:, 0].tolist() == [12, 14, 16, 18]


def test_checkpoint_holds_filled_rows_and_restores_them():
    loss = build(bank_size=1000)
    loss.push(torch.arange(12.).view(6, 2), torch.tensor([0, 2, 2, 0, 2, 1]))
    state = loss.state_dict()
    assert state['bank'].shape == (6, 2) and set(state) == {'bank', 'count', 'prototype'}
    other = build(bank_size=1000)
    other.load_state_dict(state)
    assert [other.bank(c).tolist() for c in range(3)] == [loss.bank(c).tolist() for c in range(3)]
    other.push(torch.ones(1, 2), torch.tensor([1]))
    assert other.bank(1)[:, 0].tolist() == [10, 1]


def test_pixels_of_each_role():
    s = scene()
    usable, anchors, negatives = contrast_pixels(s['onehot'], s['low'], s['high'], s['probs'], 1, low_rank=1,
                                                 high_rank=3, anchor_thr=0.3, negative_thr=1.0)
    assert usable.sum(1).tolist() == [3, 3, 0]
    # labelled: the likeliest class is not the label; unlabelled: ranked second or third
    assert anchors[0].tolist() == [True, True, False, False, True, False, False, False]
    assert anchors[1].tolist() == [False, False, True, False, False, False, True, False]
    assert negatives[0].tolist() == [False] * 4 + [False, False, True, False]
    assert negatives[1].tolist() == [False] * 4 + [True, True, False, False]
    assert negatives[2].tolist() == [False] * 4 + [True, True, True, False]


def test_equal_features_by_hand():
    s = scene()
    s['rep'], s['rep_teacher'] = torch.ones(2, 2, 1, 4), torch.ones(2, 2, 1, 4)
    assert build()(**s).item() == pytest.approx(math.log(1 + 3))  # one positive, three negatives, all alike


def test_perfect_separation_by_hand():
    s = scene()
    loss = build(temperature=1.0)
    loss.push(torch.tensor([[0., 1.]] * 8), torch.tensor([0] * 4 + [1] * 4))
    s['high'] = torch.zeros_like(s['high'])
    s['rep'] = s['rep_teacher'] = torch.tensor([1., 0.]).view(1, 2, 1, 1).expand(2, 2, 1, 4)
    assert loss(**s).item() == pytest.approx(-math.log(math.e / (math.e + 3)), rel=1e-5)


def test_ignored_pixels_do_not_matter():
    s, values = scene(), []
    for shift in (0.0, 100.0):
        given = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in s.items()}
        given['rep'][..., 3] += shift
        given['rep_teacher'][..., 3] += shift
        torch.manual_seed(0)
        values.append(build()(**given).item())
    assert values[0] == values[1] != 0


def test_nothing_valid_is_zero_with_a_gradient():
    s = scene()
    for name in ('low', 'high', 'onehot'):
        s[name] = torch.zeros_like(s[name])
    s['rep'].requires_grad_()
    loss = build()(**s)
    loss.backward()
    assert loss.item() == 0 and s['rep'].grad.abs().max() == 0


def test_one_class_is_zero():
    s = scene()
    s['onehot'][:, 1] = False
    assert build()(**s).item() == 0


def test_gradcheck():
    s = scene(torch.float64)

    def run(rep):
        torch.manual_seed(0)
        return build()(**dict(s, rep=rep))
    assert torch.autograd.gradcheck(run, (s['rep'].requires_grad_(),))


def test_prototypes_of_absent_classes_stay():
    loss = build(prototype_ema=True)
    loss.prototype[2] = 5.0
    loss(**scene(), step=2)
    assert loss.prototype[2].tolist() == [5, 5]
    assert loss.prototype[0].abs().sum() > 0


def test_entropy_split_by_hand():
    teacher = torch.tensor([9., 3., 1., 0.]).view(1, 1, 1, 4) * torch.tensor([1., -1.]).view(1, 2, 1, 1)
    low, high, *_ = entropy_split(torch.tensor([[[0, 0, 0, 255]]]), teacher, 20)
    assert low.tolist() == [[[True, False, False, False]]]
    assert high.tolist() == [[[False, False, True, False]]]
    assert resize_mask(torch.tensor([[[True, False, False, True]]]), (1, 2)).tolist() == [[[True, False]]]


_RANKS = '''
import sys, torch, torch.distributed as dist
import mmseg_weak
from mmseg_weak.models.losses import UnreliableContrastLoss
rank, file = int(sys.argv[1]), sys.argv[2]
dist.init_process_group('gloo', init_method='file://' + file, rank=rank, world_size=2)
loss = UnreliableContrastLoss(3, 2, low_rank=1, high_rank=3, bank_size=4, background_bank_size=None)
rows = [torch.arange(6.).view(3, 2), 10 + torch.arange(4.).view(2, 2)][rank]
new = loss.push(rows, torch.tensor([[1, 1, 2], [1, 0]][rank]))
new = new + loss.push(rows[:1] if rank else rows[:0], torch.tensor([1] if rank else [], dtype=torch.long))
dist.destroy_process_group()
print(new.tolist(), [loss.bank(c)[:, 0].tolist() for c in range(3)])
'''


def test_banks_are_equal_on_all_ranks_even_where_one_has_nothing(tmp_path):
    runs = [subprocess.Popen([sys.executable, '-c', _RANKS, str(rank), str(tmp_path / 'store')], text=True,
                             stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[3]) for rank in range(2)]
    said = [run.communicate(timeout=120)[0].strip().splitlines()[-1] for run in runs]
    assert said == ['[1, 4, 1] [[12.0], [0.0, 2.0, 10.0, 10.0], [4.0]]'] * 2


def test_mmengine_checkpoint_keeps_the_bank(tmp_path):
    loss = build()
    loss.push(torch.arange(12.).view(6, 2), torch.tensor([1] * 6))
    save_checkpoint(dict(state_dict=weights_to_cpu(get_state_dict(loss))), str(tmp_path / 'loss.pth'))
    other = build()
    load_state_dict(other, torch.load(tmp_path / 'loss.pth', weights_only=True)['state_dict'], strict=True)
    assert other.bank(1).tolist() == loss.bank(1).tolist() == [[4, 5], [6, 7], [8, 9], [10, 11]]
