"""PrevMatch: Revisiting and Maximizing Temporal Knowledge in Semi-supervised Semantic Segmentation.

arXiv 2405.20610; official repository wooseok-shin/PrevMatch @ bcfac70 (Apache-2.0).

UniMatch, and beside its own labels those of past models:

    list: at most Lmax past students, first in first out; one is appended whenever validation reaches a new best score
    k ~ U{1..K}, k models of the list without replacement, w ~ Dirichlet(1, ..., 1):  z = sum_i w_i model_i(cat(u, u'))
    L_std  = 1/4 L_s1 + 1/4 L_s2 + 1/2 L_fp                       labels of p_w, threshold tau
    L_prev = the same student outputs, boxes and valid area       labels of z, threshold tau_prev
    lambda = e/W up to W = epochs // 2, then 1 - (e-W)/(epochs-W)
    L = ( L_x + L_std + lambda L_prev ) / ( 2 + lambda );  with an empty list ( L_x + L_std ) / 2

Past models label in eval mode, logits are mixed. Snapshots are chosen by *validation* score, so validation labels have
a say in training: said here because it is so in the paper's numbers.

Deviations: the list travels with the checkpoint (the release loses it on resume) and lies on the CPU; the model is
appended right after the validation that sets the record, not at the start of the next epoch (the weights are the
same). With 'pixelavg' and 'pixelratio' padding stays out of the sums. An epoch is one over the unlabelled list.
"""
from collections.abc import Callable, Mapping, Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.func import functional_call

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import WeakToStrongSegmentor
from mmseg_weak.models.teachers.pseudo import consistency_losses
from mmseg_weak.models.utils import current_iter, eval_mode, iters_per_epoch, max_iters

__all__ = ['PrevMatch', 'PreviousModels', 'dirichlet_weights', 'ensemble_logits', 'prevmatch_parts',
           'prevmatch_step_losses', 'triangle']


def triangle(epoch: int, total_epochs: int) -> float:
    """lambda_e: rises e/W to 1 over the first W = total // 2 epochs, then falls to 1 - (e-W)/(total-W)."""
    half = total_epochs // 2
    return epoch / half if epoch < half else 1 - (epoch - half) / (total_epochs - half)


def dirichlet_weights(given: Tensor) -> Tensor:
    """A draw of Dirichlet(1, ..., 1) from (K,) uniforms of [0,1)."""
    waits = -torch.log1p(-given)
    return waits / waits.sum()


@torch.no_grad()
def ensemble_logits(run: Callable[[Mapping[str, Tensor], Tensor], Tensor], states: Sequence[Mapping[str, Tensor]],
                    weights: Sequence[float] | Tensor, images: Tensor) -> Tensor:
    """Weighted sum of *logits* of past models.

    Args:
        run: (state dict, images) to logits.
        states: the chosen past models. weights: as many, adding up to 1.
        images: (B,3,H,W).
    """
    total = None
    for state, weight in zip(states, weights):
        part = run(state, images) * weight
        total = part if total is None else total + part
    return total


def prevmatch_parts(loss_x: Tensor, standard: dict[str, Tensor], previous: dict[str, Tensor] | None,
                    current_lambda: float) -> dict[str, Tensor]:
    """'x', 'standard' = 1/4 s1 + 1/4 s2 + 1/2 fp, and 'previous' = lambda times the same by past models' labels.

    Args:
        loss_x: supervised loss.
        standard, previous: terms 's1', 's2', 'fp' (UniMatch's eq. 3) by own labels and by those of past models.
        current_lambda: weight of the latter.
    """
    weights = dict(s1=0.25, s2=0.25, fp=0.5)
    parts = dict(x=loss_x, standard=sum(weights[k] * v for k, v in standard.items()))
    if previous:
        parts['previous'] = current_lambda * sum(weights[k] * v for k, v in previous.items())
    return parts


def prevmatch_step_losses(loss_x: Tensor, standard: dict[str, Tensor], previous: dict[str, Tensor] | None,
                          current_lambda: float) -> dict[str, Tensor]:
    """L = (L_x + L_std + lambda L_prev) / (2 + lambda) as summands; with an empty list (L_x + L_std) / 2."""
    parts = prevmatch_parts(loss_x, standard, previous, current_lambda)
    whole = 2 + (current_lambda if previous else 0)
    return {f'loss_{k}': v / whole for k, v in parts.items()}


class PreviousModels(nn.Module):
    """First-in-first-out list of past models, kept as state dicts on the CPU and saved with the model.

    Args:
        max_len: Lmax; the oldest leaves a full list.
    """

    def __init__(self, max_len: int = 8) -> None:
        super().__init__()
        if max_len < 1:
            raise ConfigError(f'max_prev={max_len} of PrevMatch; the list holds at least one past model.')
        self.max_len = max_len
        self.register_buffer('best', torch.tensor(-float('inf'), dtype=torch.float64))
        self.states: list[dict[str, Tensor]] = []

    def is_best(self, score: float) -> bool:
        """Whether ``score`` is above all before; if so it is the new best."""
        better = score > float(self.best)
        if better:
            self.best.fill_(score)
        return better

    def append(self, state: Mapping[str, Tensor]) -> None:
        """Copy a state dict to the CPU and append it."""
        self.states.append({k: v.detach().to('cpu', copy=True) for k, v in state.items()})
        del self.states[:-self.max_len]

    def __len__(self) -> int:
        return len(self.states)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for i, state in enumerate(self.states):
            destination.update({f'{prefix}states.{i}.{k}': v for k, v in state.items()})

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: object) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        start = f'{prefix}states.'
        found: dict[int, dict[str, Tensor]] = {}
        for key in [k for k in state_dict if k.startswith(start)]:
            index, name = key[len(start):].split('.', 1)
            found.setdefault(int(index), {})[name] = state_dict[key].detach().to('cpu', copy=True)
        self.states = [found[i] for i in sorted(found)]
        unexpected = args[3]
        unexpected[:] = [k for k in unexpected if not k.startswith(start)]


@MODELS.register_module()
class PrevMatch(WeakToStrongSegmentor):
    """UniMatch with the guidance of past models; add ``dict(type='PreviousModelHook')`` to custom_hooks.

    Args:
        max_prev: Lmax. VOC, Cityscapes 8; ADE20K, COCO 5.
        model_num: K, most models in one ensemble. 3.
        random_select: draw k from 1..K; False takes K.
        conf_thr_prev: tau_prev. 0.9; Cityscapes 0.
        weighting_prev: of L_prev: 'pixelwise', on Cityscapes 'pixelavg'.
        epoch_iters: length of an epoch; None takes the run's own.
        views, feature_dropout: the branches of UniMatch: two strong views and one with dropped channels.
        kwargs: see :class:`WeakToStrongSegmentor`.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, max_prev: int = 8, model_num: int = 3,
                 random_select: bool = True, conf_thr_prev: float = 0.9, weighting_prev: str = 'pixelwise',
                 epoch_iters: int | None = None, views: Sequence[str] = ('strong1', 'strong2'),
                 feature_dropout: float = 0.5, **kwargs) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, views=views, feature_dropout=feature_dropout,
                         **kwargs)
        self.past = PreviousModels(max_prev)
        self.model_num, self.random_select = model_num, random_select
        self.conf_thr_prev, self.weighting_prev, self.epoch_iters = conf_thr_prev, weighting_prev, epoch_iters

    def remember(self, score: float, epoch: int, base_only_epoch: int = 0) -> bool:
        """Append the student if ``score`` is a new best; return whether it was.

        The best score is updated before ``base_only_epoch`` too, as released, but nothing is appended then.
        """
        if not self.past.is_best(score):
            return False
        if epoch < base_only_epoch:
            return False
        self.past.append(self.student.state_dict())
        return True

    def epoch_length(self) -> int:
        """Iterations of one epoch."""
        return self.epoch_iters or iters_per_epoch()

    def current_lambda(self) -> float:
        """Weight of the guidance in this epoch; 0 outside of a run."""
        total = max_iters()
        if not total:
            return 0.0
        length = self.epoch_length()
        epochs = max(2, round(total / length))
        return max(0.0, triangle(min(current_iter() // length, epochs), epochs))

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The algorithm box above."""
        branches = self.forward_branches(inputs)
        own, targets = branches.targets()
        sup = self.supervised_loss(branches.sup_logits, data_samples['sup'], branches.sup_feats)
        standard, previous, lam = self.consistency(branches, own, targets), None, self.current_lambda()
        if len(self.past):
            weak, partner = self.previous_logits(torch.cat([inputs['unsup'], inputs['partner']])).chunk(2)
            _, targets = branches.targets(weak, partner)
            previous = consistency_losses(
                {name: (logits, targets[name]) for name, logits in branches.logits.items()},
                conf_thr=self.conf_thr_prev, mode=self.weighting_prev)
        losses = prevmatch_step_losses(sum(sup.values()), standard, previous, lam)
        return {**losses, **self.statistics(own)}

    @torch.no_grad()
    def previous_logits(self, images: Tensor) -> Tensor:
        """Ensemble of a random choice of past models, (B,C,H,W)."""
        count = int(torch.randint(self.model_num, ())) + 1 if self.random_select else self.model_num
        chosen = torch.randperm(len(self.past))[:count].tolist()
        weights = dirichlet_weights(torch.rand(len(chosen), dtype=torch.float64)).tolist()
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)

        def run(state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
            state = {k: v.to(batch.device, non_blocking=True) for k, v in state.items()}
            return functional_call(self.student, state, (batch,), dict(mode='tensor'))
        with eval_mode(self.student):
            logits = ensemble_logits(run, [self.past.states[i] for i in chosen], weights, images)
        return self.upsample(logits, images.shape[-2:])
