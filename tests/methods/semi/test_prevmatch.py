"""PrevMatch: the list of past models, the ensemble, the schedule, one step."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner.checkpoint import get_state_dict, load_state_dict, save_checkpoint, weights_to_cpu
from mmseg.registry import HOOKS

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.semi.prevmatch import PreviousModels, dirichlet_weights, prevmatch_step_losses, triangle


def prev(build, **kwargs):
    return build('PrevMatch', True, **dict(epoch_iters=2, conf_thr=0.0, conf_thr_prev=0.0) | kwargs)


def test_list_is_first_in_first_out_and_on_the_cpu():
    past = PreviousModels(3)
    weight = torch.zeros(1)
    for i in range(5):
        past.append(dict(w=weight.fill_(i)))
    assert [s['w'].item() for s in past.states] == [2, 3, 4]  # copies
    other = PreviousModels(3)
    assert other.load_state_dict(past.state_dict()).missing_keys == []
    assert [s['w'].item() for s in other.states] == [2, 3, 4]


def test_best_score_travels_with_the_checkpoint():
    past = PreviousModels(3)
    assert [past.is_best(x) for x in (50.0, 49.0, 50.0, 51.0)] == [True, False, False, True]
    other = PreviousModels(3)
    other.load_state_dict(past.state_dict())
    assert not other.is_best(51.0)


def test_dirichlet_weights_add_up_and_have_the_right_mean():
    draws = torch.stack([dirichlet_weights(u) for u in torch.rand(4000, 3, dtype=torch.float64)])
    torch.testing.assert_close(draws.sum(1), torch.ones(4000, dtype=torch.float64))
    assert (draws.mean(0) - 1 / 3).abs().max() < 0.015
    assert draws.var(0).mean().item() == pytest.approx(1 / 18, rel=0.1)  # Dirichlet(1,1,1)


def test_triangle_by_hand():
    assert [triangle(e, 4) for e in range(4)] == [0, 0.5, 1, 0.5]


def test_losses_add_up():
    one = torch.tensor(1.0)
    terms = dict(s1=2 * one, s2=2 * one, fp=one)  # 1.5 weighted
    assert sum(prevmatch_step_losses(one, terms, None, 0.7).values()).item() == pytest.approx(2.5 / 2)
    assert sum(prevmatch_step_losses(one, terms, terms, 0.5).values()).item() == pytest.approx((1 + 1.5 + .75) / 2.5)


def test_step_with_and_without_past_models(build, tiny_batch, losses_of, blank, run_info):
    model = prev(build)
    run_info(iter=2, max_iters=8)
    losses, _ = losses_of(model, tiny_batch())
    assert 'loss_previous' not in losses
    for score in (10.0, 20.0):
        assert model.remember(score, epoch=0)
    losses, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert losses['loss_previous'].item() > 0


def test_ensemble_of_one_is_that_model_in_eval_mode(build, run_info):
    model = prev(build)
    images = torch.randn(2, 3, 32, 32)
    model.past.append(model.student.state_dict())
    want = model.eval().logits(images)
    with torch.no_grad():
        model.student.decode_head.conv_seg.bias += 5
    model.train()
    tracked = model.student.backbone.stem[1].num_batches_tracked.item()
    torch.testing.assert_close(model.previous_logits(images), want, rtol=1e-4, atol=1e-5)
    assert model.student.training and model.student.backbone.stem[1].num_batches_tracked.item() == tracked


def test_hook_offers_the_student_after_validation(build):
    model = prev(build)
    hook = HOOKS.build(dict(type='PreviousModelHook', base_only_epoch=2))
    runner = SimpleNamespace(model=model, iter=0, _train_loop=object(), val_loop=object())
    hook.before_train(runner)
    for iteration, score in ((2, 30.0), (4, 20.0), (4, 40.0), (6, 40.0), (8, 41.0)):
        runner.iter = iteration
        hook.after_val_epoch(runner, dict(mIoU=score))
    assert len(model.past) == 2
    with pytest.raises(ConfigError) as error:
        hook.after_val_epoch(runner, dict(mDice=1.0))
    assert str(error.value).startswith("PreviousModelHook.metric is 'mIoU' and validation gave ['mDice'].")


def test_hook_needs_prevmatch_and_validation(build):
    hook = HOOKS.build(dict(type='PreviousModelHook'))
    with pytest.raises(ConfigError, match='UniMatch keeps no past models'):
        hook.before_train(SimpleNamespace(model=build('UniMatch', True), val_loop=object()))
    with pytest.raises(ConfigError, match='the run has no validation'):
        hook.before_train(SimpleNamespace(model=prev(build), val_loop=None))


def test_model_state_round_trips_with_its_past(build):
    model, other = prev(build), prev(build)
    model.remember(12.0, 0)
    report = other.load_state_dict(model.state_dict())
    assert not report.missing_keys and not report.unexpected_keys
    assert torch.equal(other.past.states[0]['decode_head.conv_seg.weight'], model.student.decode_head.conv_seg.weight)


def test_list_holds_at_least_one(build):
    with pytest.raises(ConfigError, match='^max_prev=0 of PrevMatch; the list holds at least one past model.$'):
        prev(build, max_prev=0)


def test_mmengine_checkpoint_keeps_the_list(build, tmp_path):
    model, other = prev(build), prev(build)
    model.remember(12.0, 0)
    save_checkpoint(dict(state_dict=weights_to_cpu(get_state_dict(model))), str(tmp_path / 'model.pth'))
    load_state_dict(other, torch.load(tmp_path / 'model.pth', weights_only=True)['state_dict'], strict=True)
    assert len(other.past) == 1 and not other.past.is_best(12.0)
