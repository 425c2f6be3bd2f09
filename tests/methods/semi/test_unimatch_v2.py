"""UniMatch V2: complementary dropout, the flipped partner, one step."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.semi.unimatch_v2 import ComplementaryDropout, complementary_masks, drop_features


def test_masks_complement_each_other():
    mask = complementary_masks(torch.rand(6, 50), torch.rand(6))
    first, second = mask.chunk(2)
    assert torch.equal(first + second, torch.full_like(first, 2))
    whole = (first == 1).all(1)
    assert whole.sum() == 3 and set(first[~whole].unique().tolist()) == {0, 2}
    assert torch.equal(complementary_masks(torch.rand(5, 4), torch.rand(5), 0.0) == 1, torch.zeros(10, 4).bool())


def test_levels_share_a_mask_and_tokens_too():
    torch.manual_seed(0)
    tokens, maps = torch.ones(8, 5, 16), torch.ones(8, 16, 3, 3)
    out = ComplementaryDropout(0.0)([tokens, maps, (maps, torch.ones(8, 16))])
    assert torch.equal(out[0][:, 0], out[1][:, :, 0, 0]) and torch.equal(out[0], out[0][:, :1].expand_as(out[0]))
    assert torch.equal(out[2][0], out[1]) and torch.equal(out[2][1], out[0][:, 0])
    assert torch.equal(out[1][:4] + out[1][4:], torch.full((4, 16, 3, 3), 2.0))


def test_features_of_both_forms():
    mask = torch.tensor([[0., 2.]])
    assert drop_features(torch.ones(1, 3, 2), mask).tolist() == [[[0, 2]] * 3]
    assert drop_features(torch.ones(1, 2, 1, 1), mask).flatten().tolist() == [0, 2]


def test_step_reaches_student_and_not_teacher(build, tiny_batch, losses_of, blank):
    model = build('UniMatchV2', conf_thr=0.0)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert all(p.grad is None for p in model.teacher.parameters())
    assert losses['kept_ratio'].item() == 1
    assert total.item() == pytest.approx(sum(losses[k].item() for k in ('loss_x', 'loss_s1', 'loss_s2')))


def test_nobody_confident_leaves_the_supervised_half(build, tiny_batch, losses_of):
    losses, total = losses_of(build('UniMatchV2', conf_thr=1.0), tiny_batch())
    assert losses['loss_s1'].item() == losses['loss_s2'].item() == 0
    assert total.item() == pytest.approx(losses['loss_x'].item())


def test_one_class_known_to_the_teacher_gives_the_students_cross_entropy(build, tiny_batch, losses_of):
    model = build('UniMatchV2', conf_thr=0.0, share_kept=None)
    with torch.no_grad():
        for network in (model.teacher.module, model.student):
            network.decode_head.conv_seg.weight.zero_()
            network.decode_head.conv_seg.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    want = -torch.tensor([1.0, 0.0, 0.0]).log_softmax(0)[0].item() / 4
    losses, _ = losses_of(model, tiny_batch())
    assert losses['loss_s1'].item() == pytest.approx(want, rel=1e-5)


def test_teacher_averages_buffers_with_the_papers_warm_up(build, tiny_batch, sgd):
    model = build('UniMatchV2')
    model.train_step(tiny_batch(), sgd(model))
    model.update_teacher()  # a = min(1 - 1/1, .) = 0: the student
    name = 'backbone.stem.1.running_mean'
    torch.testing.assert_close(model.teacher.module.state_dict()[name], model.student.state_dict()[name])


def test_two_views_are_needed(tiny_segmentor):
    with pytest.raises(ConfigError, match='^model.views names 1 views; UniMatchV2 complements exactly two.$'):
        MODELS.build(dict(type='UniMatchV2', segmentor=tiny_segmentor(), views=['strong1']))


def test_odd_batch_mixes_its_middle_image_with_itself(build, tiny_batch, losses_of):
    _, total = losses_of(build('UniMatchV2', conf_thr=0.0), tiny_batch(unlabelled=3))
    assert torch.isfinite(total)
