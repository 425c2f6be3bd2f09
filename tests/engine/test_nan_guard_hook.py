"""A loss that is not a number ends the run before the weights are harmed, and the step can be replayed."""
import json

import pytest
import torch

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.engine import NanGuardHook, replay
from mmseg_weak.errors import MissingFileError


@pytest.fixture
def poisoned(toy_config, tmp_path, monkeypatch):
    """Runner of a run whose loss is NaN at iteration 5, because of one image's content."""
    from mmengine.config import Config
    from mmseg.registry import RUNNERS

    from mmseg_weak.models.segmentors import SemiSegmentor
    honest = SemiSegmentor.loss

    def loss(self, inputs, data_samples):
        from mmseg_weak.models.utils.progress import current_iter
        losses = honest(self, inputs, data_samples)
        if current_iter() == 5:
            losses['loss_poison'] = inputs['sup'].mean() * float('nan')
        return losses
    monkeypatch.setattr(SemiSegmentor, 'loss', loss)
    cfg = Config.fromfile(toy_config())
    cfg.work_dir, cfg.launcher, cfg.experiment_name = str(tmp_path / 'w'), 'none', tmp_path.name
    return RUNNERS.build(cfg)


@pytest.mark.smoke
def test_run_stops_before_the_step_and_keeps_what_a_replay_needs(poisoned, tmp_path):
    before = {}

    class Remember(type(poisoned.hooks[0]).__mro__[1]):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            before.update({key: value.clone() for key, value in runner.model.state_dict().items()})
    poisoned.register_hook(Remember(), priority='LOWEST')
    with pytest.raises(RuntimeError, match=r'^The loss is not finite at iteration 5 \(.*loss_poison=nan.*\); the '
                                           r'weights are as they were before the step\. .* the last good checkpoint is '
                                           r'iter_4\.pth\. '):
        poisoned.train()
    assert all(torch.equal(value, poisoned.model.state_dict()[key]) for key, value in before.items())
    folder = tmp_path / 'w/nan_capture/iter_5'
    report = json.loads((folder / 'report.json').read_text())
    assert report['iteration'] == 5 and not report['step_applied'] and report['non_finite_before_the_step'] == []
    assert len(report['files']) == 4 and all((tmp_path / 'data') in __import__('pathlib').Path(f).parents
                                             for f in report['files'])
    assert load_checkpoint_file(tmp_path / 'w/iter_4.pth')['meta']['iter'] == 4
    again = replay(folder)
    assert torch.isnan(again['loss_poison'])
    for key, value in report['losses'].items():
        if key != 'loss_poison':
            assert float(again[key].mean()) == pytest.approx(value, abs=0), key  # the same draws, the same numbers


def test_a_poisoned_run_resumes_from_its_capture(poisoned, tmp_path):
    with pytest.raises(RuntimeError, match='not finite'):
        poisoned.train()
    state = load_checkpoint_file(tmp_path / 'w/nan_capture/iter_5/state.pth')
    assert state['meta']['iter'] == 5 and {'optimizer', 'param_schedulers', 'message_hub'} <= set(state)
    assert all(bool(torch.isfinite(v).all()) for v in state['state_dict'].values() if v.is_floating_point())


def test_replay_of_something_else():
    with pytest.raises(MissingFileError, match=r'report.json is missing, so nowhere is not a whole capture of rank 0; '
                                               r'give a folder work_dir/nan_capture/iter_<n>\.'):
        replay('nowhere')


def test_only_losses_are_watched():
    hook = NanGuardHook()
    hook._watch_losses(None, (), dict(share_kept=torch.tensor(float('nan')), loss_a=torch.ones(())))
    assert float(hook._flag) == 0
    hook._watch_losses(None, (), dict(loss_b=[torch.ones(()), torch.tensor(float('inf'))]))
    assert float(hook._flag) == 1
    hook._watch_losses(None, (), dict(loss_c=torch.ones(())))  # a later pass of the same step does not hide it
    assert float(hook._flag) == 1
