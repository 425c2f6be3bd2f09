"""mmseg's own train.py and test.py, and ours, run our configs and refuse unsafe checkpoints."""
import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


class _Runs:
    """Pickles to a call of ``os.system`` that leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f'touch {self.marker}',)


class _Getattr:
    """Pickles to ``getattr(HistoryBuffer.mean, '__globals__')``, a way into a module."""

    def __reduce__(self) -> tuple:
        from mmengine.logging import HistoryBuffer
        return getattr, (HistoryBuffer.mean, '__globals__')


@pytest.mark.smoke
@pytest.mark.parametrize('evil', ['system', 'getattr'])
def test_stock_test_py_refuses(evil, tmp_path, toy_config, stock_tool, run_python):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, meta=_Runs(tmp_path / 'ran') if evil == 'system' else _Getattr()), path)
    done = run_python(stock_tool('test.py'), toy_config('supervised'), path, '--work-dir', tmp_path / 'w')
    assert done.returncode != 0 and not (tmp_path / 'ran').exists()
    assert f'CheckpointError: {path} is not a plain checkpoint and was not loaded' in done.stderr, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.smoke
def test_stock_train_and_test_run_our_configs(tmp_path, toy_config, stock_tool, run_python):
    config = toy_config(iters=2, interval=2)
    done = run_python(stock_tool('train.py'), config, '--work-dir', tmp_path / 'w')
    assert done.returncode == 0, done.stderr[-3000:]
    done = run_python(stock_tool('train.py'), config, '--work-dir', tmp_path / 'w', '--resume', '--cfg-options',
                      'train_cfg.max_iters=3')
    assert done.returncode == 0 and 'Resumed from' in done.stdout + done.stderr, done.stderr[-3000:]
    done = run_python(stock_tool('test.py'), config, tmp_path / 'w/iter_2.pth', '--work-dir', tmp_path / 't')
    assert done.returncode == 0 and 'mIoU' in done.stdout + done.stderr, done.stderr[-3000:]


def test_our_tools_answer_a_mistake_with_a_sentence_and_code_2(tmp_path, toy_config, run_python):
    done = run_python(ROOT / 'tools/test.py', toy_config(), tmp_path / 'none.pth')
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        f'Error: The checkpoint {tmp_path}/none.pth does not exist; give a .pth file of this config, for example the '
        'one that work_dir/last_checkpoint names.')


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, toy_config, stock_tool, run_python):
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=['x', 'y', 'z', 'u', 'v']))), path)
    done = run_python(stock_tool('test.py'), toy_config('supervised'), path, '--work-dir', tmp_path / 'w')
    assert ('CheckpointError: The checkpoint was trained on 5 classes (x, y, z, u, ...), the dataset of this config '
            'has 3 (a, b, c); use the config it was trained with') in done.stderr, done.stderr[-2000:]
