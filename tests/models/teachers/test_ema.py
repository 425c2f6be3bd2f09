"""The EMA teacher: values by hand, every buffer mode, state that survives a checkpoint."""
import pytest
import torch
from torch import nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers import EMATeacher, ema_momentum


def net(value: float, stat: float = 0.0) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(value)
        model[1].running_mean.fill_(stat)
    return model


def test_two_updates_by_hand():
    student = net(1.0)
    teacher = EMATeacher(student, momentum=0.25)
    teacher.start(student)
    with torch.no_grad():
        student[0].weight.fill_(5.0)
    teacher.update(student)
    assert teacher.module[0].weight.item() == pytest.approx(0.75 * 1 + 0.25 * 5)
    teacher.update(student)
    assert teacher.module[0].weight.item() == pytest.approx(0.75 * 2 + 0.25 * 5)
    assert int(teacher.steps) == 2


@pytest.mark.parametrize('buffers, expected', [('copy', 8.0), ('average', 0.5 * 0 + 0.5 * 8), ('leave', 0.0)])
def test_buffers(buffers, expected):
    student = net(1.0)
    teacher = EMATeacher(student, momentum=0.5, buffers=buffers)
    teacher.start(student)
    with torch.no_grad():
        student[1].running_mean.fill_(8.0)
        student[1].num_batches_tracked.fill_(3)
    teacher.update(student)
    assert teacher.module[1].running_mean.item() == expected
    assert teacher.module[1].num_batches_tracked.item() == (0 if buffers == 'leave' else 3)


def test_inverse_warmup_makes_the_first_update_a_copy():
    assert [ema_momentum(i, 0.004, 'inverse') for i in (0, 1, 3, 999)] == [1.0, 0.5, 0.25, 0.004]
    student = net(1.0)
    teacher = EMATeacher(student, momentum=0.004, warmup='inverse')
    with torch.no_grad():
        student[0].weight.fill_(7.0)
    teacher.update(student)
    assert teacher.module[0].weight.item() == 7.0


def test_mode_survives_train_of_the_whole_model():
    student = net(1.0)
    for mode in ('eval', 'train'):
        whole = nn.ModuleDict(dict(student=student, teacher=EMATeacher(student, mode=mode)))
        whole.train()
        assert whole['teacher'].module[1].training == (mode == 'train')
        whole.eval()
        assert not whole['teacher'].module[1].training


def test_state_dict_brings_count_and_readiness_back():
    student = net(1.0)
    teacher = EMATeacher(student, momentum=0.1, warmup='inverse')
    teacher.start(student)
    teacher.update(student)
    teacher.update(student)
    other = EMATeacher(net(9.0), momentum=0.1, warmup='inverse')
    other.load_state_dict(teacher.state_dict())
    other.start(net(9.0))  # must not copy: the checkpoint brought a teacher
    with torch.no_grad():
        student[0].weight.fill_(4.0)
    teacher.update(student)
    other.update(student)
    assert torch.equal(other.module[0].weight, teacher.module[0].weight)
    assert not any(p.requires_grad for p in other.parameters())


def test_own_head_is_kept_without_first_copy():
    student = net(1.0)
    teacher = EMATeacher(student, first_copy=False)
    with torch.no_grad():
        student[0].weight.fill_(3.0)
    teacher.start(student)
    assert teacher.module[0].weight.item() == 1.0 and teacher.is_ready


@pytest.mark.parametrize('kwargs, message', [
    (dict(buffers='mean'), "teacher.buffers is 'mean'; it is one of 'copy', 'average', 'leave'."),
    (dict(warmup='linear'), "teacher.warmup is 'linear'; it is None or 'inverse'."),
    (dict(mode='test'), "teacher.mode is 'test'; it is 'eval' or 'train'."),
    (dict(momentum=1.5), 'teacher.momentum is 1.5; it is the share of the student, in [0, 1].')])
def test_bad_arguments(kwargs, message):
    with pytest.raises(ConfigError) as error:
        EMATeacher(net(1.0), **kwargs)
    assert str(error.value) == message
