"""Affinity losses: by hand, unknown pixels do not matter, gradcheck, nothing valid."""
import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.models.losses import pair_affinity as pa
from mmseg_weak.models.refine import pairs
from mmseg_weak.models.refine.attention import radius_mask

RADIUS = 3
G = torch.Generator().manual_seed(3)
LABELS = torch.randint(3, (2, 7, 8), generator=G)
LABELS[0, 2:5] = 255
DIRECTIONS = pairs.path_directions(RADIUS)


def displaced(edge, displacement, labels=LABELS):
    return pa.displacement_total(pa.affinity_displacement_losses(edge, displacement, labels, radius=RADIUS))


def features_loss(features, labels=LABELS):
    return MODELS.build(dict(type='PairAffinityLoss', radius=RADIUS))(features, labels)


def attention_loss(affinity, labels=LABELS):
    target = pa.affinity_labels(labels, radius_mask((7, 8), 2))
    return pa.attention_affinity_loss(affinity, target)


def double(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_pair_labels_by_hand():
    # radius 2 keeps the middle of the upper row; its partners: right, below left, below, below right
    labels = torch.tensor([[[255, 1, 1], [255, 0, 255]]])
    bg, fg, neg = pa.pair_labels(labels, pairs.search_directions(2), 2)
    assert not bg.any() and fg.int().flatten().tolist() == [1, 0, 0, 0] and neg.int().flatten().tolist() == [0, 0, 1, 0]
    labels = torch.tensor([[[255, 0, 0], [255, 255, 255]]])
    bg, fg, neg = pa.pair_labels(labels, pairs.search_directions(2), 2)
    assert bg.int().flatten().tolist() == [1, 0, 0, 0] and not fg.any() and not neg.any()
    beyond = torch.full_like(labels, 30)
    assert not torch.stack(pa.pair_labels(beyond, pairs.search_directions(2), 2, num_classes=21)).any()


def test_values_by_hand():
    one = torch.tensor([[[True]]])
    none = ~one
    affinity = torch.tensor([[[0.5]]])
    assert pa.pair_affinity_loss(affinity, one, none, none).item() == pytest.approx(math.log(2) / 4, rel=1e-4)
    assert pa.pair_affinity_loss(affinity, none, none, one).item() == pytest.approx(math.log(2) / 2, rel=1e-4)
    # IRNet, radius 2: the middle of the upper row; right is the same class, below another
    edge, field = torch.zeros(1, 1, 2, 3), torch.zeros(1, 2, 2, 3)
    field[0, 1, 0, 1] = 4  # d_i - d_j = (0, 4), the offset is (0, 1): |0| and |3| over 2
    losses = pa.affinity_displacement_losses(edge, field, torch.tensor([[[255, 1, 1], [255, 2, 255]]]), radius=2)
    assert {k: round(v.item(), 3) for k, v in losses.items()} == dict(loss_pos=0.347, loss_neg=0.693, loss_dp_fg=1.5,
                                                                      loss_dp_bg=0)
    assert pa.displacement_total(losses).item() == pytest.approx((0.3466 + 0.6931 + 1.5) / 2, abs=1e-3)
    # AFA: two patches of one label and one unknown: pairs (0,0), (0,1), (1,0), (1,1) are the same
    target = pa.affinity_labels(torch.tensor([[[1, 1, 255]]]))
    assert target[0].tolist() == [[1, 1, 255], [1, 1, 255], [255, 255, 255]]
    assert [int(c) for c in pa.pair_counts(target)] == [5, 1]
    assert pa.attention_affinity_loss(torch.full((1, 3, 3), 0.25), target).item() == pytest.approx(0.5 * 3 / 5)


def test_unknown_pixels_do_not_matter():
    known = LABELS.ne(255)
    x, y = double(2, 1, 7, 8), double(2, 2, 7, 8)
    torch.testing.assert_close(displaced(x, torch.where(known[:, None], y, y + 9)), displaced(x, y))
    f = double(2, 4, 7, 8)
    torch.testing.assert_close(features_loss(torch.where(known[:, None], f, f + 9)), features_loss(f))
    a = double(2, 56, 56).sigmoid()
    both = known.flatten(1)[:, :, None] & known.flatten(1)[:, None]
    torch.testing.assert_close(attention_loss(torch.where(both, a, 1 - a)), attention_loss(a))
    one = LABELS.clone()
    one[known] = 1  # the crossing of an unknown area is an edge of the path, which counts; its own pairs do not
    assert torch.isfinite(displaced(x, y, one))


def test_gradcheck():
    both = double(2, 1, 7, 8).requires_grad_(), double(2, 2, 7, 8).requires_grad_()
    assert torch.autograd.gradcheck(displaced, both)
    assert torch.autograd.gradcheck(features_loss, (double(2, 2, 7, 8).requires_grad_(),))
    small = torch.tensor([[[0, 1, 255], [1, 0, 0]]])
    assert torch.autograd.gradcheck(lambda a: pa.attention_affinity_loss(a, pa.affinity_labels(small)),
                                    (double(1, 6, 6).sigmoid().requires_grad_(),))


def test_nothing_valid_is_zero_with_a_gradient():
    empty = torch.full((2, 7, 8), 255)
    inputs = [double(2, 1, 7, 8), double(2, 2, 7, 8), double(2, 4, 7, 8), double(2, 56, 56)]
    for tensor in inputs:
        tensor.requires_grad_()
    for loss, given in ((displaced(*inputs[:2], empty), inputs[:2]), (features_loss(inputs[2], empty), inputs[2:3]),
                        (attention_loss(inputs[3], empty), inputs[3:])):
        assert loss.item() == 0
        assert all(g.abs().max() == 0 for g in torch.autograd.grad(loss, given))


def test_modules_weigh_the_functions():
    edge, field = double(2, 1, 7, 8), double(2, 2, 7, 8)
    module = MODELS.build(dict(type='AffinityDisplacementLoss', radius=RADIUS, loss_weight=2.0))
    torch.testing.assert_close(module(edge, field, LABELS), 2 * displaced(edge, field))
    assert module.loss_name == 'loss_irn'
    affinity = double(2, 56, 56).sigmoid()
    module = MODELS.build(dict(type='AttentionAffinityLoss', radius=2))
    torch.testing.assert_close(module(affinity, LABELS), 0.1 * attention_loss(affinity))
    assert module.loss_name == 'loss_affinity'
