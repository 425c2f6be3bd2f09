"""IRNet and AffinityNet on a frozen classifier: seeds, what is trained, walks, checkpoints."""
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError, DataError

BACKBONE = dict(type='ResNetV1c', depth=18, stem_channels=4, base_channels=4, num_stages=4, strides=(1, 2, 1, 1),
                dilations=(1, 1, 1, 1), out_indices=(1, 2, 3), norm_cfg=dict(type='BN'))
CAM = dict(type='CAMClassifier', backbone=BACKBONE, head=dict(in_channels=32, pooling='gap'),
           seed=dict(scales=(1.0, 0.5)))
SIDE = 80


def irnet(**kwargs):
    heads = dict(in_channels=(4, 4, 8, 16, 32), strides=(4, 4, 8, 8, 8))
    return MODELS.build(dict(type='IRNet', cam=CAM, num_classes=4, heads=heads, **kwargs))


def affinitynet(**kwargs):
    return MODELS.build(dict(type='AffinityNet', backbone=BACKBONE, cam=CAM, num_classes=4, radius=4,
                             head=dict(in_channels=(8, 16, 32), channels=(4, 4, 8)), **kwargs))


def tagged(*tags, masks=None, **meta):
    samples = []
    for i, row in enumerate(tags):
        one = SegDataSample(metainfo=dict(img_path=f'{i}.png', ori_shape=(SIDE, SIDE), **meta))
        one.set_data(dict(gt_image_label=torch.tensor(row, dtype=torch.uint8)))
        if masks is not None:
            one.gt_sem_seg = PixelData(data=masks[i][None])
        samples.append(one)
    return samples


@pytest.mark.parametrize('build', [irnet, affinitynet])
def test_step_leaves_the_classifier_alone(build):
    model = build().train()
    before = {k: v.clone() for k, v in model.cam.state_dict().items()}
    losses = model.loss(torch.randn(2, 3, SIDE, SIDE), tagged([1, 0, 1], [0, 0, 0]))
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    assert all(torch.equal(v, before[k]) for k, v in model.cam.state_dict().items())
    assert not any(p.requires_grad for p in model.cam.parameters())


@pytest.mark.parametrize('build', [irnet, affinitynet])
def test_class_maps_of_zero_give_background(build):
    model = build().eval()
    torch.nn.init.zeros_(model.cam.head.classifier.weight)
    images = torch.randn(1, 3, SIDE, SIDE)
    losses = model.train().loss(images, tagged([1, 1, 0]))
    assert all(torch.isfinite(v) for v in losses.values()) and losses['object_pixels'] == 0
    out, = model.eval().predict(images, tagged([1, 1, 0]))
    assert (out.pred_sem_seg.data == 0).all()


def test_seeds_come_from_masks_where_asked_and_padding_is_unknown():
    mask = torch.full((SIDE, SIDE), 2)
    mask[:, :40] = 255
    model = irnet(seed_source='masks')
    sample = tagged([1, 0, 0], masks=[mask], padding_size=(0, 20, 0, 40))
    labels = model.seed_labels(torch.zeros(1, 3, SIDE, SIDE), sample, (20, 20))
    assert (labels[0, :10, 10:15] == 2).all()  # the tags do not matter
    assert (labels[0, :, :10] == 255).all() and (labels[0, 10:] == 255).all() and (labels[0, :, 15:] == 255).all()
    assert model.learns_from_masks and not irnet().learns_from_masks
    with pytest.raises(DataError, match='the training data has none'):
        model.seed_labels(torch.zeros(1, 3, SIDE, SIDE), tagged([1, 0, 0]), (20, 20))


def test_irnet_walks_inside_of_its_edges(monkeypatch):
    """Without edges a class map spreads over the image, with an edge in the middle it stays on its side."""
    model = irnet(cam_checkpoint=None).eval()
    spot = torch.zeros(1, 3, SIDE, SIDE)
    spot[:, 0, 36:44, 4:12] = 1
    monkeypatch.setattr(model.cam, 'class_maps', lambda images: images)
    wall = torch.zeros(1, 1, 20, 20)
    for height, right in ((0.0, 0.05), (1.0, 0.0)):
        wall[..., 10] = height
        monkeypatch.setattr(model, 'edges', lambda images: wall)
        scores = model.seed_scores(spot, torch.tensor([[True, False, False]]))
        assert scores.max() == 1 and scores[:, 1:].max() == 0
        assert scores[0, 0, 40, 30] > 0.1  # it reaches the wall
        assert (scores[0, 0, :, 52:].max() > right) if height == 0 else scores[0, 0, :, 52:].max() == 0


def test_the_walk_starts_from_the_seeds_of_the_classifier(monkeypatch):
    """A method may make its seeds in another way than from class maps (BAS, CLIP-ES)."""
    model = irnet().eval()
    monkeypatch.setattr(model, 'edges', lambda images: torch.ones(1, 1, 20, 20) * 0.5)
    asked = []

    def seeds(images, present, size):
        asked.append(size)
        return torch.ones(1, 3, *size) * present[:, :, None, None]

    monkeypatch.setattr(model.cam, 'seed_scores', seeds)
    scores = model.seed_scores(torch.zeros(1, 3, SIDE, SIDE), torch.tensor([[False, True, False]]))
    assert asked == [(20, 20)] and (scores[0, 1] > 0.9).all() and scores[0, [0, 2]].max() == 0


def test_edges_are_the_same_for_a_mirrored_image():
    model = irnet().eval()
    images = torch.randn(1, 3, SIDE, SIDE)
    torch.testing.assert_close(model.edges(images.flip(-1)).flip(-1), model.edges(images))


def test_mean_displacement_follows_training():
    model = irnet().train()
    model.loss(torch.randn(1, 3, SIDE, SIDE), tagged([1, 0, 1]))
    moved = model.heads.mean_shift.running_mean.clone()
    assert moved.abs().sum() > 0
    model.eval().boundaries(torch.randn(1, 3, SIDE, SIDE))
    assert torch.equal(moved, model.heads.mean_shift.running_mean)


def test_affinitynet_walks_the_background_too():
    model = affinitynet().eval()
    images = torch.randn(1, 3, SIDE, SIDE)
    planes = model.seed_planes(images, torch.tensor([[True, False, True]]))
    assert planes.shape == (1, 4, SIDE, SIDE) and planes[:, 2].max() == 0 and planes[:, 0].max() > 0
    assert torch.isfinite(planes).all()


def test_classifier_is_loaded_and_the_backbone_may_start_from_it(tmp_path):
    source = MODELS.build(dict(CAM, num_classes=4))
    path = str(tmp_path / 'cam.pth')
    torch.save(dict(state_dict=source.state_dict()), path)
    model = affinitynet(cam_checkpoint=path, start_from_cam=True)
    model.init_weights()
    wanted = source.backbone.layer3[0].conv1.weight
    assert torch.equal(model.cam.backbone.layer3[0].conv1.weight, wanted)
    assert torch.equal(model.backbone.layer3[0].conv1.weight, wanted)
    torch.save(dict(state_dict=MODELS.build(dict(CAM, num_classes=5)).state_dict()), path)
    with pytest.raises(CheckpointError, match='1 of .* missing or of another shape .first: head.classifier'):
        model.init_weights()


@pytest.mark.parametrize('kwargs, text', [
    (dict(seed_source='files'), "seed_source is 'files'"),
    (dict(cam=dict(CAM, num_classes=9)), 'num_classes is 9 and model.num_classes is 4'),
    (dict(stages=('stem', 'layer9')), "'layer9', which is no module of ResNetV1c"),
])
def test_wrong_settings_are_named(kwargs, text):
    with pytest.raises(ConfigError, match=text):
        MODELS.build(dict(dict(type='IRNet', cam=CAM, num_classes=4), **kwargs))


def test_training_pairs_reach_ten_pixels_and_the_walk_five():
    model = irnet(seed_source='masks').train()
    assert model.radius == 10 and model.walk.radius == 5
    assert irnet(radius=5, walk=dict(radius=3)).walk.radius == 3
    mask = torch.zeros(SIDE, SIDE, dtype=torch.long)
    mask[:, 40:] = 1  # a border in the middle of the map's 20 columns
    sample, images = tagged([1, 0, 0], masks=[mask]), torch.randn(1, 3, SIDE, SIDE)
    found = [model.loss(images, sample)]
    model.radius = 3  # of the columns 2 to 17, none but 8 to 11 has a partner across the border
    found.append(model.loss(images, sample))
    assert found[0]['loss_neg'] != found[1]['loss_neg'] and all(loss['loss_neg'] > 0 for loss in found)


def test_a_small_crop_makes_do_with_nearer_pairs():
    model = irnet(seed_source='masks').train()
    mask = torch.zeros(SIDE, SIDE, dtype=torch.long)
    mask[:24] = 1
    losses = model.loss(torch.randn(1, 3, 40, 40), tagged([1, 0, 0], masks=[mask[:40, :40]]))  # a map of 10x10
    assert losses['loss_pos'] > 0 and losses['loss_neg'] > 0
