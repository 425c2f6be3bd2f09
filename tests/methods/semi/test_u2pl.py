"""U2PL and the entropy-filtered self-training under it."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError

SMALL = dict(num_queries=8, num_negatives=4, bank_size=64, background_bank_size=None, low_rank=1, high_rank=3)


def u2pl(build, **kwargs):
    return build('U2PL', views=0, **dict(sup_only_epochs=0, contrast=SMALL, rep_channels=8) | kwargs)


def test_step_reaches_student_and_representation(build, tiny_batch, losses_of, blank):
    model = u2pl(build)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert losses['loss_contrast'].item() > 0 and model.contrast.count.sum() > 0
    assert all(p.grad is None for p in [*model.teacher.parameters(), *model.representation_teacher.parameters()])


@pytest.mark.parametrize('mix', ['none', 'cutout', 'cutmix', 'classmix'])
def test_self_training_step(build, tiny_batch, losses_of, blank, mix):
    model = build('EntropySelfTraining', views=0, mix=mix, mix_prob=1.0)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert losses['loss_unsup'].item() > 0


def test_mixing_takes_the_next_image(build):
    model = build('EntropySelfTraining', views=0, mix='cutmix', mix_prob=1.0)
    images = torch.arange(4.).view(4, 1, 1, 1).expand(4, 3, 32, 32)
    label = images[:, 0].long() % 3
    mixed, mixed_label = model.mix_batch(images, label)
    assert set(mixed[0].unique().tolist()) == {0, 1} and set(mixed[3].unique().tolist()) == {3, 0}
    assert torch.equal(mixed_label, mixed[:, 0].long() % 3)
    model.mix = 'cutout'
    mixed, mixed_label = model.mix_batch(images + 1, label)
    assert torch.equal(mixed[:, 0] == 0, mixed_label == 255)


def test_supervised_epoch_comes_first_and_the_teacher_starts_after_it(build, tiny_batch, losses_of, run_info):
    model = u2pl(build, sup_only_epochs=1)
    run_info(iters_per_epoch=2, max_iters=8)
    losses, _ = losses_of(model, tiny_batch(), at=1)
    model.update_teacher()
    assert not [k for k in losses if k.startswith('loss_')] and model.teacher.updates == 0
    with torch.no_grad():
        for p in [*model.student.parameters(), *model.representation.parameters()]:
            p += 0.05
    losses_of(model, tiny_batch(), at=2)
    torch.testing.assert_close(dict(model.teacher.module.named_parameters())['decode_head.conv_seg.bias'],
                               model.student.decode_head.conv_seg.bias)
    torch.testing.assert_close(model.representation_teacher.module.layers[-1].bias,
                               model.representation.layers[-1].bias)
    model.update_teacher()
    assert model.teacher.updates == model.representation_teacher.updates == 1


@pytest.mark.parametrize('as_published', [False, True])
def test_release_copies_at_every_step_of_the_first_epoch(build, tiny_batch, losses_of, run_info, as_published):
    model = build('EntropySelfTraining', views=0, as_published=as_published)
    run_info(iters_per_epoch=2, max_iters=8)
    losses_of(model, tiny_batch(), at=0)
    with torch.no_grad():
        model.student.decode_head.conv_seg.bias += 1
    losses_of(model, tiny_batch(), at=1)
    equal = torch.equal(model.teacher.module.decode_head.conv_seg.bias, model.student.decode_head.conv_seg.bias)
    assert equal == as_published


def test_schedules_follow_whole_epochs(build, run_info):
    model = u2pl(build)
    run_info(iters_per_epoch=10, max_iters=40)
    shares = []
    for i in (0, 9, 10, 39):
        run_info(iter=i)
        shares.append(model.epoch_share())
    assert shares == [0, 0, 0.25, 0.75]
    assert model.unsup.percent_at(0.75) == pytest.approx(95)


def test_second_pass_moves_the_teachers_statistics_only_there(build, tiny_batch, losses_of):
    model = u2pl(build)
    losses_of(model, tiny_batch())
    assert model.teacher.module.backbone.stem[1].num_batches_tracked.item() == 1
    assert not any(m.training for m in model.teacher.modules())


def test_state_of_banks_and_start_round_trips(build, tiny_batch, losses_of):
    model = u2pl(build)
    losses_of(model, tiny_batch())
    other = u2pl(build)
    other.load_state_dict(model.state_dict())
    assert other._started and torch.equal(other.contrast.bank(0), model.contrast.bank(0))
    for network in (model, other):
        torch.manual_seed(9)
        network.total = losses_of(network, tiny_batch())[1].item()
    assert model.total == other.total


def test_published_head(build, tiny_segmentor, tiny_batch, losses_of, blank):
    segmentor = tiny_segmentor()
    segmentor['decode_head'] = dict(
        type='U2PLHead', in_channels=32, in_index=3, channels=8, dilations=(1, 2), c1_in_channels=4, c1_channels=8,
        num_classes=3, norm_cfg=dict(type='BN'), align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))
    model = u2pl(build, segmentor=segmentor)
    assert model.representation.layers[0].in_channels == 16  # the concat, as the classifier sees it
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []


def test_published_head_shapes():
    head = MODELS.build(dict(type='U2PLHead', in_channels=2048, in_index=3, channels=256, num_classes=21,
                             norm_cfg=dict(type='BN'), loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
    convs = [(c.in_channels, c.out_channels, c.kernel_size[0], c.bias is not None)
             for c in head.conv_seg.modules() if isinstance(c, torch.nn.Conv2d)]
    assert convs == [(512, 256, 3, True), (256, 256, 3, True), (256, 21, 1, True)]


def test_wrong_mix(build):
    with pytest.raises(ConfigError, match="^model.mix is 'mixup'; EntropySelfTraining knows 'none', 'cutout', "):
        build('EntropySelfTraining', views=0, mix='mixup')
