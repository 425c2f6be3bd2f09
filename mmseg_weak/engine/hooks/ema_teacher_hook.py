"""Keeps an EMA teacher in step with its student."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers import EMATeacher

__all__ = ['EMATeacherHook']


@HOOKS.register_module()
class EMATeacherHook(Hook):
    """Start ``model.teacher`` before training and update it after every optimizer step.

    The contract (momentum, warm-up, buffers, mode) is the teacher's own, see :class:`EMATeacher`; its state is in the
    model's state dict, so this hook has none. Methods whose teacher moves at another moment override the model's
    ``update_teacher``, which is what this hook calls.

    Args:
        update: whether to update after each iteration, or only to start the teacher.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, update: bool = True) -> None:
        self.update = update

    def before_train(self, runner) -> None:
        """Give the teacher its first copy, after weights were initialised or loaded.

        Raises:
            ConfigError: the model has no EMA teacher.
        """
        model = _unwrap(runner.model)
        if not isinstance(getattr(model, 'teacher', None), EMATeacher):
            raise ConfigError(f'EMATeacherHook stands in custom_hooks, but {type(model).__name__} has no EMA teacher: '
                              'take the hook out, or set model.teacher=dict(momentum=...).')
        model.teacher.start(model.student)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """One step of the average."""
        if self.update:
            model = _unwrap(runner.model)
            model.update_teacher()


def _unwrap(model):
    return model.module if is_model_wrapper(model) else model
