"""A run resumed at iteration k equals the uninterrupted one, bit for bit."""
import random
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import RUNNERS

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.errors import CheckpointError


def build(config: Path, work_dir: Path, resume: bool = False, workers: int = 0, **options):
    """The runner of a config, with options."""
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.resume, cfg.launcher = str(work_dir), resume, 'none'
    cfg.train_dataloader.num_workers = workers
    cfg.merge_from_dict(options)
    cfg.experiment_name = f'{work_dir.parent.name}_{work_dir.name}_{resume}_{workers}'
    return RUNNERS.build(cfg)


def run(config: Path, work_dir: Path, resume: bool = False, workers: int = 0, stop: int | None = None, **options):
    """Train in this process and return the runner; ``stop`` ends the loop early, as a kill would."""
    runner = build(config, work_dir, resume, workers, **options)
    if stop is not None:
        runner.register_hook(_StopHook(stop), priority='LOWEST')
    runner.train()
    return runner


class _StopHook(Hook):
    def __init__(self, at: int) -> None:
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.at:
            runner.train_loop.stop_training = True


def assert_same(left: dict, right: dict) -> None:
    """All tensors of two checkpoints are bit for bit equal: weights, teacher, optimizer."""
    assert left['state_dict'].keys() == right['state_dict'].keys()
    for key, value in left['state_dict'].items():
        assert torch.equal(value, right['state_dict'][key]), key
    for key, state in left['optimizer']['state'].items():
        assert torch.equal(state['momentum_buffer'], right['optimizer']['state'][key]['momentum_buffer']), key
    assert left['param_schedulers'] == right['param_schedulers']


@pytest.mark.smoke
@pytest.mark.parametrize('first,second', [(0, 0), (2, 2), (0, 2)])
def test_resume_is_exact(toy_config, tmp_path, first, second):
    config = toy_config()
    whole = run(config, tmp_path / 'whole')
    run(config, tmp_path / 'parts', workers=first, stop=4)
    random.seed(1234)  # what happens in between must not matter
    torch.rand(17)
    resumed = run(config, tmp_path / 'parts', resume=True, workers=second)
    assert resumed.iter == whole.iter == 8
    assert_same(*(load_checkpoint_file(tmp_path / name / 'iter_8.pth') for name in ('whole', 'parts')))
    losses = [each.message_hub.get_scalar('train/loss').data[0].tolist() for each in (whole, resumed)]
    assert losses[0] == losses[1] and len(losses[0]) == 8  # those before the stop come from the checkpoint


def test_resume_takes_the_first_runs_seed(toy_config, tmp_path):
    config = toy_config()
    run(config, tmp_path / 'whole', **{'randomness.seed': 7})
    run(config, tmp_path / 'parts', stop=4, **{'randomness.seed': 7})
    resumed = run(config, tmp_path / 'parts', resume=True, **{'randomness.seed': None})
    assert resumed.seed == 7 and resumed.train_dataloader.sampler.seed == 7
    assert_same(*(load_checkpoint_file(tmp_path / name / 'iter_8.pth') for name in ('whole', 'parts')))


def test_two_runs_are_equal_and_another_seed_is_not(toy_config, tmp_path):
    config = toy_config(iters=3, interval=3)
    states = [run(config, tmp_path / name, **{'randomness.seed': seed}).model.state_dict()
              for name, seed in (('a', 0), ('b', 0), ('c', 1))]
    same = [all(torch.equal(value, other[key]) for key, value in states[0].items()) for other in states[1:]]
    assert same == [True, False]


def test_resume_takes_the_newest_readable_checkpoint_and_names_the_others(toy_config, tmp_path):
    config = toy_config()
    run(config, tmp_path / 'w', stop=6)
    newest = tmp_path / 'w/iter_6.pth'
    newest.write_bytes(newest.read_bytes()[:5000])
    (tmp_path / 'w/last_checkpoint').write_text('')  # as a kill during a plain write leaves it
    resumed = run(config, tmp_path / 'w', resume=True)
    log = next(iter(sorted((tmp_path / 'w').glob('*/*.log'))[::-1])).read_text()
    assert resumed.iter == 8
    assert 'Skipped iter_6.pth: ' in log and 'iter_6.pth is truncated or not a checkpoint' in log
    assert 'iter_4.pth; skipped, unreadable: iter_6.pth.' in log


def test_no_readable_checkpoint_at_all(toy_config, tmp_path):
    (tmp_path / 'w').mkdir()
    (tmp_path / 'w/iter_2.pth').write_bytes(b'')
    with pytest.raises(RuntimeError, match=r'None of the checkpoints in .*w can be read \(iter_2.pth\); move them away '
                                           r'and start again without --resume\.'):
        run(toy_config(), tmp_path / 'w', resume=True)


def test_validation_lost_at_the_resumed_iteration_is_made_up(toy_config, tmp_path):
    config = toy_config(val_interval=4)
    run(config, tmp_path / 'w', stop=4)
    for result in (tmp_path / 'w').glob('*/vis_data/*.json'):
        result.unlink()
    resumed = run(config, tmp_path / 'w', resume=True)
    steps = resumed.message_hub.get_scalar('val/mIoU').data[0]
    assert len(steps) == 2  # at 4, made up, and at 8


def test_batch_sizes_of_loader_and_sampler_must_agree(toy_config, tmp_path):
    with pytest.raises(ValueError, match=r'^train_dataloader.batch_size is 6, but train_dataloader.sampler.batch_size '
                                         r'is 4; set both to the same number of images\.$'):
        run(toy_config(), tmp_path / 'w', **{'train_dataloader.batch_size': 6})


def test_methods_know_the_length_of_an_epoch(toy_config, tmp_path):
    runner = run(toy_config(iters=1), tmp_path / 'w')
    assert runner.message_hub.get_info('iters_per_epoch') == 5  # 9 plain images, 2 an iteration


def test_weights_of_another_network_are_refused(toy_config, tmp_path):
    config = toy_config()
    done = run(config, tmp_path / 'first', stop=1)
    state = done.model.state_dict()
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict={f'other.{key}': value for key, value in state.items()}), path)
    with pytest.raises(CheckpointError, match=r'other.pth fits nothing of the network: it has other\..*init_cfg=dict'):
        run(config, tmp_path / 'second', load_from=str(path), stop=1)
    key, value = next(iter(state.items()))
    torch.save(dict(state_dict={key: torch.full_like(value, 0.25), 'other.key': value}), path)
    runner = build(config, tmp_path / 'third', load_from=str(path))
    runner.load_or_resume()  # one weight that fits is enough: heads are replaced that way
    assert torch.equal(runner.model.state_dict()[key], torch.full_like(value, 0.25))
