"""FST: Learning from Future, a self-training framework for semantic segmentation, NeurIPS 2022.

arXiv 2209.06993; official repository usr922/FST @ 5b44c01 (Apache-2.0).
"""
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['LookAhead']


class LookAhead:
    """Virtual student steps before every real one; the teacher follows them, the student is put back.

    It knows parameters, an :class:`EMATeacher` and a ``step``, nothing of networks or losses.

    Args:
        mode: 'deep', K virtual steps one after another on the same batch; 'wide', K single steps from the same start
            on K other batches, their mean student in one update of the teacher.
        steps: K.
        counter: what i of the EMA's warm-up min(1 - 1/(i+1), alpha) counts: 'passes' (steps completed, virtual ones
            too; the domain-adaptation code) or 'iterations' (outer ones; the semi-supervised code).
        first_plain: iteration 0 copies the student to the teacher, makes one plain step and one EMA update.
        ema_after_real_step: one more EMA update after the real step.
    """

    def __init__(self, mode: str = 'deep', steps: int = 3, counter: str = 'iterations', first_plain: bool = False,
                 ema_after_real_step: bool = True) -> None:
        if mode not in ('deep', 'wide'):
            raise ConfigError(f"mode='{mode}' of FutureSelfTraining is neither 'deep' nor 'wide'.")
        if counter not in ('passes', 'iterations'):
            raise ConfigError(f"counter='{counter}' of FutureSelfTraining is neither 'passes' nor 'iterations'.")
        if steps < (1 if mode == 'wide' else 0):
            raise ConfigError(f'steps={steps} of FutureSelfTraining; K is at least {int(mode == "wide")}.')
        self.mode, self.steps, self.counter = mode, steps, counter
        self.first_plain, self.ema_after_real_step = first_plain, ema_after_real_step

    def run(self, student: nn.Module, teacher: Any, step: Callable[[Any], Any], batches: Sequence, iteration: int,
            passes: int) -> tuple[Any, int]:
        """One outer iteration.

        Args:
            student: the trained network; parameters are paired with the teacher's by name.
            teacher: an ``EMATeacher`` of it.
            step: makes one optimiser step on a batch and returns its log.
            batches: the real batch, and for 'wide' K future ones behind it.
            iteration: index of the outer iteration, from 0.
            passes: steps completed so far.

        Returns:
            (what ``step`` gave for the real batch, steps completed).
        """
        theirs = dict(student.named_parameters())
        params = [theirs[name] for name, _ in teacher.module.named_parameters()]

        def follow(values: list[Tensor]) -> None:
            teacher.update_parameters(values, passes if self.counter == 'passes' else iteration)

        if self.first_plain and iteration == 0:
            teacher.copy_parameters_from(student)
            out = step(batches[0])
            passes += 1
            follow(params)
            return out, passes
        start = [p.detach().clone() for p in params]
        if self.mode == 'deep':
            for _ in range(self.steps):
                follow(params)
                step(batches[0])
                passes += 1
            follow(params)
        else:
            soup = None
            for k in range(self.steps):
                if k:
                    self._put(params, start)
                step(batches[1 + k])
                passes += 1
                future = [p.detach() for p in params]
                soup = [p.clone() for p in future] if soup is None else torch._foreach_add(soup, future)
            follow(list(torch._foreach_div(soup, float(self.steps))))
        self._put(params, start)
        out = step(batches[0])
        passes += 1
        if self.ema_after_real_step:
            follow(params)
        return out, passes

    @staticmethod
    @torch.no_grad()
    def _put(params: list[Tensor], values: list[Tensor]) -> None:
        torch._foreach_copy_(params, values)
