"""Small helpers that models of several kinds share."""
from .modes import eval_mode
from .progress import current_iter, iters_per_epoch, max_iters, progress

__all__ = ['current_iter', 'eval_mode', 'iters_per_epoch', 'max_iters', 'progress']
