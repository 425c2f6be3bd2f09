"""Mean Teacher and CutMix-Seg."""
import pytest
import torch

from mmseg_weak.errors import ConfigError

MEAN_TEACHER = dict(mix='none', on_labeled=True, update_inside=True, predict_with='teacher',
                    teacher=dict(momentum=0.01, buffers='leave', mode='train'),
                    consistency=dict(type='ConsistencyLoss', kind='mse', conf_thr=0.0, loss_weight=100.0))
FORMS = {'cutmix': (True, {}), 'cutout': (False, dict(mix='cutout')), 'none': (False, MEAN_TEACHER)}


@pytest.mark.parametrize('form', FORMS)
def test_step_reaches_student_and_not_teacher(build, tiny_batch, losses_of, blank, form):
    partner, options = FORMS[form]
    model = build('MeanTeacher', partner, **options)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert all(p.grad is None for p in model.teacher.parameters())


def test_student_equal_to_teacher_without_mixing_has_no_consistency(build, tiny_batch, losses_of):
    model = build('MeanTeacher', view=None, mix='none', consistency=dict(type='ConsistencyLoss', conf_thr=0.0))
    losses, _ = losses_of(model, tiny_batch())
    assert losses['loss_consistency'].item() == pytest.approx(0, abs=1e-12)
    with torch.no_grad():
        model.student.decode_head.conv_seg.bias[0] += 1
    assert losses_of(model, tiny_batch())[0]['loss_consistency'].item() > 1e-3


def test_nobody_confident_is_zero(build, tiny_batch, losses_of):
    model = build('MeanTeacher', True, consistency=dict(type='ConsistencyLoss', conf_thr=1.0))
    losses, _ = losses_of(model, tiny_batch())
    assert losses['loss_consistency'].item() == 0


def test_teacher_labels_apart_in_train_mode_and_together_in_eval_mode(build):
    own, partner = torch.randn(2, 2, 3, 32, 32).unbind(0)
    train, evaluating = (build('MeanTeacher', True, teacher=dict(momentum=0.01, mode=mode))
                         for mode in ('train', 'eval'))
    passes = {train: [], evaluating: []}
    for model in passes:
        model.teacher.module.backbone.register_forward_pre_hook(
            lambda _m, x, model=model: passes[model].append(len(x[0])))
        model.label_pair(own, partner)
    assert passes == {train: [2, 2], evaluating: [4]}


def test_published_cutmix_teacher_averages_statistics_after_the_step(build, tiny_batch, losses_of):
    model = build('MeanTeacher', True)
    losses_of(model, tiny_batch())
    mean = 'backbone.stem.1.running_mean'
    teacher, student = model.teacher.module.state_dict()[mean].clone(), model.student.state_dict()[mean]
    model.update_teacher()
    torch.testing.assert_close(model.teacher.module.state_dict()[mean], 0.99 * teacher + 0.01 * student)


def test_mean_teacher_moves_inside_the_step(build, tiny_batch, losses_of, copy_of):
    model = build('MeanTeacher', **MEAN_TEACHER)
    with torch.no_grad():
        for p in model.student.parameters():
            p += 0.1
    losses_of(model, tiny_batch())
    student = copy_of(model.student)
    for name, p in model.teacher.module.named_parameters():  # the first update copies
        torch.testing.assert_close(p, student[name])
    updates = model.teacher.updates
    model.update_teacher()
    assert model.teacher.updates == updates == 1


def test_cutout_compares_outside_of_the_box_only(build, tiny_batch):
    model = build('MeanTeacher', mix='cutout', boxes=dict(prop_range=(0.5, 0.5)))
    inputs = model.data_preprocessor(tiny_batch(), True)['inputs']
    _, _, valid = model._cutout(inputs)
    assert 0.4 < 1 - valid.float().mean().item() < 0.6


@pytest.mark.parametrize('options, words', [
    (dict(mix='mixup'), "model.mix is 'mixup'; MeanTeacher knows 'none', 'cutmix', 'cutout'."),
    (dict(mix='cutmix', on_labeled=True),
     "model.on_labeled=True goes with mix='none', and mix is 'cutmix': labelled images are not mixed."),
])
def test_wrong_option(build, options, words):
    with pytest.raises(ConfigError) as error:
        build('MeanTeacher', **options)
    assert str(error.value) == words
