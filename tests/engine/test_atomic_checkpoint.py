"""A kill at any moment leaves complete checkpoints only, and the run goes on from the newest."""
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.engine.hooks.atomic_checkpoint_hook import AtomicLocalBackend, write_atomically
from mmseg_weak.engine.runner import resumable_checkpoints

# a writer that says on stdout when it is in the middle of the bytes of a file, so that a kill can hit just then
SLOW_DISK = '''
import builtins, sys, time
from mmseg_weak.engine.hooks import atomic_checkpoint_hook as hook
real = builtins.open

class Slow:
    def __init__(self, handle): self.handle = handle
    def __enter__(self): return self
    def __exit__(self, *args): self.handle.close()
    def __getattr__(self, name): return getattr(self.handle, name)
    def write(self, data):
        half = len(data) // 2
        self.handle.write(data[:half]); self.handle.flush()
        print('WRITING', flush=True); time.sleep(0.4)
        self.handle.write(data[half:])

def slow(path, mode='r', *args, **kwargs):
    handle = real(path, mode, *args, **kwargs)
    return Slow(handle) if 'wb' in mode and 'iter_' in str(path) else handle

hook.open = slow
import mmengine.fileio.backends.local_backend as stock
stock.open = slow
from mmseg_weak.apis.train import train
train(sys.argv[1], work_dir=sys.argv[2], resume=True)
print('DONE', flush=True)
'''


def test_write_atomically_leaves_old_or_new(tmp_path):
    path = tmp_path / 'f'
    write_atomically(b'old', path)

    with pytest.raises(TypeError):
        write_atomically(object(), path)
    assert path.read_bytes() == b'old' and [p.name for p in tmp_path.iterdir()] == ['f']
    write_atomically(b'new', path)
    assert path.read_bytes() == b'new'


def test_removals_wait_for_the_end_and_are_dropped_on_an_error(tmp_path):
    backend = AtomicLocalBackend()
    for name in 'ab':
        (tmp_path / name).write_bytes(b'')
    with backend.removals_last():
        backend.remove(tmp_path / 'a')
        assert (tmp_path / 'a').exists()
    assert not (tmp_path / 'a').exists()
    with pytest.raises(OSError, match='disk full'), backend.removals_last():
        backend.remove(tmp_path / 'b')
        raise OSError('disk full')
    assert (tmp_path / 'b').exists()


def _kill_while_writing(process, count: int) -> bool:
    """Send SIGKILL in the middle of the count-th checkpoint; False where the run ended before."""
    seen = 0
    for line in process.stdout:
        seen += line.startswith('WRITING')
        if seen == count:
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
    process.wait()
    return False


@pytest.mark.slow
def test_kills_while_writing_break_nothing(toy_config, tmp_path, run_python):
    config = toy_config(iters=6, interval=1).read_text()
    (tmp_path / 'kept.py').write_text(config.replace('max_keep_ckpts=-1', 'max_keep_ckpts=2'))
    (tmp_path / 'script.py').write_text(SLOW_DISK)
    arguments = tmp_path / 'script.py', tmp_path / 'kept.py', tmp_path / 'w'
    reached = []
    for count in (1, 2, 3):
        assert _kill_while_writing(run_python(*arguments, start_only=True), count)
        files = resumable_checkpoints(tmp_path / 'w')
        for path in files:  # every file that bears a checkpoint's name is a whole checkpoint
            assert load_checkpoint_file(path)['meta']['iter'] == int(path.stem.split('_')[1])
        if files:
            assert Path((tmp_path / 'w/last_checkpoint').read_text()) in files
        reached.append(max((int(path.stem.split('_')[1]) for path in files), default=0))
    assert reached == [0, 1, 3]  # nothing yet; one whole file; two more after going on from it
    process = run_python(*arguments, start_only=True)
    text = process.communicate(timeout=240)[0]
    assert process.returncode == 0 and 'DONE' in text and 'Resumed from' in text, text[-3000:]
    assert sorted(path.name for path in (tmp_path / 'w').glob('iter_*')) == ['iter_5.pth', 'iter_6.pth']

    whole = run_python(tmp_path / 'script.py', tmp_path / 'kept.py', tmp_path / 'whole')
    assert whole.returncode == 0, whole.stderr[-3000:]
    left, right = (load_checkpoint_file(tmp_path / name / 'iter_6.pth')['state_dict'] for name in ('w', 'whole'))
    assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_old_files_go_only_after_the_new_one_is_complete(tmp_path, monkeypatch):
    from collections import deque
    from types import SimpleNamespace

    from mmengine.logging import MessageHub

    from mmseg_weak.engine import AtomicCheckpointHook
    hook = AtomicCheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1)
    hook._atomic, hook.out_dir, hook.backend_args = True, str(tmp_path), dict(backend='weak_atomic')
    hook.file_backend, hook.keep_ckpt_ids = AtomicLocalBackend(), deque([1], 1)
    (tmp_path / 'iter_1.pth').write_bytes(b'old')

    def full_disk(*args, **kwargs):
        raise OSError('No space left on device')
    hub = MessageHub.get_instance('full_disk')
    runner = SimpleNamespace(work_dir=str(tmp_path), save_checkpoint=full_disk, message_hub=hub)
    with pytest.raises(OSError, match='No space left'):
        hook._save_checkpoint_with_step(runner, 2, {})
    assert (tmp_path / 'iter_1.pth').read_bytes() == b'old' and not (tmp_path / 'last_checkpoint').exists()
    runner.save_checkpoint = lambda folder, name, **kwargs: Path(folder, name).write_bytes(b'new')
    hook.keep_ckpt_ids = deque([1], 1)
    hook._save_checkpoint_with_step(runner, 2, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ['iter_2.pth', 'last_checkpoint']
    assert hub.get_info('stale_ckpt_ids') == [1]  # in the new file, should a kill come before the removal
