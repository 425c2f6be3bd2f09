"""PPL: patches by hand, what a patch sees, where gradients go, stages of the run."""
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak import ppl

BACKBONE = dict(type='ResNetV1c', depth=18, stem_channels=4, base_channels=4, num_stages=4, strides=(1, 2, 2, 1),
                dilations=(1, 1, 1, 1), out_indices=(3, ), norm_cfg=dict(type='BN'))


def build(**kwargs):
    return MODELS.build(dict(type='PatchLearningClassifier', backbone=BACKBONE, num_classes=4, in_channels=32,
                             **kwargs))


def test_patches_by_hand_and_back():
    x = torch.arange(16.).view(1, 1, 4, 4)
    patches = ppl.split_patches(x, 2)
    assert patches[:, 0].tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[8, 9], [12, 13]], [[10, 11], [14, 15]]]
    x = torch.randn(3, 2, 6, 12)
    assert torch.equal(ppl.merge_patches(ppl.split_patches(x, 3), 3), x)


@pytest.mark.parametrize('size', [(8, 8), (7, 9), (1, 3)])
def test_pointwise_layers_do_not_see_the_split(size):
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(ppl.patchwise(x, layers, 2, 1, size), layers(x))


def test_a_3x3_layer_differs_at_the_patches_borders_alone():
    layer = nn.Conv2d(1, 1, 3, padding=1)
    x = torch.randn(1, 1, 8, 12)
    differs = (ppl.patchwise(x, layer, 2, 1, (8, 12)) - layer(x)).abs()[0, 0] > 1e-6
    band = torch.zeros(8, 12, dtype=torch.bool)
    band[3:5], band[:, 5:7] = True, True
    assert torch.equal(differs, band)


@pytest.mark.parametrize('size', [(8, 8), (7, 13), (5, 3), (1, 1)])
def test_strides_and_odd_sizes_stay_in_step(size):
    layer = nn.Conv2d(1, 1, 1, stride=2)
    x = torch.randn(1, 1, *size)
    plain = layer(x)
    torch.testing.assert_close(ppl.patchwise(x, layer, 2, 2, tuple(plain.shape[-2:])), plain)


def test_explicit_branches_do_not_train_what_lies_before_them():
    model = build(mode='explicit').train()
    maps = model.features(torch.randn(2, 3, 50, 70), (0, 1, 2))
    assert maps.shape[1] == 4 * 32
    lower = {2: 'layer2', 3: 'layer3'}
    for branch in (1, 2, 3):
        model.zero_grad()
        maps[:, 32 * branch:32 * (branch + 1)].square().sum().backward(retain_graph=True)
        touched = {n.split('.')[1] for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert touched == {'layer2', 'layer3', 'layer4'} - {lower[b] for b in lower if b <= branch}
    maps[:, :32].square().sum().backward()
    assert model.backbone.stem[0].weight.grad is not None


def test_progressive_branches_train_everything():
    model = build().train()
    model.features(torch.randn(2, 3, 50, 70), (2, ))[:, 32:].square().sum().backward()
    assert model.backbone.stem[0].weight.grad is not None


@pytest.mark.parametrize('share, stage', [(0.0, 0), (0.34, 1), (0.99, 2)])
def test_the_split_moves_with_the_run(at_share, share, stage, monkeypatch, tagged):
    model, seen = build().train(), []
    features = model.features
    monkeypatch.setattr(model, 'features', lambda x, splits: seen.append(tuple(splits)) or features(x, splits))
    at_share(share)
    model.loss(torch.randn(2, 3, 50, 70), tagged([1, 0, 1], [0, 0, 0], ori_shape=(50, 70)))
    model.class_maps(torch.randn(1, 3, 50, 70))
    assert seen == [(stage, ), (2, )]


def test_a_new_stage_may_begin_with_a_new_classifier(at_share, tagged):
    model, images = build(restart_classifier=True).train(), torch.randn(1, 3, 50, 70)
    samples = tagged([1, 0, 0], ori_shape=(50, 70))
    weights = []
    for share in (0.1, 0.2, 0.4, 0.5):
        at_share(share)
        model.loss(images, samples)
        weights.append(model.head.classifier.weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[2], weights[3])
    assert not torch.equal(weights[1], weights[2]) and int(model.stage) == 1


def test_patches_leave_running_statistics_alone():
    images, found = torch.randn(2, 3, 50, 70), {}
    for norm in ('eval', 'batch'):
        torch.manual_seed(0)
        model = build(patch_norm=norm).train()
        model.features(images, (0, ))
        found[norm] = model.backbone.layer4[1].bn2.num_batches_tracked.item()
        assert model.backbone.layer4[1].bn2.training
    assert found == {'eval': 1, 'batch': 2}


def test_class_maps_sum_all_branches():
    model = build(mode='explicit').eval()
    images = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        maps, weight = model.features(images, (0, 1, 2)), model.head.classifier.weight
        parts = sum(nn.functional.conv2d(m, w) for m, w in zip(maps.split(32, 1), weight.split(32, 1)))
    torch.testing.assert_close(model.class_maps(images), parts, atol=1e-5, rtol=1e-4)


def test_class_maps_of_zero_give_background(tagged):
    model = build().eval()
    torch.nn.init.zeros_(model.head.classifier.weight)
    out, = model.predict(torch.randn(1, 3, 50, 70), tagged([1, 1, 0], ori_shape=(50, 70)))
    assert (out.pred_sem_seg.data == 0).all() and out.pred_sem_seg.data.shape == (1, 50, 70)


@pytest.mark.parametrize('kwargs, text', [
    (dict(mode='both'), "mode is 'both'"), (dict(grid=1), 'grid is 1'), (dict(patch_norm='x'), "patch_norm is 'x'"),
    (dict(stage_starts=(0.2, 0.5, 0.7)), 'stage_starts is'), (dict(blocks=('layer7', )), "'layer7'")])
def test_wrong_settings_are_named(kwargs, text):
    with pytest.raises(ConfigError, match=text):
        build(**kwargs)
