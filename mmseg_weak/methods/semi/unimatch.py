"""UniMatch: Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023.

arXiv 2208.09910; official repository LiheYoung/UniMatch @ 0324f3d (MIT).

With logits (B,C,H,W) of the weak view p_w, its CutMix partner p', the strong views p_s1, p_s2 and the weak view with
dropped features p_fp:

    (1) c = max softmax p_w,  m = argmax p_w          (no gradient)
    (2) m_j, c_j, ok_j = (m', c', ok') inside box_j, (m, c, ok) outside, j = 1, 2
    (3) L_u(p; m, c, ok) = sum( CE(p, m) [c >= tau] [ok] ) / sum [ok]
    (4) L = ( CE(p_x, y) + 1/4 L_u(p_s1; .._1) + 1/4 L_u(p_s2; .._2) + 1/2 L_u(p_fp; m, c, ok) ) / 2
"""
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.losses.confidence_weighted_ce import confidence_weighted_ce
from mmseg_weak.models.teachers.mixing import mix

__all__ = ['Pseudo', 'cutmix_pseudo', 'pseudo_from_logits', 'unimatch_step_losses', 'unimatch_unsup_losses']


# ---------------------------------------------------------------------------------------------------------- functions
@dataclass
class Pseudo:
    """Pseudo labels of a batch: ``labels`` (B,H,W) long, ``conf`` (B,H,W) in [0,1], ``valid`` (B,H,W) bool."""
    labels: Tensor
    conf: Tensor
    valid: Tensor


@torch.no_grad()
def pseudo_from_logits(logits: Tensor, valid: Tensor | None = None) -> Pseudo:
    """Eq. (1): class and confidence of every pixel of (B,C,H,W) logits, without gradient."""
    conf, labels = full_precision(logits.detach()).softmax(1).max(1)
    return Pseudo(labels, conf, torch.ones_like(labels, dtype=torch.bool) if valid is None else valid)


def cutmix_pseudo(own: Pseudo, partner: Pseudo, mask: Tensor) -> Pseudo:
    """Eq. (2): the partner's labels, confidences and valid area inside ``mask`` (B,H,W) bool, the own ones outside."""
    return Pseudo(mix(own.labels, partner.labels, mask), mix(own.conf, partner.conf, mask),
                  mix(own.valid, partner.valid, mask))


def unimatch_unsup_losses(strong: dict[str, tuple[Tensor, Pseudo]], *, conf_thr: float | Tensor = 0.95,
                          mode: str = 'pixelwise') -> dict[str, Tensor]:
    """Eq. (3) of several branches: branch name to its (logits, pseudo labels)."""
    return {name: confidence_weighted_ce(logits, pseudo.labels, pseudo.conf, pseudo.valid, conf_thr=conf_thr, mode=mode)
            for name, (logits, pseudo) in strong.items()}


def unimatch_step_losses(loss_x: Tensor, unsup: dict[str, Tensor], *, s_weight: float = 0.25,
                         fp_weight: float = 0.5) -> dict[str, Tensor]:
    """Eq. (4) as summands of the total loss.

    Args:
        loss_x: supervised loss.
        unsup: 's1', 's2' and 'fp' to the terms of eq. (3); a missing one counts nothing.
        s_weight, fp_weight: weights of each strong view and of the feature perturbation.

    Returns:
        'loss_x', 'loss_s1', ..., each with its weight and the common 1/2, so that their sum is the loss.
    """
    weights = dict(fp=fp_weight)
    return dict(loss_x=loss_x / 2, **{f'loss_{k}': v * weights.get(k, s_weight) / 2 for k, v in unsup.items()})
