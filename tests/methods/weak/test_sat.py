"""SAT: losses by hand, what the mask changes, gradients; boxes and seeds from the map; DeiT's weights."""
import pytest
import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.methods.weak import sat

SMALL = dict(num_classes=3, embed_dim=8, depth=4, num_heads=2, mlp_ratio=1, img_size=32, patch_size=8, masked_blocks=2)
VIT = dict(type='SpatialTokenViT', embed_dim=8, depth=3, num_heads=2, mlp_ratio=1, img_size=32, patch_size=8,
           masked_blocks=2, drop_path_rate=0.0)
PRE = dict(type='SegDataPreProcessor', mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True)


def test_area_is_of_the_batch():
    maps = torch.stack([torch.full((2, 2), 0.1), torch.full((2, 2), 0.5)])
    torch.testing.assert_close(sat.batch_area_loss(maps, 0.25), torch.tensor(0.05))


def test_kernel_is_nearly_a_pixel_and_decided_maps_cost_nothing():
    kernel = sat.norm_kernel()
    assert kernel.sum() == pytest.approx(1) and 0.5 < kernel[1, 1] < 1
    assert sat.image_norm(torch.zeros(2, 4, 4)).tolist() == [0, 0]
    half = sat.image_norm(torch.full((1, 9, 9), 0.5))
    assert 0.2 < float(half) < 0.25  # 1/4 inside, less at the padded border


def test_mask_scales_columns_in_masked_blocks_alone():
    plain, masked = (sat.LocationAttention(8, 2, on) for on in (False, True))
    logits = torch.randn(2, 2, 5, 5)
    weights, mask = plain.weigh(logits)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 2, 5))
    assert mask.shape == (2, 1, 1, 5)
    torch.testing.assert_close(masked.weigh(logits)[0], weights * logits[:, :, -1:].mean(1, keepdim=True).sigmoid())


def test_network_learns_everywhere_and_takes_other_sizes():
    net = sat.SpatialTokenViT(**SMALL)
    logits, maps = net(torch.randn(2, 3, 32, 40))
    assert logits.shape == (2, 3) and maps.shape == (2, 4, 5) and 0 < maps.min() and maps.max() < 1
    sum(sat.sat_losses(logits, maps, torch.tensor([0, 2]), 0.25).values()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
    with pytest.raises(ConfigError, match=r'^masked_blocks=5 of SpatialTokenViT; give 1 to depth=4\.$'):
        sat.SpatialTokenViT(**(SMALL | dict(masked_blocks=5)))


def test_gradcheck():
    maps = torch.rand(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: sat.image_norm(m).mean() + sat.batch_area_loss(m, 0.2), (maps,))


def samples(*tags):
    out = []
    for row in tags:
        sample = SegDataSample(metainfo=dict(img_shape=(32, 40), ori_shape=(48, 60), img_path='x.png'))
        sample.set_data(dict(gt_image_label=torch.tensor(row, dtype=torch.uint8)))
        out.append(sample)
    return out


def test_localiser_gives_the_foreground_map_whatever_the_class():
    model = MODELS.build(dict(type='SATLocalizer', num_classes=4, backbone=VIT, area=0.4, data_preprocessor=PRE))
    images = torch.randn(2, 3, 32, 40)
    losses = model.loss(images, samples([0, 1, 0], [1, 0, 0]))
    logits, maps = model.backbone(images)
    torch.testing.assert_close(losses['loss_area'], (maps.mean() - 0.4).abs())
    torch.testing.assert_close(losses['loss_cls'], torch.nn.functional.cross_entropy(logits, torch.tensor([1, 0])))
    scores, found = model.eval().localise(images, torch.tensor([2, 2]), 1)
    assert torch.equal(found[:, 0], maps) and torch.equal(scores, logits)
    seen = model.predict(images, samples([0, 1, 0], [1, 0, 0]))[0]
    assert seen.loc_map.data.shape == (1, 32, 40) and float(seen.loc_map.data.max()) > 0.9
    assert seen.pred_sem_seg.data.shape == (1, 48, 60)


def test_seeds_are_class_maps_times_the_map_or_the_map_alone():
    model = MODELS.build(dict(type='SAT', num_classes=4, backbone=VIT, data_preprocessor=PRE,
                              seed=dict(scales=(1, ), normalize='minmax', multiple=8))).eval()
    images = torch.randn(1, 3, 32, 40)
    maps, foreground = model.backbone.run(images)
    assert torch.equal(model.class_maps(images), maps * foreground[:, None])
    assert torch.equal(model.tag_logits(images), maps.mean((2, 3)))
    model.maps = 'saliency'
    seeds = model.seed_scores(images, torch.tensor([[True, False, True]]))
    assert torch.equal(seeds[:, 0], seeds[:, 2]) and seeds[:, 1].count_nonzero() == 0 and float(seeds.max()) > 0.9
    nothing = model.loss(images, samples([0, 0, 0]))  # an image without tags is legal
    assert all(torch.isfinite(v) for v in nothing.values())
    with pytest.raises(ConfigError, match=r"^model\.maps of SAT is 'cam'; it is 'weighted' or 'saliency'\.$"):
        MODELS.build(dict(type='SAT', num_classes=4, backbone=VIT, maps='cam'))
    with pytest.raises(ConfigError, match="^model.backbone.type is 'ResNet', which has no localisation token"):
        MODELS.build(dict(type='SAT', num_classes=4, backbone=dict(type='ResNet', depth=18)))


def test_deit_weights_load_without_their_classifier(tmp_path):
    source = sat.SpatialTokenViT(num_classes=3, **{k: v for k, v in VIT.items() if k != 'type'} | dict(img_size=64))
    state = {k: v for k, v in source.state_dict().items() if not k.startswith(('loc_', 'head'))}
    torch.save(dict(model=state | {'head.weight': torch.ones(1000, 8)}), tmp_path / 'deit.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'deit.pth'))
    net = MODELS.build(dict(VIT, num_classes=5, init_cfg=init))
    before = net.loc_token.clone()
    net.init_weights()
    assert torch.equal(net.blocks[2].mlp.fc1.weight, source.blocks[2].mlp.fc1.weight)
    assert torch.equal(net.pos_embed[:, 0], source.pos_embed[:, 0]) and net.pos_embed.shape == (1, 17, 8)
    assert torch.equal(net.loc_token, before)
    with pytest.raises(CheckpointError, match=r'lacks 1[0-9] weights of this ViT \(first: blocks\.3\..*give weights '
                                              r"of 4 blocks of width 8 in timm's names\.$"):
        MODELS.build(dict(VIT, num_classes=5, depth=4, init_cfg=init)).init_weights()
