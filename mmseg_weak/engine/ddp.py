"""Data parallel training that also runs on CPUs and lets a method own its step."""
from typing import Any, Optional

import torch
import torch.distributed as torch_dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmseg.registry import MODEL_WRAPPERS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ['WeakDDP']


@MODEL_WRAPPERS.register_module()
class WeakDDP(MMDistributedDataParallel):
    """mmengine's wrapper without ``device_ids`` on CPU.

    A model with ``train_step_through(forward, data, optim_wrapper)`` keeps its own step: ``forward(data, mode)`` runs
    the model through this wrapper, so that gradients are averaged.

    Statistics of plain BN layers are averaged over the ranks after each step, so that student and teacher are the same
    on all of them (SyncBN needs no such thing, and there is none on CPU).

    Args:
        module: the model.
        device_ids: as the runner gives it; dropped where there is no CUDA.
        broadcast_buffers: whether rank 0 overwrites the buffers of the others at every forward; mmengine's default is
            no.
    """

    def __init__(self, module: nn.Module, device_ids: Optional[list[int]] = None, broadcast_buffers: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(module=module, device_ids=device_ids if torch.cuda.is_available() else None,
                         broadcast_buffers=broadcast_buffers, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One step of the model, its own (``train_step_through``) where it has one."""
        through = getattr(self.module, 'train_step_through', None)
        if through is None:
            log_vars = super().train_step(data, optim_wrapper)
        else:
            log_vars = through(self._run_forward, data, optim_wrapper)
        self._average_norm_statistics()
        return log_vars

    @torch.no_grad()
    def _average_norm_statistics(self) -> None:
        statistics = [buffer for layer in self.module.modules()
                      if isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm)
                      for buffer in (layer.running_mean, layer.running_var) if buffer is not None]
        world = torch_dist.get_world_size(self.process_group)
        if not statistics or world == 1:
            return
        flat = torch.cat([buffer.reshape(-1).float() for buffer in statistics])
        torch_dist.all_reduce(flat, group=self.process_group)
        flat /= world
        parts = flat.split([buffer.numel() for buffer in statistics])
        for buffer, part in zip(statistics, parts):
            buffer.copy_(part.view_as(buffer))
