"""Pseudo labels as a value: made from logits, pasted along a mask, compared with a prediction."""
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.losses.confidence_weighted_ce import confidence_weighted_ce

from .mixing import mix

__all__ = ['Pseudo', 'consistency_losses', 'cutmix_pseudo', 'pseudo_from_logits']


@dataclass
class Pseudo:
    """Pseudo labels of a batch: ``labels`` (B,H,W) long, ``conf`` (B,H,W) in [0,1], ``valid`` (B,H,W) bool."""
    labels: Tensor
    conf: Tensor
    valid: Tensor


@torch.no_grad()
def pseudo_from_logits(logits: Tensor, valid: Tensor | None = None) -> Pseudo:
    """Class and confidence of every pixel of (B,C,H,W) logits, without gradient, softmax in float32."""
    conf, labels = full_precision(logits.detach()).softmax(1).max(1)
    return Pseudo(labels, conf, torch.ones_like(labels, dtype=torch.bool) if valid is None else valid)


def cutmix_pseudo(own: Pseudo, partner: Pseudo, mask: Tensor) -> Pseudo:
    """The partner's labels, confidences and valid area inside ``mask`` (B,H,W) bool, the own ones outside."""
    return Pseudo(mix(own.labels, partner.labels, mask), mix(own.conf, partner.conf, mask),
                  mix(own.valid, partner.valid, mask))


def consistency_losses(branches: dict[str, tuple[Tensor, Pseudo]], *,
                       conf_thr: float | Tensor | Callable[[Pseudo], Tensor] = 0.95,
                       mode: str = 'pixelwise') -> dict[str, Tensor]:
    """:func:`confidence_weighted_ce` of several branches: name to its (logits, pseudo labels).

    Args:
        conf_thr: a threshold, or a function that gives the one of a branch's pseudo labels.
    """
    return {name: confidence_weighted_ce(logits, pseudo.labels, pseudo.conf, pseudo.valid, mode=mode,
                                         conf_thr=conf_thr(pseudo) if callable(conf_thr) else conf_thr)
            for name, (logits, pseudo) in branches.items()}
