"""Checkpoints that are complete or not there at all."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmseg.registry import HOOKS

__all__ = ['AtomicCheckpointHook', 'AtomicLocalBackend', 'write_atomically']

_PART = '.part'


def write_atomically(data: bytes, path: str | os.PathLike) -> None:
    """Put bytes into a file so that a kill at any moment leaves the old file or the new one, never a piece.

    Args:
        data: the whole content.
        path: file to write; its folder is made where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}{_PART}')
    try:
        with open(part, 'wb') as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    if os.name == 'posix':  # the rename itself has to reach the disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class AtomicLocalBackend(LocalBackend):
    """mmengine's local files with atomic writes, and removals that can wait."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._waiting: list[str] | None = None

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write atomically; removals go on waiting until :meth:`removals_last` ends."""
        write_atomically(bytes(obj), filepath)

    def remove(self, filepath: str | Path) -> None:
        """Remove now, or later inside :meth:`removals_last`."""
        if self._waiting is None:
            super().remove(filepath)
        else:
            self._waiting.append(str(filepath))

    @contextmanager
    def removals_last(self) -> Iterator[None]:
        """Hold removals back until the block has ended without an error."""
        self._waiting = []
        try:
            yield
            for path in self._waiting:
                Path(path).unlink(missing_ok=True)
        finally:
            self._waiting = None


register_backend('weak_atomic', AtomicLocalBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` with writes that a kill cannot break; same arguments.

    Every file (also ``last_checkpoint`` and the best one) is written beside its place, synced to disk and renamed. Old
    checkpoints go only after the new one is complete; if the run is killed between the two, the resumed run removes
    them. Remote backends write whole objects already and are left as they are.
    """

    def before_train(self, runner: Any) -> None:
        """Choose the atomic backend for local folders and clear what a kill has left behind."""
        folder = self.out_dir or runner.work_dir
        self._atomic = (self.backend_args is None and self.file_client_args is None
                        and type(get_file_backend(folder)) is LocalBackend)
        if self._atomic:
            self.backend_args = dict(backend='weak_atomic')
        super().before_train(runner)
        if self._atomic and is_main_process():
            stale = runner.message_hub.get_info('stale_ckpt_ids', []) if self.max_keep_ckpts > 0 else []
            for step in stale:
                if step not in self.keep_ckpt_ids:
                    Path(self.out_dir, self.filename_tmpl.format(step)).unlink(missing_ok=True)
            for part in Path(self.out_dir).glob(f'*.pth.*{_PART}'):
                part.unlink(missing_ok=True)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        if not self._atomic:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated = []
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = [self.keep_ckpt_ids.popleft()]
            self.keep_ckpt_ids.append(step)
            # both lists travel in the new checkpoint: what a kill leaves behind, the resumed run removes
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
            runner.message_hub.update_info('stale_ckpt_ids', outdated)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(self.out_dir, name, save_optimizer=self.save_optimizer,
                               save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                               backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_atomically(str(self.last_ckpt).encode(), Path(runner.work_dir, 'last_checkpoint'))
            for old in outdated:
                Path(self.out_dir, self.filename_tmpl.format(old)).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        if not self._atomic:
            super()._save_best_checkpoint(runner, metrics)
            return
        with self.file_backend.removals_last():
            super()._save_best_checkpoint(runner, metrics)
