"""From cosines with names to class probabilities and labels, as the open-vocabulary repositories do."""
from collections.abc import Iterable

import torch
from torch import Tensor

from .text import max_over_names

__all__ = ['class_probs', 'drop_small_classes', 'label_map']


def class_probs(cosines: Tensor, owner: Iterable[int], scale: float, renormalize: bool = False) -> Tensor:
    """Softmax over NAMES of scale * cosine; a class has the largest of its names' probabilities, so they need not sum
    to 1.

    Args:
        cosines: (B,names,H,W).
        owner: class of each name, in order.
        scale: 40 in SCLIP, NACLIP and ProxyCLIP, 50 in ClearCLIP, 100 in MaskCLIP and CLIP-DINOiser.
        renormalize: divide by the sum over classes (what NACLIP stores; its labels are the same either way).

    Returns:
        (B,classes,H,W) float32.
    """
    probs = max_over_names((cosines.float() * scale).softmax(1), owner)
    return probs / probs.sum(1, keepdim=True) if renormalize else probs


def drop_small_classes(probs: Tensor, area_thr: float) -> Tensor:
    """Set a foreground class to 0 whose share of the predicted foreground is at most ``area_thr`` (SCLIP on VOC21).

    Args:
        probs: (B,C,H,W), class 0 the background.
        area_thr: in [0, 1].
    """
    labels = probs.argmax(1).flatten(1)
    counts = torch.zeros(probs.shape[:2], device=probs.device).scatter_add_(1, labels, torch.ones_like(labels).float())
    counts[:, 0] = 0
    share = counts / counts.sum(1, keepdim=True).clamp_min(1)
    keep = share > area_thr
    keep[:, 0] = True
    return probs * keep[:, :, None, None].to(probs)


def label_map(probs: Tensor, prob_thr: float = 0.0, background: int = 0) -> Tensor:
    """(B,C,H,W) -> (B,H,W) long: the best class, ``background`` where its probability is below ``prob_thr``."""
    best, labels = probs.max(1)
    return labels.masked_fill(best < prob_thr, background) if prob_thr > 0 else labels
