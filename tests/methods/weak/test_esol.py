"""ESOL: sampling by hand, what each loss trains, clip and area."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak import esol

BACKBONE = dict(type='ResNetV1c', depth=18, stem_channels=4, base_channels=4, num_stages=4, strides=(1, 2, 1, 1),
                dilations=(1, 1, 1, 1), out_indices=(3, ), norm_cfg=dict(type='BN'))


def build(**kwargs):
    return MODELS.build(dict(type='ESOLClassifier', backbone=BACKBONE, num_classes=4, in_channels=32, channels=6,
                             **kwargs))


@pytest.mark.parametrize('size', [(7, 5), (1, 6), (4, 1)])
def test_without_offsets_it_is_a_plain_convolution(size):
    stage = esol.SamplingStage(3, 4)
    x = torch.randn(2, 3, *size)
    want = F.conv2d(x, stage.weight, padding=1).relu()
    torch.testing.assert_close(stage.plain(x), want)
    torch.testing.assert_close(stage.sampled(x), want.detach(), atol=1e-5, rtol=1e-5)


def test_offsets_move_each_point_by_dy_dx():
    stage = esol.SamplingStage(1, 1)
    x = torch.arange(20.).view(1, 1, 4, 5)
    with torch.no_grad():
        stage.weight.zero_()[0, 0, 1, 1] = 1  # the middle point, number 4
        stage.offset.bias[8], stage.offset.bias[9] = 1, -0.5  # one row down, half a column to the left
    out = stage.sampled(x)
    assert out[0, 0, 1, 2].item() == pytest.approx((11 + 12) / 2, abs=1e-4)
    assert (out[0, 0, 3].abs() < 1e-4).all()  # below the map lie zeros


def test_clip_and_area_by_hand():
    x = torch.tensor([[[[4., 1, -2]], [[0, 0, 0]]]])
    assert esol.clip_responses(x, 0.5).tolist() == [[[[2, 1, 0]], [[0, 0, 0]]]]
    assert esol.cam_area_loss(x, torch.tensor([[1., 1]])).item() == pytest.approx((1 + 0.25) / 3 / 2, abs=1e-4)
    assert esol.cam_area_loss(x, torch.zeros(1, 2)) == 0


def changed(model, step):
    """Names of the parameters that one step of SGD changes."""
    before = copy.deepcopy(dict(model.named_parameters()))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, weight_decay=0.1)
    step().backward()
    optimizer.step()
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


def test_expansion_and_shrinkage_change_their_offsets_alone(tagged):
    images, samples = torch.randn(2, 3, 48, 64), tagged([1, 0, 1], [0, 1, 0], ori_shape=(48, 64))
    model = build()
    with torch.no_grad():  # away from the zeros at the start
        model.expand.offset.bias.uniform_(-1, 1)
        model.shrink.offset.bias.uniform_(-1, 1)
    tags = model.tags(samples)
    found = changed(model, lambda: model.expand_loss(model.features(images), tags))
    assert found == {'expand.offset.weight', 'expand.offset.bias'}
    model.zero_grad()
    found = changed(model, lambda: sum(model.shrink_losses(model.features(images), tags).values()))
    assert found == {'shrink.offset.weight', 'shrink.offset.bias'}
    model = build(shrink_classifier=True)
    found = changed(model, lambda: sum(model.shrink_losses(model.features(images), tags).values()))
    assert found == {'shrink.offset.weight', 'shrink.offset.bias', 'shrink_head.classifier.weight'}


def test_expansion_raises_the_tags_loss():
    torch.manual_seed(0)
    model = build(exp_weight=1.0)
    images, tags = torch.randn(4, 3, 48, 64), torch.tensor([[1., 0, 1]] * 4)
    features = model.features(images).detach()
    before = model.expand_loss(features, tags)
    optimizer = torch.optim.SGD(model.expand.offset.parameters(), lr=1.0)
    for _ in range(5):
        optimizer.zero_grad()
        model.expand_loss(features, tags).backward()
        optimizer.step()
    assert model.expand_loss(features, tags) < before < 0


@pytest.mark.parametrize('share, names', [(0.1, {'loss_cls', 'loss_cls_shrink', 'acc_tags'}), (0.6, {'loss_exp'}),
                                          (0.9, {'loss_shr', 'loss_area'})])
def test_phases_train_one_part_at_a_time(at_share, share, names, tagged):
    model = build(phases=(0.5, 0.75))
    at_share(share)
    losses = model.loss(torch.randn(1, 3, 48, 64), tagged([1, 0, 1], ori_shape=(48, 64)))
    assert set(losses) == names
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    moved = {n.split('.')[1] for n, p in model.named_parameters() if p.grad is not None and 'backbone' not in n}
    assert ('offset' in moved) == (share > 0.5)
    assert (model.backbone.layer4[0].conv1.weight.grad is not None) == (share < 0.5)


def test_no_tags_and_maps_of_zero_are_finite(tagged):
    model = build()
    for head in (model.expand_head, model.shrink_head):
        torch.nn.init.zeros_(head.classifier.weight)
    losses = model.loss(torch.randn(2, 3, 48, 64), tagged([0, 0, 0], [1, 1, 0], ori_shape=(48, 64)))
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    out, = model.eval().predict(torch.randn(1, 3, 48, 64), tagged([1, 0, 0], ori_shape=(48, 64)))
    assert (out.pred_sem_seg.data == 0).all()


@pytest.mark.parametrize('kwargs, text', [
    (dict(clip=0.0), 'clip is 0.0'), (dict(kernel_size=2), 'kernel_size is 2'), (dict(phases=(0.5, )), 'phases is'),
    (dict(max_offset=0), 'max_offset is 0')])
def test_wrong_settings_are_named(kwargs, text):
    with pytest.raises(ConfigError, match=text):
        build(**kwargs)
