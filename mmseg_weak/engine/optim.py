"""Mixed precision where there is no GPU too."""
from typing import Any, Optional, Union

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS

from mmseg_weak.errors import ConfigError

__all__ = ['WeakAmpOptimWrapper']


@OPTIM_WRAPPERS.register_module()
class WeakAmpOptimWrapper(AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper``, and bfloat16 on CPU, where that one refuses to start.

    bfloat16 has float32's range, so no loss is scaled on CPU; the scaler is there, switched off, and checkpoints of
    both machines can be read on either.

    Args:
        loss_scale: as for ``AmpOptimWrapper``; without effect on CPU.
        dtype: ``'float16'`` or ``'bfloat16'``; None is float16 on GPU and bfloat16 on CPU.
        **kwargs: passed on to ``OptimWrapper`` (``optimizer``, ``clip_grad``, ``accumulative_counts``).

    Raises:
        ConfigError: another dtype than bfloat16 on CPU.
    """

    def __init__(self, loss_scale: Union[str, float, dict] = 'dynamic', dtype: Optional[Union[str, torch.dtype]] = None,
                 **kwargs: Any) -> None:
        if torch.cuda.is_available():
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            return
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise ConfigError(f'optim_wrapper.dtype={dtype!r} needs a GPU; on CPU use \'bfloat16\', or '
                              'type=\'OptimWrapper\' for full precision.')
        OptimWrapper.__init__(self, **kwargs)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self.cast_dtype = torch.bfloat16
