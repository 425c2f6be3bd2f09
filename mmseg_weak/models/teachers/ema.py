"""A teacher that is the moving average of its student, with the contract of each paper spelled out."""
import copy
from collections.abc import Mapping

import torch
from torch import nn

from mmseg_weak.errors import ConfigError

__all__ = ['EMATeacher', 'ema_momentum']

_BUFFERS = ('copy', 'average', 'leave')


def ema_momentum(step: int, momentum: float, warmup: str | None = None) -> float:
    """Share of the student in update number ``step`` (from 0).

    ``warmup='inverse'``: max(1/(step+1), momentum), the papers' a = min(1 - 1/(i+1), alpha) with a = 1 - momentum.
    """
    return max(1.0 / (step + 1), momentum) if warmup == 'inverse' else momentum


class EMATeacher(nn.Module):
    """Exponential moving average of a student network, itself a network without gradient.

    Args:
        student: the network to follow; copied.
        momentum: the student's share of an update, mmengine's convention (paper's alpha 0.996 is 0.004).
        warmup: None, or 'inverse', see :func:`ema_momentum`.
        buffers: what an update does with BatchNorm statistics: 'copy' them from the student, 'average' them like
            parameters, or 'leave' them (the teacher then has its own, from passes in train mode, or its first copy).
            Integer buffers are copied where floats are averaged.
        mode: 'eval' or 'train', how the teacher runs; :meth:`train` holds it there.
        first_copy: whether the teacher starts as a copy of the (initialised) student; False keeps its own weights.
    """

    def __init__(self, student: nn.Module, momentum: float = 0.001, warmup: str | None = None, buffers: str = 'copy',
                 mode: str = 'eval', first_copy: bool = True) -> None:
        super().__init__()
        if buffers not in _BUFFERS:
            raise ConfigError(f"teacher.buffers is {buffers!r}; it is one of {', '.join(map(repr, _BUFFERS))}.")
        if warmup not in (None, 'inverse'):
            raise ConfigError(f"teacher.warmup is {warmup!r}; it is None or 'inverse'.")
        if mode not in ('eval', 'train'):
            raise ConfigError(f"teacher.mode is {mode!r}; it is 'eval' or 'train'.")
        if not 0.0 <= momentum <= 1.0:
            raise ConfigError(f'teacher.momentum is {momentum}; it is the share of the student, in [0, 1].')
        self.module = copy.deepcopy(student).requires_grad_(False)
        self.momentum, self.warmup, self.buffers_mode, self.mode = momentum, warmup, buffers, mode
        self.first_copy = first_copy
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.register_buffer('ready', torch.zeros((), dtype=torch.bool))
        # Mirrors on the host: the warm-up needs the count every step and a device read would be a synchronisation.
        self._steps, self._ready = 0, False
        self.train(self.training)

    @property
    def is_ready(self) -> bool:
        """Whether the teacher has had its first copy (or has declined it)."""
        return self._ready

    @property
    def updates(self) -> int:
        """Updates made so far."""
        return self._steps

    def train(self, mode: bool = True) -> 'EMATeacher':
        """Keep the teacher's own mode whatever the model around it is told."""
        return super().train(mode and self.mode == 'train')

    def init_weights(self) -> None:
        """Initialise own weights (pretrained backbone, random head) where no first copy replaces them."""
        if not self.first_copy and hasattr(self.module, 'init_weights'):
            self.module.init_weights()

    @torch.no_grad()
    def start(self, student: nn.Module) -> None:
        """Take the first copy, unless a checkpoint already brought a teacher."""
        if not self._ready:
            if self.first_copy:
                self.copy_from(student)
            self._mark_ready()

    @torch.no_grad()
    def copy_from(self, student: nn.Module) -> None:
        """Set parameters and buffers to the student's."""
        self.module.load_state_dict(student.state_dict())
        self._mark_ready()

    @torch.no_grad()
    def copy_parameters_from(self, student: nn.Module) -> None:
        """Set the parameters alone to the student's."""
        theirs = dict(student.named_parameters())
        torch._foreach_copy_([p for _, p in self.module.named_parameters()],
                             [theirs[n] for n, _ in self.module.named_parameters()])

    @torch.no_grad()
    def update(self, student: nn.Module, step: int | None = None) -> None:
        """One step of the average: teacher <- (1 - m) teacher + m student, paired by name.

        Args:
            student: the followed network.
            step: index of the update for the warm-up; None counts the updates made so far.
        """
        theirs = dict(student.named_parameters())
        self.update_parameters([theirs[n] for n, _ in self.module.named_parameters()], step)
        if self.buffers_mode == 'leave':
            return
        weight = ema_momentum(self._steps - 1 if step is None else step, self.momentum, self.warmup)
        buffers = dict(student.named_buffers())
        mine = [(b, buffers[n]) for n, b in self.module.named_buffers()]
        averaged = [(a, b) for a, b in mine if self.buffers_mode == 'average' and a.is_floating_point()]
        if averaged:
            torch._foreach_lerp_([a for a, _ in averaged], [b for _, b in averaged], weight)
        copied = [(a, b) for a, b in mine if self.buffers_mode == 'copy' or not a.is_floating_point()]
        if copied:
            torch._foreach_copy_([a for a, _ in copied], [b for _, b in copied])

    @torch.no_grad()
    def update_parameters(self, values: list[torch.Tensor], step: int | None = None) -> None:
        """The same for parameters alone, given in the order of ``module.named_parameters()``."""
        weight = ema_momentum(self._steps if step is None else step, self.momentum, self.warmup)
        torch._foreach_lerp_(list(self.module.parameters()), [v.detach() for v in values], weight)
        self._steps += 1
        self.steps += 1

    def forward(self, *args, **kwargs):
        """The averaged network's forward, without gradient."""
        with torch.no_grad():
            return self.module(*args, **kwargs)

    def _mark_ready(self) -> None:
        self._ready = True
        self.ready.fill_(True)

    def _load_from_state_dict(self, state_dict: Mapping, prefix: str, *args) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._steps, self._ready = int(self.steps), bool(self.ready)
