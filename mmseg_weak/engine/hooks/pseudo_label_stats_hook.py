"""Writes what the pseudo labels look like to the log."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS

from mmseg_weak.models.teachers import PseudoLabelMonitor

__all__ = ['PseudoLabelStatsHook']


@HOOKS.register_module()
class PseudoLabelStatsHook(Hook):
    """Log share of pixels kept, mean confidence and (with ``diagnose``) accuracy, in all and per class.

    Scalars go to the visualizer (``vis_data/scalars.json``) as ``pseudo/kept``, ``pseudo/conf/<class>``, ...; the text
    log gets one line. Counts between two writes are in no checkpoint: a resumed run starts its current window anew.

    Args:
        interval: iterations between two writes. names: classes named in the text line, those least kept first.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 50, names: int = 5) -> None:
        self.interval, self.names = interval, names

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Every ``interval`` iterations and at the last one."""
        step = runner.iter + 1
        if step % self.interval and step != runner.max_iters:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        monitor = getattr(model, 'monitor', None)
        if not isinstance(monitor, PseudoLabelMonitor):
            return
        scalars = monitor.summary(list(self._classes(runner, monitor.num_classes)))
        if not scalars:
            return
        runner.visualizer.add_scalars(scalars, step=step)
        rows = sorted((v, k.split('/', 2)[2]) for k, v in scalars.items() if k.startswith('pseudo/kept/'))
        least = ', '.join(f'{name} {v:.0%}' for v, name in rows[:self.names])
        line = f"pseudo labels: kept {scalars['pseudo/kept']:.1%}, confidence {scalars['pseudo/conf']:.3f}"
        if 'pseudo/acc' in scalars:
            line += f", accuracy of the kept {scalars['pseudo/acc']:.1%} (diagnose)"
        runner.logger.info(f'{line}; least kept: {least}')

    @staticmethod
    def _classes(runner, count: int) -> list[str]:
        meta = getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}
        return meta.get('classes') or [str(i) for i in range(count)]
