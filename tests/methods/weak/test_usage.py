"""USAGE: the two ends of the temperature, the regulariser, dropped channels, the teacher."""
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak import usage


@MODELS.register_module(force=True)
class TinyUSAGEBackbone(nn.Module):
    """Two convolutions."""

    def __init__(self):
        super().__init__()
        self.layer1, self.layer2 = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, x):
        return (self.layer2(self.layer1(x).relu()),)


def model(**kwargs):
    torch.manual_seed(0)
    net = usage.USAGE(dict(type='TinyUSAGEBackbone'), 8, 3, **kwargs).train()
    net.teacher.start(net.student)
    return net


def test_temperature_goes_from_maximum_to_mean():
    maps = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(usage.spatial_score(maps, 1e6), maps.mean((2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(usage.spatial_score(maps, 1e-4), maps.amax((2, 3)), rtol=1e-4, atol=1e-5)
    middle = usage.spatial_score(maps, 1.0)
    assert (middle > maps.mean((2, 3))).all() and (middle < maps.amax((2, 3))).all()


def test_detached_distribution_changes_the_gradient():
    maps = torch.tensor([[[[0.0, 1.0]]]], requires_grad=True)
    grads = [torch.autograd.grad(usage.spatial_score(maps, 1.0, detach).sum(), maps)[0] for detach in (True, False)]
    torch.testing.assert_close(grads[0].flatten(), torch.tensor([0.0, 1.0]).softmax(0))
    assert not torch.allclose(*grads)


@pytest.mark.parametrize('kind', ['kl', 'l1', 'l2'])
def test_distance_is_zero_for_equals_and_looks_at_present_classes(kind):
    a, b = (usage.spatial_distribution(torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(i)), 1.0)
            for i in range(2))
    assert float(usage.shape_distance(a, a, torch.ones(1, 2), kind)) == pytest.approx(0, abs=1e-7)
    first = usage.shape_distance(a, b, torch.tensor([[1, 0]]), kind)
    mixed = torch.cat([a[:, :1], b[:, 1:]], 1)
    assert float(first) > 0 and float(usage.shape_distance(mixed, b, torch.tensor([[0, 1]]), kind)) < 1e-7
    assert float(usage.shape_distance(a, b, torch.zeros(1, 2), kind)) == 0


def test_channels_are_dropped_whole_and_only_inside():
    torch.manual_seed(0)
    net = TinyUSAGEBackbone()
    x = torch.randn(2, 3, 16, 16)
    plain = net(x)[0]
    with usage.channel_drop(net, ['layer2'], 0.5):
        dropped = net(x)[0]
    gone = dropped.flatten(2).abs().amax(2) == 0
    assert gone.any() and not gone.all()
    torch.testing.assert_close(dropped[~gone], 2 * plain[~gone])
    assert torch.equal(net(x)[0], plain)


def test_no_regularisation_against_an_equal_teacher_without_drop(tagged):
    losses = model(drop_layers=('layer1', 'layer2'), strong_share=0.0, weak_share=0.0).loss(
        torch.randn(2, 3, 16, 16), tagged([1, 0], [0, 0]))
    assert losses['loss_reg'].item() == pytest.approx(0, abs=1e-6) and losses['loss_cls'].item() > 0


def test_gradients_reach_the_student_alone(tagged):
    net = model(drop_layers=('layer1', 'layer2'))
    losses = net.loss(torch.randn(2, 3, 16, 16), tagged([1, 0], [1, 1]))
    sum(losses.values()).backward()
    assert float(losses['loss_reg']) > 0
    assert all((p.grad is None) == n.startswith('teacher.') for n, p in net.named_parameters())


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match="'layer9'"):
        model(drop_layers=('layer9',))
    with pytest.raises(ConfigError, match='tau=0'):
        model(tau=0)
    with pytest.raises(ConfigError, match='weak_share=0.5'):
        model(weak_share=0.5)
