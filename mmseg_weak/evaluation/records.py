"""Where and under which name an evaluation writes its record."""
from pathlib import Path

import numpy as np
from mmengine.logging import MessageHub, MMLogger

__all__ = ['finite', 'moment', 'work_dir']


def finite(value: float) -> float | None:
    """A float for JSON; None for NaN, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


def moment() -> tuple[str, int | None]:
    """Name of the evaluation now running, and the iteration if it belongs to a training run."""
    hub = MessageHub.get_current_instance()
    stage = hub.get_info('loop_stage') if 'loop_stage' in hub.runtime_info else None
    step = int(hub.get_info('iter')) + 1 if 'iter' in hub.runtime_info else None  # the hub counts from 0
    if stage == 'test':
        return 'test', step
    return ('val', None) if step is None else (f'iter_{step}', step)


def work_dir() -> Path:
    """The run's work_dir: the logger writes <work_dir>/<timestamp>/<timestamp>.log."""
    log_file = getattr(MMLogger.get_current_instance(), 'log_file', None)
    return Path(log_file).parent.parent if log_file else Path('.')
