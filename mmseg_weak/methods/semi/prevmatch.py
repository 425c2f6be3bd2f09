"""PrevMatch: Revisiting and Maximizing Temporal Knowledge in Semi-supervised Semantic Segmentation.

arXiv 2405.20610; official repository wooseok-shin/PrevMatch @ bcfac70 (Apache-2.0).
"""
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['PreviousModels', 'dirichlet_weights', 'ensemble_logits', 'prevmatch_parts', 'prevmatch_step_losses',
           'triangle']


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
        self.states: list[dict[str, Tensor]] = []

    def append(self, state: Mapping[str, Tensor]) -> None:
        """Copy a state dict to the CPU and append it."""
        self.states.append({k: v.detach().to('cpu', copy=True) for k, v in state.items()})
        del self.states[:-self.max_len]

    def __len__(self) -> int:
        return len(self.states)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for i, state in enumerate(self.states):
            destination.update({f'{prefix}{i}.{k}': v for k, v in state.items()})

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: object) -> None:
        self.states = []
        for key in sorted((k for k in state_dict if k.startswith(prefix)), key=lambda k: int(k[len(prefix):].split('.')[0])):
            index, name = key[len(prefix):].split('.', 1)
            while len(self.states) <= int(index):
                self.states.append({})
            self.states[int(index)][name] = state_dict.pop(key).cpu()
