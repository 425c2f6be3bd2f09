"""MGD: only the student learns; teachers stay as they were loaded."""
import pytest
import torch

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.methods.semi.mgd import FrozenTeacher


def mgd(build, tiny_segmentor, **kwargs):
    return build('MultiGranularityDistiller', True, views=0, wide=tiny_segmentor(), deep=tiny_segmentor(), **kwargs)


@pytest.mark.parametrize('mode', ['train', 'eval'])
def test_step_reaches_the_student_alone(build, tiny_segmentor, tiny_batch, losses_of, blank, mode):
    model = mgd(build, tiny_segmentor, teacher_mode=mode)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert all(not p.requires_grad and p.grad is None for t in (model.wide, model.deep) for p in t.parameters())
    assert {'loss_pixel_unsup', 'loss_pixel_sup', 'loss_semantic', 'loss_content'} <= set(losses)


def test_teachers_keep_their_mode(build, tiny_segmentor):
    for mode in ('train', 'eval'):
        model = mgd(build, tiny_segmentor, teacher_mode=mode)
        for outer in (True, False):
            model.train(outer)
            assert model.deep.module.training == (mode == 'train')


def test_each_distillation_term_reads_its_own_teacher(build, tiny_segmentor, tiny_batch, losses_of):
    model = mgd(build, tiny_segmentor, teacher_mode='eval')
    model.student.eval()  # all networks alike: statistics may not differ either
    for teacher in (model.wide, model.deep):
        teacher.module.load_state_dict({k: v for k, v in model.student.state_dict().items() if 'auxiliary' not in k})
    torch.manual_seed(0)
    losses, _ = losses_of(model, tiny_batch())
    assert losses['loss_semantic'].item() == pytest.approx(0, abs=1e-6)
    assert losses['loss_content'].item() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        model.deep.module.decode_head.conv_seg.bias[0] += 1
    torch.manual_seed(0)
    changed, _ = losses_of(model, tiny_batch())
    assert changed['loss_semantic'].item() == pytest.approx(0.002 * 2, rel=1e-3)  # two images, one class
    assert changed['loss_content'].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('prefix', ['', 'student.', 'branch1.'])
def test_teacher_loads_from_a_checkpoint(tmp_path, tiny_segmentor, prefix):
    source = FrozenTeacher(tiny_segmentor())
    file = tmp_path / 'teacher.pth'
    state = {prefix + k: v for k, v in source.module.state_dict().items()}
    torch.save(dict(state_dict=state | {'teacher.module.other': torch.zeros(1)}), file)
    target = FrozenTeacher(tiny_segmentor(), str(file))
    target.init_weights()
    for name, p in source.module.named_parameters():
        assert torch.equal(p, dict(target.module.named_parameters())[name])


def test_checkpoint_of_another_model(tmp_path, tiny_segmentor):
    file = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=FrozenTeacher(tiny_segmentor(num_classes=4)).module.state_dict()), file)
    with pytest.raises(CheckpointError) as error:
        FrozenTeacher(tiny_segmentor(num_classes=3), str(file)).init_weights()
    assert str(error.value) == (
        f'{file} does not hold the teacher that the config describes: 0 weights are missing and 2 have another shape '
        '(first: decode_head.conv_seg.weight); give the config that it was trained with.')


def test_teacher_from_a_config_file(tmp_path, tiny_segmentor):
    file = tmp_path / 'wide.py'
    file.write_text(f'model = dict(type="UniMatch", segmentor={tiny_segmentor()!r})')
    assert FrozenTeacher(str(file)).module.num_classes == 3


def test_class_counts_must_agree(build, tiny_segmentor):
    with pytest.raises(ConfigError, match='^model.deep has 4 classes and the student 3; teachers and student must'):
        build('MultiGranularityDistiller', True, wide=tiny_segmentor(), deep=tiny_segmentor(num_classes=4))
