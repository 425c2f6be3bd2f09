"""Refuses a checkpoint that was trained on other classes."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmseg.registry import HOOKS

from mmseg_weak.errors import CheckpointError

__all__ = ['ClassListHook']


@HOOKS.register_module()
class ClassListHook(Hook):
    """Compare the classes in a checkpoint with those of the dataset, when testing and resuming.

    mmengine loads a checkpoint of another class list with a warning and evaluates a head that was never trained.
    Fine-tuning (``load_from`` in training) is left alone.
    """

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Check before the weights are put into the model.

        Raises:
            CheckpointError: the lists differ.
        """
        training = isinstance(runner._train_loop, BaseLoop)
        if training and not runner._resume:
            return
        loop = next((each for each in (runner._train_loop, runner._test_loop, runner._val_loop)
                     if isinstance(each, BaseLoop)), None)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        written = list(((meta or {}).get('dataset_meta') or {}).get('classes') or [])
        here = list((getattr(loop.dataloader.dataset, 'metainfo', None) or {}).get('classes') or []) if loop else []
        if written and here and written != here:
            raise CheckpointError(
                f'The checkpoint was trained on {len(written)} classes ({_short(written)}), the dataset of this config '
                f'has {len(here)} ({_short(here)}); use the config it was trained with, or give the dataset the same '
                'classes in the same order (metainfo=dict(classes=...)).')


def _short(names: list[str], count: int = 4) -> str:
    return ', '.join(map(str, names[:count])) + (', ...' if len(names) > count else '')
