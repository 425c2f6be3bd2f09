"""Losses of single-stage methods from image tags: by hand, ignored pixels, gradients, nothing valid."""
import math

import torch

from mmseg_weak.models.losses import DenseEnergyLoss, SplitCrossEntropyLoss
from mmseg_weak.models.losses.dense_energy import bilateral_filter, dense_energy_loss
from mmseg_weak.models.losses.split_cross_entropy import split_cross_entropy

G = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 3, 4, 6, generator=G, dtype=torch.float64)
LABEL = torch.randint(3, (2, 4, 6), generator=G)
LABEL[:, 0] = 255


def test_halves_by_hand():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 1, 0, 3] = math.log(3)  # p = 3/4 of class 1
    label = torch.tensor([[[0, 0, 255, 1]]])
    want = 0.5 * math.log(2) + 0.5 * math.log(4 / 3)
    torch.testing.assert_close(split_cross_entropy(logits, label), torch.tensor(want))
    torch.testing.assert_close(SplitCrossEntropyLoss(2.0)(logits, label), torch.tensor(2 * want))


def test_halves_ignore_and_gradient():
    other = LOGITS.where(LABEL[:, None] != 255, torch.tensor(9.0, dtype=torch.float64))
    assert torch.equal(split_cross_entropy(LOGITS, LABEL), split_cross_entropy(other, LABEL))
    x = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: split_cross_entropy(v, LABEL), (x,))
    nothing = split_cross_entropy(x, torch.full_like(LABEL, 255))
    assert nothing == 0 and torch.autograd.grad(nothing, x)[0].abs().sum() == 0
    one_half = split_cross_entropy(x, LABEL.where(LABEL != 0, torch.tensor(255)))
    assert torch.isfinite(one_half)


def test_energy_of_certain_pixels_is_zero():
    image, region = torch.zeros(1, 3, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    sure = torch.zeros(1, 2, 4, 4)
    sure[:, 1] = 100
    label = torch.ones(1, 4, 4, dtype=torch.long)
    assert dense_energy_loss(sure, image, label, region, scale_factor=1) == 0  # the gate is closed
    unknown = torch.full_like(label, 255)
    inside = bilateral_filter(torch.ones(1, 1, 4, 4), image, 100, 15)
    torch.testing.assert_close(dense_energy_loss(sure, image, unknown, region, scale_factor=1), -inside.sum())
    torch.testing.assert_close(DenseEnergyLoss(scale_factor=1, loss_weight=0.1)(sure, image, unknown, region),
                               -0.1 * inside.sum())


def test_energy_outside_of_the_image_does_not_matter():
    region = torch.ones(2, 4, 6, dtype=torch.bool)
    region[..., 4:] = False
    image = torch.rand(2, 3, 4, 6, generator=G, dtype=torch.float64) * 255
    x = LOGITS.clone().requires_grad_()
    grad, = torch.autograd.grad(dense_energy_loss(x, image, LABEL, region, scale_factor=1), x)
    assert grad[..., 4:].abs().max() == 0 and grad[..., :4].abs().max() > 0
    other = LOGITS.clone()
    other[..., 4:] = 3
    torch.testing.assert_close(dense_energy_loss(other, image, LABEL, region, scale_factor=1),
                               dense_energy_loss(LOGITS, image, LABEL, region, scale_factor=1))


def test_energy_gradient_is_the_published_one():
    """Gate and filtered map count as constants: twice the gradient of the product with both held."""
    image = torch.rand(2, 3, 4, 6, generator=G, dtype=torch.float64) * 255
    x = LOGITS.clone().requires_grad_()
    probs = x.softmax(1)
    gate = (1 - probs.detach().amax(1, keepdim=True)).masked_fill(LABEL[:, None] == 255, 1)
    held = gate * bilateral_filter(probs, image, 100, 15)
    want, = torch.autograd.grad(-2 * (probs * held).sum() / 2, x)
    region = torch.ones(2, 4, 6, dtype=torch.bool)
    got, = torch.autograd.grad(dense_energy_loss(x, image, LABEL, region, scale_factor=1), x)
    torch.testing.assert_close(got, want)
