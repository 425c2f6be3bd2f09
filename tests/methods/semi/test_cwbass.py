"""CW-BASS: one step, the ramp, what the teacher's buffers do."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.semi.cwbass import linear_ramp


def test_step_reaches_student(build, tiny_batch, losses_of, blank):
    model = build('CWBASS', views=0, warmup_iters=0)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert 0.3 <= losses['conf_thr'].item() <= 0.34  # as far as the paper's constants let it move
    assert losses['loss_boundary'].item() > 0


def test_nobody_confident_is_zero(build, tiny_batch, losses_of):
    model = build('CWBASS', views=0, warmup_iters=0, unsup=dict(type='ConfidenceWeightedBoundaryLoss', fixed_thr=1.0))
    losses, total = losses_of(model, tiny_batch())
    assert losses['loss_weighted'].item() == losses['loss_boundary'].item() == losses['kept_ratio'].item() == 0
    total.backward()


def test_ramp_counts_epochs_of_the_unlabelled_list(build, run_info):
    assert [linear_ramp(i, 10) for i in (0, 5, 10, 20)] == [0, 0.5, 1, 1]
    model = build('CWBASS', views=0, warmup_epochs=2)
    run_info(iter=5, iters_per_epoch=5)
    assert model.ramp() == 0.5


def test_ramp_without_a_run_says_what_to_do(build):
    with pytest.raises(ConfigError, match="^This method's schedule counts epochs over the unlabelled list"):
        build('CWBASS', views=0).ramp()


def test_larger_gamma_lowers_the_weighted_term(build, tiny_batch, losses_of):
    values = []
    for gamma in (1.0, 2.0):
        torch.manual_seed(0)
        model = build('CWBASS', views=0, warmup_iters=0, unsup=dict(type='ConfidenceWeightedBoundaryLoss', gamma=gamma))
        values.append(losses_of(model, tiny_batch())[0]['loss_weighted'].item())
    assert values[1] < values[0]


def test_teacher_copies_buffers_and_averages_parameters(build, tiny_batch, sgd):
    model = build('CWBASS', views=0, warmup_iters=0)
    before = model.teacher.module.decode_head.conv_seg.weight.clone()
    model.train_step(tiny_batch(), sgd(model))
    model.update_teacher()
    torch.testing.assert_close(model.teacher.module.decode_head.conv_seg.weight,
                               0.999 * before + 0.001 * model.student.decode_head.conv_seg.weight)
    torch.testing.assert_close(dict(model.teacher.module.named_buffers())['backbone.stem.1.running_mean'],
                               dict(model.student.named_buffers())['backbone.stem.1.running_mean'])
