"""Heads of AffinityNet, IRNet and AFA: shapes, what is frozen, poolings by hand."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import MeanShift


def test_affinity_head_has_the_published_layers():
    head = MODELS.build(dict(type='AffinityHead', in_channels=(3, 4, 5), channels=(2, 3, 4)))
    assert {k: tuple(v.shape) for k, v in head.state_dict().items()} == {
        'f8_3.weight': (2, 3, 1, 1), 'f8_4.weight': (3, 4, 1, 1), 'f8_5.weight': (4, 5, 1, 1),
        'f9.weight': (9, 9, 1, 1)}
    out = head([torch.randn(2, c, 6, 7) for c in (3, 4, 5)])
    assert out.shape == (2, 9, 6, 7) and out.min() >= -1  # ELU
    with pytest.raises(ConfigError):
        MODELS.build(dict(type='AffinityHead', in_channels=(3, 4)))


@pytest.mark.parametrize('side', [64, 76])
def test_irnet_heads_at_stride_four(side):
    heads = MODELS.build(dict(type='IRNetHeads', in_channels=(4, 8, 8, 8, 8)))
    quarter, eighth, sixteenth = -(-side // 4), -(-side // 8), -(-side // 16)
    sizes = (quarter, quarter, eighth, sixteenth, sixteenth)
    features = [torch.randn(2, c, s, s, requires_grad=True) for c, s in zip((4, 8, 8, 8, 8), sizes)]
    edge, field = heads(features)
    assert edge.shape == (2, 1, quarter, quarter) and field.shape == (2, 2, quarter, quarter)
    (edge.sum() + field.square().sum()).backward()
    assert all(f.grad is None for f in features)  # the backbone is frozen
    assert all(p.grad is not None for p in heads.parameters())
    with pytest.raises(ConfigError):
        MODELS.build(dict(type='IRNetHeads', in_channels=(4, 8)))


def test_mean_shift_acts_outside_of_training_only():
    shift = MeanShift()
    shift.measure([torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([3.0, 6.0]).view(1, 2, 1, 1)])
    x = torch.zeros(1, 2, 1, 1)
    assert shift(x).flatten().tolist() == [0, 0]
    assert shift.eval()(x).flatten().tolist() == [-2, -4]


def test_attention_affinity_is_symmetric():
    head = MODELS.build(dict(type='AttentionAffinity', num_maps=4))
    out = head([torch.randn(2, 2, 6, 6), torch.randn(2, 2, 6, 6)])
    torch.testing.assert_close(out, out.transpose(1, 2))
    assert out.shape == (2, 6, 6) and 0 < out.min() and out.max() < 1
