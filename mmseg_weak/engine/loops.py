"""A training loop that enters a run anywhere without loading what was already seen."""
import bisect
from typing import Any, Optional, Union

from mmengine.logging import print_log
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from mmengine.runner.utils import calc_dynamic_intervals
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from mmseg_weak.errors import ConfigError

__all__ = ['WeakIterTrainLoop']


class _Restarting:
    """Batches without end: starts a finite loader again, telling its sampler the epoch."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.epoch = 0
        self._iterator: Any = None

    def __next__(self) -> Any:
        if self._iterator is None:  # only now do workers start, so that skip() comes before the first index
            self._iterator = iter(self.loader)
        try:
            return next(self._iterator)
        except StopIteration:
            self.epoch += 1
            if hasattr(self.loader.sampler, 'set_epoch'):
                self.loader.sampler.set_epoch(self.epoch)
            self._iterator = iter(self.loader)
            return next(self._iterator)


@LOOPS.register_module()
class WeakIterTrainLoop(IterBasedTrainLoop):
    """mmengine's iteration loop with an exact and immediate resume.

    On resume it calls the sampler's ``skip(n)`` instead of loading n samples again, and first makes up a validation
    that was due at the resumed iteration (a checkpoint is written before the validation of the same iteration, so a
    kill between them would lose it). It tells methods how long an epoch is (``iters_per_epoch`` in the MessageHub).

    Args:
        runner: the runner.
        dataloader: the training loader or its config.
        max_iters: iterations of the run.
        val_begin: first iteration at which a validation may take place.
        val_interval: iterations between two validations.
        dynamic_intervals: ``(milestone, interval)`` pairs that change ``val_interval`` on the way.

    Raises:
        ConfigError: the loader's and the sampler's batch size differ, or max_iters is not a positive whole number.
    """

    def __init__(self,
                 runner: Any,
                 dataloader: Union[DataLoader, dict],
                 max_iters: int,
                 val_begin: int = 1,
                 val_interval: int = 1000,
                 dynamic_intervals: Optional[list[tuple[int, int]]] = None) -> None:
        BaseLoop.__init__(self, runner, dataloader)  # the parent's own __init__ starts workers before a resume
        if int(max_iters) != max_iters or max_iters < 1:
            raise ConfigError(f'train_cfg.max_iters is {max_iters}; give a positive whole number of iterations.')
        if int(val_interval) != val_interval or val_interval < 1:
            raise ConfigError(f'train_cfg.val_interval is {val_interval}; give a positive whole number of iterations.')
        self._max_iters = int(max_iters)
        self._max_epochs = 1
        self._epoch = 0
        self._iter = 0
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.stop_training = False
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)
        self.sampler = self.dataloader.sampler
        self._check_batch_size()
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self.dataloader_iterator = _Restarting(self.dataloader)

    def _check_batch_size(self) -> None:
        loader = self.dataloader.batch_size
        if not hasattr(self.sampler, 'skip') or loader is None:
            return
        sampler = getattr(self.sampler, 'batch_size', None)
        if sampler is None:
            self.sampler.batch_size = loader
        elif sampler != loader:
            raise ConfigError(f'train_dataloader.batch_size is {loader}, but train_dataloader.sampler.batch_size is '
                              f'{sampler}; set both to the same number of images.')

    def run(self) -> Any:
        """Train from the current iteration to the last."""
        length = getattr(self.sampler, 'iters_per_epoch', None)
        self.runner.message_hub.update_info('iters_per_epoch', int(length) if length else 0)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self._iter > 0:
            self._catch_up()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._maybe_validate()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _catch_up(self) -> None:
        """Go on where the checkpoint was written: data first, then a validation that was due there."""
        if hasattr(self.sampler, 'skip'):
            self.sampler.skip(self._iter * self.dataloader.batch_size)
        else:
            print_log(f'{type(self.sampler).__name__} cannot skip: {self._iter} batches are loaded again and thrown '
                      'away. MultiSourceSampler and RunSampler resume at once.', logger='current', level=30)
            for _ in range(self._iter):
                next(self.dataloader_iterator)
        if self.runner.message_hub.get_info('last_val_iter', -1) != self._iter:
            self._maybe_validate()

    def _maybe_validate(self) -> None:
        step = bisect.bisect(self.dynamic_milestones, self._iter + 1)
        self.val_interval = self.dynamic_intervals[step - 1]
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
            self.runner.message_hub.update_info('last_val_iter', self._iter)
            self.runner.val_loop.run()
