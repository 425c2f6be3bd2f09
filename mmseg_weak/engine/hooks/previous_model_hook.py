"""Keeps the students that validation liked best so far."""
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS

from mmseg_weak.errors import ConfigError, near

__all__ = ['PreviousModelHook']


@HOOKS.register_module()
class PreviousModelHook(Hook):
    """After each validation, let the model remember its student if the score is a new best (PrevMatch).

    The list and the best score are in the model's state dict, so this hook has no state.

    Args:
        metric: name of the score, larger is better.
        base_only_epoch: earlier epochs set the record but are not remembered. VOC, Cityscapes 0; ADE20K, COCO 5.
    """

    def __init__(self, metric: str = 'mIoU', base_only_epoch: int = 0) -> None:
        self.metric, self.base_only_epoch = metric, base_only_epoch

    def before_train(self, runner) -> None:
        """Check that the model can remember.

        Raises:
            ConfigError: it cannot, or there is no validation.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, 'remember'):
            raise ConfigError(f'PreviousModelHook stands in custom_hooks, but {type(model).__name__} keeps no past '
                              "models; take the hook out or use model.type='PrevMatch'.")
        if runner.val_loop is None:
            raise ConfigError('PreviousModelHook chooses past models by their validation score, and the run has no '
                              'validation: set val_dataloader, val_cfg and val_evaluator.')

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Offer the student with its score.

        Raises:
            ConfigError: validation gives no score of that name.
        """
        if not runner._train_loop or not metrics:
            return
        if self.metric not in metrics:
            raise ConfigError(f'PreviousModelHook.metric is {self.metric!r} and validation gave {sorted(metrics)}. '
                              f'{near(self.metric, metrics)}')
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        epoch = runner.iter // model.epoch_length()
        if model.remember(float(metrics[self.metric]), epoch, self.base_only_epoch):
            print_log(f'Past models: {len(model.past)}, the newest with {self.metric} '
                      f'{float(metrics[self.metric]):.2f}.', logger='current')
