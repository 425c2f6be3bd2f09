"""FST: Learning from Future, a self-training framework for semantic segmentation, NeurIPS 2022.

arXiv 2209.06993; official repository usr922/FST @ 5b44c01 (Apache-2.0).

A schedule around any self-training with an EMA teacher. theta student, phi teacher, Step one optimizer step:

    deep   theta0 = theta; K times: EMA(phi, theta), Step(theta, phi, batch); EMA(phi, theta); theta = theta0;
           Step(theta, phi, batch)
    wide   theta0 = theta; for each of K other batches: theta = theta0, Step(theta, phi, batch_k), add theta to a sum;
           EMA(phi, sum / K); theta = theta0; Step(theta, phi, batch); EMA(phi, theta)
    EMA(phi, theta): phi <- a phi + (1-a) theta on parameters, a = min(1 - 1/(i+1), alpha)

phi is never put back, nor are the optimizer's moments (unless ``restore_optimizer``) and BatchNorm statistics. Forms:

    semi-supervised   mode='deep', counter='iterations', ema_after_real_step=True (the defaults; semi_seg/)
    FST-D (UDA)       mode='deep', counter='passes', first_plain=True, ema_after_real_step=False
    FST-W (UDA)       mode='wide', counter='passes', first_plain=True, ema_after_real_step=True

Deviations: the K+1 batches of 'wide' are one loaded batch cut in K+1 parts, each drawn on its own, so the sampler's
batch_size is (1+K) times the method's. Further ones are those of the wrapped method, by default
:class:`EntropySelfTraining`, which is the loss of the release's semi-supervised code.
"""
import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import SemiSegmentor
from mmseg_weak.models.utils import current_iter

__all__ = ['FutureSelfTraining', 'LookAhead', 'split_batch']


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
        restore_optimizer: put the optimizer's state back with the student. The release does not.
    """

    def __init__(self, mode: str = 'deep', steps: int = 3, counter: str = 'iterations', first_plain: bool = False,
                 ema_after_real_step: bool = True, restore_optimizer: bool = False) -> None:
        if mode not in ('deep', 'wide'):
            raise ConfigError(f"mode='{mode}' of FutureSelfTraining is neither 'deep' nor 'wide'.")
        if counter not in ('passes', 'iterations'):
            raise ConfigError(f"counter='{counter}' of FutureSelfTraining is neither 'passes' nor 'iterations'.")
        if steps < (1 if mode == 'wide' else 0):
            raise ConfigError(f'steps={steps} of FutureSelfTraining; K is at least {int(mode == "wide")}.')
        self.mode, self.steps, self.counter = mode, steps, counter
        self.first_plain, self.ema_after_real_step = first_plain, ema_after_real_step
        self.restore_optimizer = restore_optimizer

    def run(self, pairs: Sequence[tuple[nn.Module, Any]], step: Callable[[Any], Any], batches: Sequence,
            iteration: int, passes: int, optimizer: torch.optim.Optimizer | None = None) -> tuple[Any, int]:
        """One outer iteration.

        Args:
            pairs: trained networks and the ``EMATeacher`` of each, parameters paired by name.
            step: makes one optimiser step on a batch and returns its log.
            batches: the real batch, and for 'wide' K future ones behind it.
            iteration: index of the outer iteration, from 0.
            passes: steps completed so far.
            optimizer: whose state ``restore_optimizer`` puts back.

        Returns:
            (what ``step`` gave for the real batch, steps completed).
        """
        groups = []
        for student, teacher in pairs:
            theirs = dict(student.named_parameters())
            groups.append([theirs[name] for name, _ in teacher.module.named_parameters()])
        params = [p for group in groups for p in group]

        def follow(values: list[Tensor]) -> None:
            rest = iter(values)
            for (_, teacher), group in zip(pairs, groups):
                teacher.update_parameters([next(rest) for _ in group],
                                          passes if self.counter == 'passes' else iteration)

        if self.first_plain and iteration == 0:
            for student, teacher in pairs:
                teacher.copy_parameters_from(student)
            out = step(batches[0])
            passes += 1
            follow(params)
            return out, passes
        start = [p.detach().clone() for p in params]
        moments = copy.deepcopy(optimizer.state_dict()) if self.restore_optimizer and optimizer is not None else None
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
        if moments is not None:
            optimizer.load_state_dict(moments)
        out = step(batches[0])
        passes += 1
        if self.ema_after_real_step:
            follow(params)
        return out, passes

    @staticmethod
    @torch.no_grad()
    def _put(params: list[Tensor], values: list[Tensor]) -> None:
        torch._foreach_copy_(params, values)


def split_batch(data: dict, parts: int, partner: bool = False) -> list[dict]:
    """Cut a collated batch in equal batches, each with its share of labelled and unlabelled images.

    Args:
        data: ``inputs`` and ``data_samples``, lists.
        parts: number of batches.
        partner: the last half of the unlabelled images are CutMix partners of the first half, and stay so in each part.

    Raises:
        ConfigError: a share cannot be divided.
    """
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(data['data_samples']):
        groups.setdefault(sample.get('source', 'sup'), []).append(i)
    if partner and 'unsup' in groups:
        members = groups.pop('unsup')
        groups['unsup'], groups['partner'] = members[:len(members) // 2], members[len(members) // 2:]
    for name, members in groups.items():
        if len(members) % parts:
            raise ConfigError(f"FutureSelfTraining(mode='wide') cuts each batch in {parts} and got {len(members)} "
                              f'images of {name!r}: make the batch_size of train_dataloader.sampler {parts} times the '
                              'one that each step shall have.')
    out = []
    for k in range(parts):
        chosen = [i for members in groups.values()
                  for i in members[k * (len(members) // parts):(k + 1) * (len(members) // parts)]]
        out.append(dict(inputs=[data['inputs'][i] for i in chosen],
                        data_samples=[data['data_samples'][i] for i in chosen]))
    return out


@MODELS.register_module()
class FutureSelfTraining(SemiSegmentor):
    """Any method with an EMA teacher, trained with pseudo labels of its own future.

    The method's networks become this model's own (``student``, ``teacher``, ...), so checkpoints have the same keys.

    Args:
        segmentor, data_preprocessor: of the method.
        method: config of a :class:`SemiSegmentor` with an EMA teacher, without these two; None is the loss of the
            release's semi-supervised code, :class:`EntropySelfTraining`.
        mode, steps, counter, first_plain, ema_after_real_step, restore_optimizer: see :class:`LookAhead`.
        predict_with: 'student' or 'teacher'. Published validation: teacher.

    Raises:
        ConfigError: the method has no EMA teacher, or moves it inside its step.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, method: dict | None = None,
                 mode: str = 'deep', steps: int = 3, counter: str = 'iterations', first_plain: bool = False,
                 ema_after_real_step: bool = True, restore_optimizer: bool = False, predict_with: str = 'teacher',
                 init_cfg: dict | None = None) -> None:
        method = MODELS.build(dict(method or dict(type='EntropySelfTraining'), segmentor=segmentor,
                                   data_preprocessor=data_preprocessor, predict_with=predict_with))
        if method.teacher is None:
            raise ConfigError(f'FutureSelfTraining looks ahead for a teacher, and {type(method).__name__} has none: '
                              "give model.method an EMA teacher, e.g. method=dict(type='EntropySelfTraining').")
        if getattr(method, 'update_inside', False):
            raise ConfigError('FutureSelfTraining moves the teacher itself; set model.method.update_inside=False.')
        # The frame's constructor would build the networks again; they are the method's.
        BaseSegmentor.__init__(self, data_preprocessor=None, init_cfg=init_cfg)
        for name, child in method.named_children():
            setattr(self, name, child)
        for name, buffer in method.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        object.__setattr__(self, 'method', method)
        for name in ('num_classes', 'align_corners', 'predict_with', 'channels_last'):
            setattr(self, name, getattr(method, name))
        self._diagnose_said = False
        self.ahead = LookAhead(mode, steps, counter, first_plain, ema_after_real_step, restore_optimizer)
        self.register_buffer('passes', torch.zeros((), dtype=torch.long))
        self._passes = 0

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The method's."""
        return self.method.semi_loss(inputs, data_samples)

    def teacher_pairs(self) -> list[tuple[nn.Module, Any]]:
        """Every trained network with its average; a method with more than one says so itself."""
        pairs = getattr(self.method, 'teacher_pairs', None)
        return [(self.student, self.teacher)] if pairs is None else pairs()

    def update_teacher(self) -> None:
        """Nothing is left to do after the step."""

    def train(self, mode: bool = True) -> 'FutureSelfTraining':
        """Keep the method's own flag in step with its networks."""
        super().train(mode)
        self.method.training = self.training
        return self

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> 'FutureSelfTraining':
        super()._apply(fn, *args, **kwargs)
        for name in self.method._buffers:
            self.method._buffers[name] = self._buffers[name]
        return self

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._passes = int(self.passes)
        if hasattr(self.method, '_started'):
            self.method._started = bool(self.started)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """All steps of one iteration; what is logged is the real one."""
        return self.train_step_through(self._run_forward, data, optim_wrapper)

    def train_step_through(self, forward: Callable, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """The same, with ``forward(data, mode)`` running the model (through DDP, which averages gradients).

        Raises:
            ConfigError: gradients are accumulated over steps.
        """
        if getattr(optim_wrapper, '_accumulative_counts', 1) != 1:
            raise ConfigError('FutureSelfTraining makes several optimizer steps an iteration; set '
                              'optim_wrapper.accumulative_counts=1.')
        wide = self.ahead.mode == 'wide'
        parts = (split_batch(data, 1 + self.ahead.steps, getattr(self.data_preprocessor, 'partner', False))
                 if wide else [data])
        batches = [self.data_preprocessor(part, True) for part in parts]

        def step(batch: dict) -> dict[str, Tensor]:
            with optim_wrapper.optim_context(self):
                losses = forward(batch, mode='loss')
            total, log_vars = self.parse_losses(losses)
            optim_wrapper.update_params(total)
            return log_vars
        start = self.method.semi_start() if hasattr(self.method, 'semi_start') else 0
        if current_iter() < start:
            log_vars = step(batches[0])
            self._count(self._passes + 1)
            return log_vars
        log_vars, passes = self.ahead.run(self.teacher_pairs(), step, batches, current_iter() - start,
                                          self._passes, getattr(optim_wrapper, 'optimizer', None))
        self._count(passes)
        return log_vars

    def _count(self, passes: int) -> None:
        self._passes = passes
        self.passes.fill_(passes)
