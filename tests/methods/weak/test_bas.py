"""BAS: the three stops, losses by hand, both models on a tiny backbone."""
import math

import pytest
import torch
from mmengine.structures import InstanceData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.methods.weak import bas
from mmseg_weak.models.utils.split import frozen_call, run_until

RESNET = dict(type='ResNet', depth=18, base_channels=4, num_stages=4, out_indices=(3,), strides=(1, 2, 2, 1),
              dilations=(1, 1, 1, 1), norm_cfg=dict(type='BN'))
SIZES = dict(backbone=RESNET, num_classes=4, feature_channels=16, in_channels=32)
PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[50.0] * 3, bgr_to_rgb=True, size=(32, 32))


def test_ratio_by_hand():
    left, target = torch.tensor([1., 3, -1, -1]).requires_grad_(), torch.tensor([2., 2, 2, -1]).requires_grad_()
    ratio = bas.activation_ratio(left, target)
    torch.testing.assert_close(ratio, torch.tensor([0.5, 1, 0, 0]))
    ratio.sum().backward()
    torch.testing.assert_close(left.grad, torch.tensor([0.5, 0, 0, 0]))  # none above 1, none below 0
    assert target.grad is None


def test_shared_weights_get_no_gradient_from_the_background():
    net = nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 1)).train()
    nn.init.constant_(net[3].bias, 0.5)
    features = torch.rand(2, 4, 5, 5, requires_grad=True)
    generator = nn.Conv2d(4, 3, 3, padding=1)
    found = bas.suppress(features, generator(features).sigmoid(), torch.tensor([0, 2]), net)
    steps = int(net[1].num_batches_tracked)
    found.background.sum().backward(retain_graph=True)
    assert all(p.grad is None for p in net.parameters()) and generator.weight.grad.abs().sum() > 0
    assert steps == 1  # the background's pass left no trace in the statistics
    chosen = found.maps
    want = frozen_call(net, (features * (1 - chosen)).detach()).mean((2, 3))[[0, 1], [0, 2]]
    torch.testing.assert_close(found.background.detach(), want.detach())


@pytest.mark.parametrize('stop', [True, False])
def test_gradient_of_the_masked_scores(stop):
    net, features = nn.Conv2d(4, 3, 1), torch.rand(2, 4, 6, 6)
    maps = torch.rand(2, 3, 6, 6, requires_grad=True)
    found = bas.suppress(features, maps, torch.tensor([1, 1]), net, stop_activations=stop)
    weight, mask = torch.autograd.grad(found.foreground_scores.sum(), (net.weight, maps), allow_unused=True)
    assert (weight is None) == stop and mask[:, 1].abs().sum() > 0 and mask[:, 0].abs().sum() == 0


def test_one_against_absent_by_hand():
    scores = torch.tensor([[1., 2, 0], [1, 1, 1], [5, 5, 5]], dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[1, 0, 1], [1, 1, 1], [0, 0, 0]])
    want = math.log(1 + math.exp(2 - 1)) + math.log(1 + math.exp(2 - 0))
    loss = bas.one_against_absent(scores, present)
    assert loss.item() == pytest.approx(want / 3)
    grad, = torch.autograd.grad(loss, scores)
    assert torch.isfinite(grad).all() and grad[1:].abs().max() == 0
    assert torch.autograd.gradcheck(lambda s: bas.one_against_absent(s, present), (scores,))


def test_draws_only_tags():
    present = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]])
    seen = torch.stack([bas.draw_present(present)[0] for _ in range(50)])
    assert set(seen[:, 0].tolist()) == {1, 3} and set(seen[:, 2].tolist()) == {2}
    assert bas.draw_present(present)[1].tolist() == [True, False, True]


def test_untagged_images_count_nothing():
    maps = torch.rand(2, 3, 4, 4, requires_grad=True)
    labels, used = torch.tensor([1, 0]), torch.tensor([False, False])
    found = bas.suppress(torch.rand(2, 4, 4, 4), maps, labels, nn.Conv2d(4, 3, 1))
    losses = bas.bas_losses(found, labels, lambda s: s.sum() * 0, used)
    assert sum(losses.values()).item() == 0
    assert torch.autograd.grad(sum(losses.values()), maps)[0].abs().max() == 0


def test_maps_of_the_best_classes():
    maps = torch.arange(3.).view(1, 3, 1, 1)
    assert bas.top_maps(maps, torch.tensor([[3., 1, 2]]), 2).item() == 1  # classes 0 and 2
    assert bas.top_maps(maps, torch.tensor([[3., 1, 2]]), 200).item() == 1
    assert bas.take_maps(maps, torch.tensor([2])).item() == 2


def batch(tags, size=32):
    samples = []
    for row in tags:
        sample = SegDataSample(metainfo=dict(ori_shape=(size, size), img_shape=(size, size), img_path='a.png'))
        sample.set_data(dict(gt_image_label=torch.tensor(row, dtype=torch.uint8)))
        samples.append(sample)
    return dict(inputs=[torch.randint(256, (3, size, size), dtype=torch.uint8) for _ in tags], data_samples=samples)


def step(model, data):
    data = model.data_preprocessor(data, True)
    loss, log = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
    return log


@pytest.mark.parametrize('add_cam', [True, False])
def test_segmentor(add_cam):
    model = MODELS.build(dict(type='BAS', data_preprocessor=PREPROCESSOR, add_cam=add_cam,
                              seed=dict(scales=(1, 0.5)), **SIZES))
    log = step(model.train(), batch([[1, 0, 1], [0, 0, 0]]))
    assert {'loss_cls', 'loss_frg', 'loss_bas', 'loss_area'} <= set(log)
    model.eval()
    data = model.data_preprocessor(batch([[1, 0, 1], [0, 1, 0]]))
    present = torch.tensor([[True, False, True], [False, True, False]])
    with torch.no_grad():
        scores = model.seed_scores(data['inputs'], present)
        result = model(**data, mode='predict')
    assert scores.shape == (2, 3, 32, 32) and scores[0, 1].max() == 0 and scores[1, 1].max() == pytest.approx(1, 1e-3)
    assert result[0].pred_sem_seg.data.shape == (1, 32, 32)
    assert set(result[0].pred_sem_seg.data.unique().tolist()) <= {0, 1, 3}
    maps = model.class_maps(data['inputs'])
    assert maps.shape == (2, 3, 2, 2) and 0 < maps.min() and maps.max() < 1


def localizer(**options):
    return MODELS.build(dict(type='BASLocalizer', data_preprocessor=PREPROCESSOR, mid_channels=8, **SIZES) | options)


def test_localizer_learns_and_predicts():
    model = localizer(backbone=dict(RESNET, strides=(1, 2, 1, 1)), test_cfg=dict(box_thr=0.3))
    step(model.train(), batch([[0, 1, 0], [1, 0, 0]]))
    model.eval()
    result = model(**model.data_preprocessor(batch([[0, 1, 0], [1, 0, 0]])), mode='predict')[0]
    assert result.loc_map.data.shape == (1, 32, 32) and result.loc_map.data.min() >= 0
    assert float(result.class_scores.sum()) == pytest.approx(1)
    mask = result.loc_map.data[0] > 0.3
    x0, y0, x1, y1 = result.pred_boxes.bboxes[0].int().tolist()
    assert mask[y0:y1, x0:x1].any(0).all() and mask[y0:y1, x0:x1].any(1).all()
    label = int(result.class_scores.argmax())
    assert torch.equal(result.pred_sem_seg.data[0] == label + 1, mask)


def test_localizer_crops_and_moves_the_boxes():
    model = localizer(test_cfg=dict(topk=3, crop=24, ten_crop=True)).eval()
    data = batch([[0, 1, 0]])
    data['data_samples'][0].gt_boxes = InstanceData(bboxes=torch.tensor([[2., 6, 20, 32]]), labels=torch.tensor([2]))
    data['data_samples'][0].set_metainfo(dict(ori_shape=(64, 64)))
    result = model(**model.data_preprocessor(data), mode='predict')[0]
    assert result.loc_map.data.shape == (1, 24, 24)
    assert result.gt_boxes.bboxes.tolist() == [[0, 2, 16, 24]]  # the crop starts at 4, 4 and is 24 wide
    assert result.pred_sem_seg.data.shape == (1, 64, 64) and result.pred_sem_seg.data[0, :8].max() == 0


def test_given_class_or_best_classes():
    model = localizer().eval()
    images = torch.rand(2, 3, 32, 32)
    scores, maps = model.localise(images, torch.tensor([0, 2]), 1)
    every = model.foreground_maps(model.features(images))
    torch.testing.assert_close(maps[:, 0], every[[0, 1], [0, 2]])
    torch.testing.assert_close(model.localise(images, None, 3)[1][:, 0], every.mean(1))


def test_pool_brings_map_and_activations_together():
    model = localizer(pool=2)
    features = model.features(torch.rand(2, 3, 64, 64))
    assert model.foreground_maps(features).shape[2:] == (4, 4) and model.score_net(features).shape[2:] == (2, 2)
    assert torch.equal(run_until(model.backbone, model.backbone.layer4, torch.ones(1, 3, 64, 64)),
                       run_until(model.backbone, model.backbone.layer4, torch.ones(1, 3, 64, 64)))


def test_what_a_user_can_get_wrong():
    with pytest.raises(ConfigError, match=r"^model\.tail names 'layer5', which is no module of ResNet\. Did you mean"):
        localizer(tail=('layer5',))
    with pytest.raises(ConfigError, match=r"^model\.test_cfg has the key 'box_th', which is none of topk, use_labels, "
                                          r"box_thr, crop, ten_crop, eps\. Did you mean box_thr\?$"):
        localizer(test_cfg=dict(box_th=0.2))
    with pytest.raises(ConfigError, match=r'^model\.test_cfg\.ten_crop needs model\.test_cfg\.crop'):
        localizer(test_cfg=dict(ten_crop=True))
    with pytest.raises(DataError, match=r'^a\.png came with 3 tags, 2 of them set; localisation learns one class an '
                                        r'image: give 3 tags \(num_classes without the background\), one of them'):
        localizer().loss(torch.rand(1, 3, 32, 32), batch([[1, 0, 1]])['data_samples'])
