"""SEAM's functions: values by hand, gradients, batches, an image without tags."""
import pytest
import torch

from mmseg_weak.methods.weak import seam


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_like_pixels_share_their_scores():
    # pixels 0 and 1 have one feature, pixel 2 an orthogonal one
    features = torch.tensor([[1., 1, 0], [0, 0, 1]]).view(1, 2, 1, 3)
    cam = torch.tensor([[4., 2, 7]]).view(1, 1, 1, 3)
    out = seam.correlate_pixels(cam, features, torch.eye(2).view(2, 2, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor([3., 3, 7]), rtol=1e-4, atol=0)


def test_normalisation_and_background_by_hand():
    x = torch.tensor([[[[0., 4.]], [[2., -1.]], [[1., 1.]]]])
    normed = seam.max_norm(x)
    torch.testing.assert_close(normed, torch.tensor([[[[0., 1]], [[1, 0]], [[0, 0]]]]), atol=2e-5, rtol=0)
    fresh = seam.refresh_background(x)
    assert fresh.tolist() == [[[[-1, 0]], [[2, -1]], [[1, 1]]]]
    assert seam.keep_strongest(fresh).tolist() == [[[[-1, 0]], [[2, 0]], [[0, 1]]]]


def test_correlation_cam_has_one_class_a_pixel_and_no_gradient():
    cam = maps(2, 4, 5, 6).requires_grad_()
    clean = seam.correlation_cam(cam)
    assert not clean.requires_grad and clean.min() >= 0 and clean.max() <= 1
    assert ((clean[:, 1:] > 0).sum(1) <= 1).all()


def test_smallest_quarter_by_hand():
    foreground = torch.tensor([[[[5., 1, 3, -2, 8, 9, 9, 9]], [[0, 2, 0, 0, 0, 0, 0, 0]]]])
    assert seam.adaptive_min_pooling_loss(foreground) == 1.0  # maxima 0 and 2 are the two smallest of eight


def test_losses_of_equal_views_and_of_smaller_ones():
    x, label = maps(2, 4, 8, 10), torch.tensor([[1., 1, 0, 1], [1, 0, 1, 0]]).view(2, 4, 1, 1)
    assert seam.seam_losses(x, x, x, x, label)['loss_er'] == 0
    small = torch.nn.functional.interpolate(x, (3, 4))
    found = seam.seam_losses(x, x, small, small, label)
    assert all(torch.isfinite(v) for v in found.values()) and found['loss_er'] > 0


def test_gradients():
    label = torch.tensor([[1., 1, 0], [1, 0, 1]], dtype=torch.float64).view(2, 3, 1, 1)
    inputs = [maps(2, 3, 3, 4, seed=i).requires_grad_() for i in range(4)]
    for name in ('loss_rvmin1', 'loss_rvmin2', 'loss_er'):
        assert torch.autograd.gradcheck(lambda *m, n=name: seam.seam_losses(*m, label)[n], inputs)
    # the target of L_ecr has no gradient
    grads = torch.autograd.grad(seam.seam_losses(*inputs, label)['loss_ecr1'], inputs, allow_unused=True)
    assert grads[2] is None and grads[1].abs().sum() > 0
    assert torch.autograd.gradcheck(lambda x: seam.tag_loss(x, label), inputs[:1])


@pytest.mark.parametrize('function', [seam.tag_loss, lambda x, y: sum(seam.seam_losses(x, x, x, x, y).values())])
def test_image_without_tags(function):
    x, label = maps(1, 3, 4, 4).requires_grad_(), torch.tensor([1., 0, 0]).view(1, 3, 1, 1)
    grad, = torch.autograd.grad(function(x, label), x)
    assert torch.isfinite(grad).all()
