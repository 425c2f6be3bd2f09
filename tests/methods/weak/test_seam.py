"""SEAM: values by hand, gradients, an image without tags, what each loss trains, seeds."""
import pytest
import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import ConfigError
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


def network(**kwargs):
    backbone = dict(type='ResNet38d', base_channels=2)
    return MODELS.build(dict(type='SEAM', backbone=backbone, num_classes=4, in_channels=128, dropout=0.0,
                             correlation=dict(in_channels=(16, 32), channels=(4, 6)), **kwargs))


def tagged(*tags):
    samples = [SegDataSample(metainfo=dict(img_path=f'{i}.png', ori_shape=(40, 48))) for i in range(len(tags))]
    for one, row in zip(samples, tags):
        one.set_data(dict(gt_image_label=torch.tensor(row, dtype=torch.uint8)))
    return samples


def test_step_trains_all_and_the_correlation_does_not_train_the_backbone():
    model = network()
    images = torch.randn(2, 3, 40, 48)
    losses = model.loss(images, tagged([1, 0, 1], [0, 0, 0]))
    assert set(losses) == {'loss_cls', 'loss_rvmin', 'loss_er', 'loss_ecr'}
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    model.zero_grad()
    model.both_maps(images)[1].square().sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters()) and model.fc8.weight.grad is None
    assert all(p.grad is not None for p in model.correlation.parameters())


def test_maps_that_are_zero_everywhere_are_finite():
    model = network()
    torch.nn.init.zeros_(model.fc8.weight)
    losses = model.loss(torch.zeros(1, 3, 40, 48), tagged([1, 1, 0]))
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    out, = model.eval().predict(torch.zeros(1, 3, 40, 48), tagged([1, 1, 0]))
    assert (out.pred_sem_seg.data == 0).all()


def test_seeds_are_the_refined_maps_stretched_to_one():
    model = network(seed=dict(scales=(1.0,), flip='none')).eval()
    images = torch.randn(1, 3, 40, 48)
    with torch.no_grad():
        refined = model.both_maps(images)[1][:, 1:]
        scores = model.seed_scores(images)
    low, high = refined.amin((2, 3), keepdim=True), refined.amax((2, 3), keepdim=True)
    torch.testing.assert_close(scores, (refined - low) / (high - low + 1e-5))
    assert model.tag_logits(images).shape == (1, 3)


@pytest.mark.parametrize('kwargs, text', [(dict(view_scale=1.5), 'view_scale is 1.5'),
                                          (dict(in_index=(0, 1)), r'in_index is \[0, 1\]')])
def test_wrong_settings_are_named(kwargs, text):
    with pytest.raises(ConfigError, match=text):
        network(**kwargs)
