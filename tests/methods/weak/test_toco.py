"""ToCo: its functions by hand, and the segmentor: losses fall, what is frozen stays, stages begin."""
import math

import pytest
import torch

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.methods.weak import toco


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_patch_contrast_by_hand():
    target = toco.affinity_target(torch.tensor([[[0, 0, 3, 255]]]))
    assert target.tolist() == [[[255, 1, 0, 255], [1, 255, 0, 255], [0, 0, 255, 255], [255] * 4]]
    features = torch.tensor([[1., -1, 1, 5], [0, 0, 1, 5]]).view(1, 2, 1, 4)
    # alike: 2 pairs of |cos| 1; different: 4 of sqrt(1/2)
    want = 0.5 * (1 - 2 / 3) + 0.5 * 4 * math.sqrt(0.5) / 5
    assert float(toco.patch_token_contrast(features, target)) == pytest.approx(want)


def test_ignored_patches_have_no_gradient_and_none_alike_gives_half():
    x = noise(2, 3, 2, 2).requires_grad_()
    labels = torch.tensor([[[0, 1], [255, 1]], [[2, 255], [2, 0]]])
    target = toco.affinity_target(labels)
    assert torch.autograd.gradcheck(lambda v: toco.patch_token_contrast(v, target), (x,))
    grad, = torch.autograd.grad(toco.patch_token_contrast(x, target), x)
    assert grad.abs().sum(1)[labels == 255].max() == 0
    nothing = toco.patch_token_contrast(x, torch.full_like(target, 255))
    assert nothing == 0.5 and torch.autograd.grad(nothing, x)[0].abs().sum() == 0


def test_class_contrast_by_hand_and_gradient():
    zero, flags = torch.zeros(3, 4), torch.tensor([[1., 1, 0]])
    # every l is 1: two teacher views of two positive ones, -log(1 / 2) each, and -log(1 / 2) once a teacher view
    assert float(toco.class_token_contrast(zero, torch.zeros(2, 4), flags)) == pytest.approx(
        2 * 3 * math.log(2) / 2 / 2, rel=1e-3)
    flags = torch.tensor([[1., 1, 0, 1], [1, 1, 0, 0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda s: toco.class_token_contrast(s, noise(4, 5, seed=1), flags), (noise(8, 5).requires_grad_(),))
    with pytest.raises(DataError, match=r'^7 student and 4 teacher tokens do not fit 4 views of 2 images\.$'):
        toco.class_token_contrast(noise(7, 5), noise(4, 5), flags)


def test_crops_avoid_objects_where_they_can():
    regions = torch.full((2, 12, 14), 2)
    regions[0, 5, 4:9] = torch.tensor([0, 1, 0, 1, 0])
    uniforms = torch.rand(2, 8 * 10, generator=torch.Generator().manual_seed(0))
    corners = toco.draw_crops(regions, uniforms, 5, 4)
    centres = corners + 2
    assert sorted(map(tuple, centres[0].tolist())) == [(5, x) for x in range(4, 9)]
    assert corners.min() >= 0 and (corners + 4 <= torch.tensor([12, 14])).all()  # image 1 has no free place
    flags = toco.crop_flags(regions, corners, 4)
    want = [[regions[b, y:y + 4, x:x + 4].sum() / 16 > 0.2 for y, x in corners[b]] for b in range(2)]
    assert flags[:, 2:].tolist() == torch.tensor(want).float().tolist() and flags[:, :2].eq(1).all()
    with pytest.raises(DataError, match='7 uniforms for 80 places of 5 crops of 4 pixels in 12x14'):
        toco.draw_crops(regions, uniforms[:, :7], 5, 4)


def test_projector_has_unit_rows_that_do_not_train():
    head = toco.ClassTokenProjector(6, 5, 8, 4)
    x = torch.randn(3, 6)
    assert head(x).abs().max() <= 1 + 1e-6  # cosines
    assert [n for n, p in head.named_parameters() if not p.requires_grad] == ['last_layer.weight_g']


SMALL = dict(type='ClassTokenViT', num_tokens=1, embed_dim=16, depth=3, num_heads=2, img_size=32, patch_size=8,
             final_norm=True, train_positions=False, drop_path_rate=0.0)


def model(**kwargs):
    torch.manual_seed(0)
    settings = dict(backbone=SMALL, num_classes=3, decoder=dict(channels=8, dilation=1),
                    projector=dict(out_dim=16, hidden_dim=16, bottleneck_dim=8), aux_index=-2, num_crops=3,
                    local_size=16, seed=dict(scales=(1.0, 0.5), flip='max', normalize='minmax', multiple=8),
                    par=dict(type='PAR', num_iter=1, dilations=(1, 2)), begin=dict(seg=-1)) | kwargs
    net = toco.ToCo(**settings).train()
    net.teacher.start(net.student)
    return net


@pytest.fixture
def batch(tagged):
    """Function: a red square on grey with the first tag; nothing but grey without a tag."""
    def make():
        images = torch.full((2, 3, 32, 32), 100.0)
        images[0, 0, 8:24, 8:24] = 250
        return images / 128 - 1, tagged([1, 0], [0, 0])
    return make


def test_loss_falls_and_what_is_shared_or_frozen_stays(at, batch):
    at(5)
    net = model()
    kept = {n: p.clone() for n, p in net.named_parameters() if not p.requires_grad}
    assert {'backbone.pos_embed_cls', 'backbone.pos_embed_pat'} < set(kept)
    assert any(n.startswith('teacher.') for n in kept)
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 1e-3)
    totals = []
    for _ in range(20):
        losses = net.loss(*batch())
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        assert all(p.grad is None for n, p in net.named_parameters() if n in kept)
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]
    assert all(torch.equal(p, kept[n]) for n, p in net.named_parameters() if n in kept)
    before = net.teacher.module.mlp[0].weight.clone()
    net.update_teacher()
    moved = net.teacher.module.mlp[0].weight - before
    torch.testing.assert_close(moved, 0.1 * (net.projector.mlp[0].weight - before))


def test_stages_of_coco(at, batch):
    net = model(begin=dict(contrast=12, seg=8, main=12))
    names = {}
    for iteration in (8, 9, 13):
        at(iteration)
        names[iteration] = set(net.loss(*batch()))
    classify = {'loss_cls', 'loss_cls_aux'}
    assert names[8] == classify | {'loss_waiting'}
    assert names[9] == classify | {'loss_seg', 'loss_reg', 'loss_waiting'}
    assert names[13] == classify | {'loss_seg', 'loss_reg', 'loss_ptc', 'loss_ctc'}


def test_boxes_of_the_second_view_stay_inside():
    boxes = torch.tensor([[0, 20, 4, 30]]).expand(200, 4)
    found = toco.random_resized_boxes(torch.rand(200, 4, generator=torch.Generator().manual_seed(0)), boxes)
    y0, y1, x0, x1 = found.unbind(1)
    assert (y0 >= 0).all() and (y1 <= 20.001).all() and (x0 >= 4).all() and (x1 <= 30.001).all()
    share = (y1 - y0) * (x1 - x0) / (20 * 26)
    assert share.min() > 0.3 and share.max() <= 1.0001


def test_decoder_and_seeds_predict_at_the_photographs_size(batch):
    images, samples = batch()
    for mode in ('seed', 'decode'):
        net = model(test_cfg=dict(mode=mode, scales=(1.0, 1.25), flip=True)).eval()
        out = net.predict(images[..., :30], [s.clone() for s in samples])
        assert out[0].pred_sem_seg.data.shape == (1, 32, 30) and out[0].seg_logits.data.shape == (3, 32, 30)


def test_wrong_backbone_is_named():
    with pytest.raises(ConfigError, match='num_tokens=1'):
        model(backbone=SMALL | dict(num_tokens=2))


def test_views_are_cut_on_the_device_as_by_hand():
    net = model(views={})
    raw = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    regions = torch.zeros(2, 32, 32, dtype=torch.long)
    torch.manual_seed(3)
    crops, flags = net.local_views(raw, regions)
    torch.manual_seed(3)
    corners = toco.draw_crops(regions, torch.rand(2, 16 * 16), 3, 16)
    by_hand = [raw[b, :, y:y + 16, x:x + 16] for b in range(2) for y, x in corners[b].tolist()]
    assert torch.equal(crops, net.normalized(torch.stack(by_hand))) and flags.shape == (2, 5)


def test_the_whole_image_as_second_view_is_the_image(monkeypatch):
    net = model(views={})
    raw = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    whole = torch.tensor([[0., 32, 0, 32]]).expand(2, 4)
    monkeypatch.setattr(toco, 'random_resized_boxes', lambda uniforms, boxes: whole)
    torch.testing.assert_close(net.second_view(raw, whole), net.normalized(raw), atol=1e-3, rtol=1e-4)
    half = torch.tensor([[8., 24, 0, 16]]).expand(2, 4)
    monkeypatch.setattr(toco, 'random_resized_boxes', lambda uniforms, boxes: half)
    want = torch.nn.functional.interpolate(raw[..., 8:24, 0:16], (32, 32), mode='bicubic', align_corners=False)
    got = net.second_view(raw, half)
    inner = slice(6, 26)  # away from the crop's edges, where one looks beyond it and the other does not
    torch.testing.assert_close(got[..., inner, inner], net.normalized(want.clamp(0, 255))[..., inner, inner], atol=1e-2,
                               rtol=1e-3)
