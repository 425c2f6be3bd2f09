"""FST: the look-ahead on real networks and optimisers, its batches, its state."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.semi.fst import LookAhead, split_batch
from mmseg_weak.models.teachers.ema import EMATeacher

PLAIN = dict(type='EntropySelfTraining', mix='none')


def fst(build, **kwargs):
    return build('FutureSelfTraining', views=0, **dict(method=PLAIN) | kwargs)


def test_step_trains_the_student_and_moves_the_teacher(build, tiny_batch, sgd, copy_of):
    model = fst(build)
    student, teacher = copy_of(model.student), copy_of(model.teacher.module)
    logs = model.train_step(tiny_batch(), sgd(model))
    assert torch.isfinite(torch.as_tensor(logs['loss']))
    assert model.teacher.updates == 5 and model.passes.item() == 4  # K + 2 averages, K + 1 steps
    for before, module in ((student, model.student), (teacher, model.teacher.module)):
        assert any(not torch.equal(before[n], p) for n, p in module.named_parameters())
    updates = model.teacher.updates
    model.update_teacher()
    assert model.teacher.updates == updates  # the hook has nothing to do


def test_checkpoint_has_the_methods_keys(build):
    model = fst(build)
    keys = set(model.state_dict())
    assert keys - {'passes'} == set(build('EntropySelfTraining', views=0).state_dict())
    assert model.method.student is model.student and model.method.teacher is model.teacher


def test_without_virtual_steps_it_is_the_method_plus_two_averages(build, tiny_batch, sgd, copy_of):
    ours = fst(build, steps=0)
    plain = build('EntropySelfTraining', views=0, mix='none')
    plain.load_state_dict(ours.state_dict(), strict=False)
    plain.teacher.copy_from(plain.student)
    for model in (ours, plain):
        torch.manual_seed(1)  # the auxiliary head has dropout
        model.train_step(tiny_batch(), sgd(model))
    theirs = copy_of(plain.student)
    for name, p in ours.student.named_parameters():
        torch.testing.assert_close(p, theirs[name], rtol=1e-4, atol=1e-6)  # sums of another order


def test_virtual_steps_leave_traces_in_the_optimizer_only_if_asked(build, tiny_batch, sgd):
    moments = []
    for restore in (False, True):
        torch.manual_seed(0)
        model = fst(build, restore_optimizer=restore)
        wrapper = sgd(model)
        for _ in range(2):
            model.train_step(tiny_batch(), wrapper)
        weight = model.student.decode_head.conv_seg.bias
        moments.append(wrapper.optimizer.state[weight]['momentum_buffer'].abs().sum().item())
    assert moments[0] > moments[1]


def test_u2pl_inside_moves_both_averages(build, tiny_batch, sgd):
    small = dict(num_queries=4, num_negatives=2, bank_size=16, background_bank_size=None, low_rank=1, high_rank=3)
    model = fst(build, steps=1, method=dict(type='U2PL', sup_only_epochs=0, contrast=small, rep_channels=8))
    model.train_step(tiny_batch(), sgd(model))
    assert model.teacher.updates == model.representation_teacher.updates == 3


def test_supervised_epochs_are_plain_steps(build, tiny_batch, sgd, run_info):
    model = fst(build, method=dict(PLAIN, sup_only_epochs=1))
    run_info(iter=0, iters_per_epoch=2, max_iters=8)
    model.train_step(tiny_batch(), sgd(model))
    assert model.passes.item() == 1 and model.teacher.updates == 0


def test_wide_takes_another_batch_for_each_future(build, tiny_batch, sgd):
    model = fst(build, mode='wide', steps=2, counter='passes', first_plain=True)
    wrapper = sgd(model)
    seen = []
    model.student.backbone.register_forward_pre_hook(lambda _m, x: seen.append(x[0].flatten(1).sum(1).tolist()))
    data = tiny_batch(labelled=3, unlabelled=6)
    torch.manual_seed(0)
    model.train_step(data, wrapper)
    assert len(seen) == 1  # iteration 0 is plain
    from mmengine.logging import MessageHub
    MessageHub.get_current_instance().update_info('iter', 1)
    try:
        model.train_step(data, wrapper)
    finally:
        MessageHub.get_current_instance().runtime_info.pop('iter')
    assert len(seen) == 4 and len({tuple(x) for x in seen[1:]}) == 3 and seen[3] == seen[0]


def test_split_keeps_partners_with_their_images(tiny_batch):
    data = tiny_batch(labelled=2, unlabelled=8)
    parts = split_batch(data, 2, partner=True)
    names = [[s.img_path for s in part['data_samples']] for part in parts]
    assert names == [['0.png', '2.png', '3.png', '6.png', '7.png'], ['1.png', '4.png', '5.png', '8.png', '9.png']]


def test_batch_that_cannot_be_cut(tiny_batch):
    with pytest.raises(ConfigError) as error:
        split_batch(tiny_batch(labelled=3, unlabelled=4), 4)
    assert str(error.value) == (
        "FutureSelfTraining(mode='wide') cuts each batch in 4 and got 3 images of 'sup': make the batch_size of "
        'train_dataloader.sampler 4 times the one that each step shall have.')


def test_soup_by_hand():
    student = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(student.weight)
    teacher = EMATeacher(student, momentum=0.5)

    def step(value):
        with torch.no_grad():
            student.weight += value
        return value
    ahead = LookAhead('wide', 2, ema_after_real_step=False)
    out, passes = ahead.run([(student, teacher)], step, [10.0, 1.0, 3.0], iteration=9, passes=0)
    assert (out, passes) == (10.0, 3)
    assert teacher.module.weight.item() == 0.5 * (1 + 3) / 2 and student.weight.item() == 10


def test_gradient_accumulation_is_refused(build, tiny_batch, sgd):
    model = fst(build)
    with pytest.raises(ConfigError, match='set optim_wrapper.accumulative_counts=1.$'):
        model.train_step(tiny_batch(), sgd(model, accumulative_counts=2))


@pytest.mark.parametrize('options, words', [
    (dict(method=dict(type='CrossPseudoSupervision')), 'CrossPseudoSupervision has none'),
    (dict(method=dict(type='MeanTeacher', update_inside=True)), 'moves the teacher itself'),
    (dict(mode='deeper'), "mode='deeper' of FutureSelfTraining is neither 'deep' nor 'wide'."),
    (dict(counter='epochs'), "counter='epochs' of FutureSelfTraining is neither 'passes' nor 'iterations'."),
    (dict(mode='wide', steps=0), 'steps=0 of FutureSelfTraining; K is at least 1.'),
])
def test_wrong_option(build, options, words):
    if 'CrossPseudo' in words:
        options = dict(options, predict_with='student')
    with pytest.raises(ConfigError) as error:
        fst(build, **options)
    assert words in str(error.value)


def test_resume_goes_on_where_it_was(build, tiny_batch, sgd):
    model = fst(build, counter='passes')
    model.train_step(tiny_batch(), sgd(model))
    other = fst(build, counter='passes')
    other.load_state_dict(model.state_dict())
    assert other._passes == 4 and other.method._started and other.teacher.updates == model.teacher.updates
