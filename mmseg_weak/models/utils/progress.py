"""Where a run stands, read from mmengine's MessageHub.

Models take schedules from here instead of counting steps: a count in the model would be lost by ``resume`` or
would have to be a buffer of every method.
"""
from mmengine.logging import MessageHub

from mmseg_weak.errors import ConfigError

__all__ = ['current_iter', 'iters_per_epoch', 'max_iters', 'progress']


def _info(key: str, default: int | None) -> int | None:
    value = MessageHub.get_current_instance().get_info(key, default)
    return default if value is None else int(value)


def current_iter() -> int:
    """Index of the running iteration, from 0; 0 outside a run."""
    return _info('iter', 0)


def max_iters() -> int | None:
    """Length of the run in iterations; None outside a run."""
    return _info('max_iters', None)


def iters_per_epoch() -> int:
    """Iterations of one pass over the unlabelled list.

    Raises:
        ConfigError: where the training loop did not say it.
    """
    length = _info('iters_per_epoch', None)
    if not length:
        raise ConfigError(
            "This method's schedule counts epochs over the unlabelled list, and the training loop did not say how long "
            "one is; set train_cfg=dict(type='WeakIterTrainLoop', ...) and train_dataloader.sampler.type="
            "'MultiSourceSampler', or give the method its own `iters_per_epoch`.")
    return length


def progress() -> float:
    """Share of the run that is done, in [0, 1); 0 outside a run."""
    total = max_iters()
    return min(current_iter() / total, 1.0) if total else 0.0
