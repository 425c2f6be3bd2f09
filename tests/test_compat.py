"""What compat.py promises: safe files, clear sentences, nothing installed."""
import hashlib
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseg_weak import compat
from mmseg_weak.errors import CheckpointError

pytestmark = pytest.mark.smoke


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run_python():
    """Function that runs Python in a fresh interpreter that finds the package."""
    def run(*args):
        env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
        return subprocess.run([sys.executable, *map(str, args)], env=env, capture_output=True, text=True, timeout=240)
    return run


class _Runs:
    """Pickles to a call of ``os.system`` that leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f'touch {self.marker}',)


class _Getattr:
    """Pickles to ``getattr(HistoryBuffer.mean, '__globals__')``: the way into a module that the forks leave open."""

    def __reduce__(self) -> tuple:
        from mmengine.logging import HistoryBuffer
        return getattr, (HistoryBuffer.mean, '__globals__')


def _save(obj: object, path: Path) -> Path:
    torch.save(dict(state_dict={}, meta=obj), path)
    return path


def test_system_pickle_is_refused(tmp_path):
    path = _save(_Runs(tmp_path / 'ran'), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match=r'evil\.pth is not a plain checkpoint and was not loaded, because '
                                              r'reading it '
                                              r'would run code that it brings along \(.*posix\.system.*\); use a file '
                                              r'from a source you trust that holds tensors and plain values only\.$'):
        compat.load_checkpoint_file(path)
    assert not (tmp_path / 'ran').exists()


def test_weights_only_cannot_be_switched_off(tmp_path):
    path = _save(_Runs(tmp_path / 'ran'), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match='would run code'):
        compat.load_checkpoint_file(path, weights_only=False)
    assert not (tmp_path / 'ran').exists()


def test_getattr_pickle_is_refused(tmp_path):
    from mmengine.logging import HistoryBuffer
    path = _save(_Getattr(), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match=r'evil\.pth is not a plain checkpoint.*__globals__'):
        compat.load_checkpoint_file(path)
    assert compat._history_buffer_method(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in ((HistoryBuffer, '__init__'), (HistoryBuffer, '__globals__'), (dict, 'min'), (os, 'system')):
        with pytest.raises(pickle.UnpicklingError):
            compat._history_buffer_method(owner, name)


def test_what_mmengine_writes_is_read(tmp_path):
    import numpy as np
    from mmengine.logging import MessageHub
    hub = MessageHub.get_instance('written')
    hub.update_scalar('train/loss', 0.5)
    hub.update_info('array', np.arange(3))
    hub.update_info('scalar', np.float32(2))
    path = tmp_path / 'good.pth'
    torch.save(dict(message_hub=hub.state_dict(), counts=np.ones(2, dtype=np.int64)), path)
    read = compat.load_checkpoint_file(path)
    assert read['message_hub']['log_scalars']['train/loss'].mean() == 0.5
    assert read['counts'].tolist() == [1, 1]


@pytest.mark.parametrize('keep', [0, 10, 2000, -10])
def test_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / 'cut.pth'
    torch.save(dict(state_dict=dict(a=torch.rand(40, 40))), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r'cut\.pth is truncated or not a checkpoint \(.*\); delete it and use an '
                                              r'older one, or download it again\.$'):
        compat.load_checkpoint_file(path)


def test_mmengines_own_loader_uses_ours(tmp_path):
    from mmengine.runner.checkpoint import CheckpointLoader
    path = _save(_Runs(tmp_path / 'ran'), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match='would run code'):
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    assert not (tmp_path / 'ran').exists()


def test_downloaded_file_must_have_the_hash_in_its_name(tmp_path):
    good = tmp_path / 'source.pth'
    torch.save(dict(state_dict={}), good)
    digest = hashlib.sha256(good.read_bytes()).hexdigest()[:8]
    named = tmp_path / f'net-{digest}.pth'
    named.write_bytes(good.read_bytes())
    assert compat._load_url(named.as_uri(), model_dir=str(tmp_path / 'cache')) == dict(state_dict={})
    wrong = tmp_path / 'net-00000000.pth'
    wrong.write_bytes(good.read_bytes())
    with pytest.raises(CheckpointError, match=rf'net-00000000\.pth \(from .*\) has the SHA-256 {digest}.*but its name '
                                              r'says 00000000; delete the file and download it again'):
        compat._load_url(wrong.as_uri(), model_dir=str(tmp_path / 'cache'))


def test_a_missing_op_says_so_when_it_is_called():
    if importlib.util.find_spec('mmcv._ext').loader is not None:
        pytest.skip('this mmcv has compiled ops')
    from mmcv.ops import nms
    boxes = torch.tensor([[0., 0, 1, 1], [0, 0, 2, 2]])
    with pytest.raises(RuntimeError, match=r'^nms is a compiled op of mmcv, and this mmcv was installed without its '
                                           r'ops '):
        nms(boxes, torch.tensor([0.5, 0.4]), 0.3)
    assert not hasattr(sys.modules['mmcv._ext'], '__path__')


NO_PIP = '''
import sys
def watch(event, arguments):
    if event in ('subprocess.Popen', 'os.system', 'os.posix_spawn', 'os.exec') and 'pip' in str(arguments):
        raise AssertionError(f'something wanted to run {arguments}')
sys.addaudithook(watch)
import mmseg_weak
from mmengine.hub import get_config
print('MMSEG', get_config('mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py').model.type)
from mmseg_weak.apis.config import load_config
print('OURS', load_config(sys.argv[1]).model.decode_head.type)
'''


def test_nothing_is_installed_with_pip_blocked(tmp_path, run_python):
    user = tmp_path / 'user.py'
    user.write_text("_base_ = ['mmseg::_base_/models/fcn_unet_s5-d16.py', 'mmseg_weak::_base_/default_runtime.py']\n")
    script = tmp_path / 'script.py'
    script.write_text(NO_PIP)
    done = run_python(script, user)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'MMSEG EncoderDecoder' in done.stdout and 'OURS FCNHead' in done.stdout


NO_STACK = '''
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name in ('mmengine', 'mmcv', 'mmseg') else real(name, *args)
import mmseg_weak
'''


def test_without_a_stack_it_says_how_to_get_one(run_python):
    done = run_python('-c', NO_STACK)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and 'mmseg_weak needs mmengine, mmcv, mmseg, which this Python (' in last
    assert 'pip install onedl-mmengine onedl-mmcv onedl-mmsegmentation onedl-mmpretrain' in last


def test_names_of_distributions_follow_the_stack():
    from mmengine.config.utils import MODULE2PACKAGE
    expected = dict(maintained='onedl-mmsegmentation', official='mmsegmentation')[compat.STACK]
    assert compat.distribution_of('mmseg') == MODULE2PACKAGE['mmseg'] == expected
    assert MODULE2PACKAGE['mmseg_weak'] == 'mmseg_weak'
