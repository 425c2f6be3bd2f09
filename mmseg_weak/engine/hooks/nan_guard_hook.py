"""Stops a run at the first loss that is not a number, before it reaches the weights."""
import json
import math
from pathlib import Path
from typing import Any, Optional

import torch
import torch.distributed as torch_dist
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmseg_weak.engine.capture import pack_batch
from mmseg_weak.errors import WeakError

from .atomic_checkpoint_hook import write_atomically

__all__ = ['NanGuardHook', 'NonFiniteLossError']

_LARGEST_COPIED = 1 << 16  # elements; larger buffers (memory banks) are not copied before each step


class NonFiniteLossError(WeakError, RuntimeError):
    """The loss became NaN or infinite; everything needed to replay the step is in ``nan_capture/``."""


@HOOKS.register_module()
class NanGuardHook(Hook):
    """Capture a step whose loss is NaN or infinite, and end the run before its gradients are applied.

    Written to ``work_dir/nan_capture/iter_<n>/``: ``report.json`` (losses, files of the batch, seed, rank),
    ``batch_rank<r>.pth`` (the batch as it left the workers) and ``state.pth`` (a checkpoint of the moment before the
    step, from which a run can also be resumed). ``mmseg_weak.engine.capture.replay`` runs the step again. Checkpoints
    of the run are left as they are.

    Cost: the loss is summed on the device and copied to the host without waiting; the value is read when the optimizer
    is about to step, while the backward pass is still being computed. Reading it then waits for the forward pass alone;
    mmengine itself reads every loss for its log a moment later, so the step has as many stalls as before. With several
    ranks one number more is reduced, since a NaN of one rank is in the averaged gradients of all.

    Where the model is compiled (``compile=True``), the loss is read from the log after the step.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._handles: list[Any] = []
        self._flag: Optional[Tensor] = None
        self._ready: Optional[Any] = None
        self._losses: dict[str, Any] = {}
        self._batch: Any = None
        self._runner: Any = None
        self._saved: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Any) -> None:
        """Watch what the model returns and every optimizer that is about to step."""
        self._runner = runner
        self._remove()
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        small = [buffer for buffer in model.buffers() if buffer.numel() <= _LARGEST_COPIED]
        self._saved = [(buffer, buffer.detach().clone()) for buffer in small]
        if runner.cfg.get('compile', False):
            return
        self._handles.append(runner.model.register_forward_hook(self._watch_losses))
        wrappers = runner.optim_wrapper
        for wrapper in wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]:
            self._handles.append(wrapper.optimizer.register_step_pre_hook(self._before_step))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Remember the batch and the small buffers (running statistics), which the forward pass changes."""
        self._batch, self._flag, self._losses = data_batch, None, {}
        if self._saved:
            live, copies = zip(*self._saved)
            torch._foreach_copy_(list(copies), list(live))

    @torch.no_grad()
    def _watch_losses(self, module: nn.Module, args: Any, output: Any) -> None:
        if not isinstance(output, dict):
            return
        losses = {name: value for name, value in output.items() if 'loss' in name}
        values = [v.detach().float().sum() for value in losses.values()
                  for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, Tensor)]
        if not values:
            return
        self._losses.update(losses)
        broken = (~torch.isfinite(torch.stack(values))).any().float()
        if get_world_size() > 1:
            torch_dist.all_reduce(broken, torch_dist.ReduceOp.MAX)
        broken = broken if self._flag is None else torch.maximum(broken, self._flag.to(broken.device))
        if broken.is_cuda:
            self._flag = torch.empty((), pin_memory=True).copy_(broken, non_blocking=True)
            self._ready = torch.cuda.Event()
            self._ready.record()
        else:
            self._flag = broken

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._flag is None:
            return
        if self._ready is not None:
            self._ready.synchronize()
        broken, self._flag, self._ready = bool(self._flag), None, None
        if broken:
            self._stop(applied=False)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Second look, at the logged loss: for compiled models, and steps that a GradScaler left out."""
        loss = (outputs or {}).get('loss')
        if loss is not None and not math.isfinite(_number(loss)):
            self._losses = self._losses or dict(outputs)
            self._stop(applied=True)
        self._batch = None

    def after_run(self, runner: Any) -> None:
        """Take the watchers off."""
        self._remove()

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _stop(self, applied: bool) -> None:
        runner, step, rank = self._runner, self._runner.iter, get_rank()
        folder = Path(runner.work_dir, 'nan_capture', f'iter_{step}')
        folder.mkdir(parents=True, exist_ok=True)
        if not applied:
            with torch.no_grad():
                for live, copy in self._saved:
                    live.copy_(copy)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        sick = [name for name, value in model.state_dict().items()
                if value.is_floating_point() and not bool(torch.isfinite(value).all())]
        packed, files = pack_batch(self._batch)
        torch.save(packed, folder / f'batch_rank{rank}.pth')
        losses = {name: _number(value) for name, value in self._losses.items()}
        report = dict(iteration=step, rank=rank, world_size=get_world_size(), losses=losses, files=files,
                      seed=getattr(runner, 'base_seed', runner.seed), step_applied=applied,
                      non_finite_before_the_step=[] if applied else sick[:20], config=runner.cfg.filename)
        name = 'report.json' if rank == 0 else f'report_rank{rank}.json'
        write_atomically(json.dumps(report, indent=1).encode(), folder / name)
        runner.save_checkpoint(str(folder), 'state.pth', meta=dict(epoch=runner.epoch, iter=step), by_epoch=False)
        last = Path(runner.work_dir, 'last_checkpoint')
        good = Path(last.read_text().strip()).name if last.is_file() else None
        shown = ', '.join(f'{key}={value:.4g}' for key, value in losses.items())
        if applied:
            state = 'the optimizer had already stepped'
        elif sick:
            state = f'{len(sick)} tensors of the model were not finite before it (first: {sick[0]})'
        else:
            state = 'the weights are as they were before the step'
        raise NonFiniteLossError(
            f'The loss is not finite at iteration {step} ({shown}); {state}. The batch, its files, the losses and the '
            f'state are in {folder}; '
            + (f'the last good checkpoint is {good}. ' if good else 'no checkpoint was written yet. ')
            + 'Look at the files in report.json, or resume with a lower optim_wrapper.optimizer.lr or with '
              'optim_wrapper.clip_grad=dict(max_norm=1.0).')


def _number(value: Any) -> float:
    values = value if isinstance(value, (list, tuple)) else [value]
    return float(sum(float(torch.as_tensor(v).detach().float().mean()) for v in values))
