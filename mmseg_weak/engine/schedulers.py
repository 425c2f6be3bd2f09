"""Learning-rate schedules that mmengine does not have."""
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS

from mmseg_weak.errors import ConfigError

__all__ = ['WarmupPolyLR', 'warmup_poly_factor']


def warmup_poly_factor(step: int, max_iters: int, warmup_iters: int, warmup_ratio: float = 1e-6,
                       power: float = 0.9) -> float:
    """Factor of the base rate at a step, from 0.

    Linear from ``warmup_ratio`` during warm-up, then (1 - step / max_iters)^power, in which the warm-up is not
    subtracted; after the end it stays at the last value.

    Source: rulixiang/ToCo @ e13514d, utils/optimizer.py.
    """
    if step < warmup_iters:
        return 1 - (1 - step / warmup_iters) * (1 - warmup_ratio)
    return (1 - min(step, max_iters - 1) / max_iters) ** power


@PARAM_SCHEDULERS.register_module()
class WarmupPolyLR(LRSchedulerMixin, _ParamScheduler):
    """AFA's and ToCo's schedule: :func:`warmup_poly_factor` times each group's own rate.

    mmengine's LinearLR followed by PolyLR differs: it starts the decay when the warm-up ends.

    Args:
        optimizer: wrapper or optimizer.
        max_iters: length of the run. ToCo: 20,000 (VOC), 80,000 (COCO).
        warmup_iters: ToCo 1500.
        warmup_ratio: factor at step 0. ToCo 1e-6.
        power: ToCo 0.9.
        by_epoch: must stay False.
        last_step: step to go on from.
        verbose: print every change.
    """

    def __init__(self, optimizer, max_iters: int, warmup_iters: int = 1500, warmup_ratio: float = 1e-6,
                 power: float = 0.9, begin: int = 0, end: int = INF, by_epoch: bool = False, last_step: int = -1,
                 verbose: bool = False) -> None:
        if not 0 <= warmup_iters < max_iters:
            raise ConfigError(f'warmup_iters={warmup_iters} of WarmupPolyLR; give 0 or more, below '
                              f'max_iters={max_iters}.')
        if by_epoch:
            raise ConfigError('by_epoch=True of WarmupPolyLR; it counts iterations, leave it out.')
        self.max_iters, self.warmup_iters = max_iters, warmup_iters
        self.warmup_ratio, self.power = warmup_ratio, power
        super().__init__(optimizer, begin=begin, end=end, by_epoch=by_epoch, last_step=last_step, verbose=verbose)

    def _get_value(self) -> list[float]:
        factor = warmup_poly_factor(self.last_step, self.max_iters, self.warmup_iters, self.warmup_ratio, self.power)
        return [base * factor for base in self.base_values]
