"""Equations of BAS: how much of a class is left once its map has taken it away.

P = f2(F) are class activations, their means over places the scores s; M in (0,1) is the map of one class y of an image.

- S = s_y, S_bg = the same from stopgrad(F) (1 - M), by f2 with its present weights frozen;
- L_bas = ReLU(S_bg) / (ReLU(stopgrad S) + eps), the constant 1 where ReLU(S_bg) > ReLU(S);
- L_area = mean of M; L_frg = CE(mean of P M, y).

Without the three stops (frozen weights, denominator, constant) training collapses: wpy1999/BAS issue 2.
"""
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.utils.split import frozen_call

__all__ = ['Suppression', 'activation_ratio', 'bas_losses', 'draw_present', 'one_against_absent', 'suppress',
           'take_maps', 'top_maps', 'weighted_mean']


class Suppression(NamedTuple):
    """What :func:`suppress` finds: maps (B,1,h,w), scores (B,K), the others (B,).

    Attributes:
        maps: M of the label.
        scores: s.
        foreground_scores: means of P M.
        target: S.
        background: S_bg.
        ratio: L_bas of each image.
        area: L_area of each image.
    """
    maps: Tensor
    scores: Tensor
    foreground_scores: Tensor
    target: Tensor
    background: Tensor
    ratio: Tensor
    area: Tensor


def take_maps(maps: Tensor, labels: Tensor) -> Tensor:
    """The map of one class of each image: (B,K,h,w), (B,) -> (B,1,h,w)."""
    return maps.gather(1, labels.view(-1, 1, 1, 1).expand(-1, 1, *maps.shape[2:]))


def top_maps(maps: Tensor, scores: Tensor, topk: int = 1) -> Tensor:
    """Mean of the maps of the ``topk`` best scored classes (all, where there are fewer): -> (B,1,h,w)."""
    best = scores.topk(min(topk, scores.shape[1]), dim=1).indices
    return maps.gather(1, best[:, :, None, None].expand(-1, -1, *maps.shape[2:])).mean(1, keepdim=True)


def activation_ratio(background: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """L_bas of each image from S_bg and S, (B,); no gradient reaches S, none at all where the ratio is above 1."""
    background, target = background.relu(), target.detach().relu()
    ratio = background / (target + eps)
    return torch.where(background > target, torch.ones_like(ratio), ratio)


def suppress(features: Tensor, maps: Tensor, labels: Tensor, score_net: nn.Module, stop_activations: bool = False,
             eps: float = 1e-8) -> Suppression:
    """One step for one class of each image.

    Args:
        features: F (B,D,h,w).
        maps: of all classes, (B,K,h,w) in (0,1).
        labels: (B,) class indices from 0.
        score_net: f2, F -> P (B,K,h',w'); a coarser P meets M averaged to its size.
        stop_activations: no gradient from the masked scores into P (the segmentation code; the localisation code lets
            it through).
        eps: of the ratio.
    """
    chosen = take_maps(maps, labels)
    activations = full_precision(score_net(features))
    scores = activations.mean((2, 3))
    left = full_precision(frozen_call(score_net, features.detach() * (1 - chosen))).mean((2, 3))
    target, background = (s.gather(1, labels[:, None])[:, 0] for s in (scores, left))
    size = activations.shape[2:]
    mask = chosen if chosen.shape[2:] == size else F.adaptive_avg_pool2d(chosen, size)
    activations = activations.detach() if stop_activations else activations
    return Suppression(chosen, scores, (activations * mask).mean((2, 3)), target, background,
                       activation_ratio(background, target, eps), chosen.mean((1, 2, 3)))


def one_against_absent(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax loss of each present class against all absent ones, summed over them, mean over images.

    Args:
        scores: (B,K).
        present: (B,K); an image without tags, or with all, counts 0.
    """
    present, scores = present.bool(), full_precision(scores)
    lowest = torch.finfo(scores.dtype).min / 2  # finite: an image with all tags keeps a gradient, of zero
    absent = scores.masked_fill(present, lowest).logsumexp(1, keepdim=True)
    return (F.softplus(absent - scores) * present).sum(1).mean()


def draw_present(present: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """One class of each image, uniform over its tags.

    Returns:
        (B,) class indices, 0 where an image has no tag; (B,) bool, whether it has one.
    """
    tagged = present.bool().any(1)
    weights = present.to(torch.float32) + F.one_hot(torch.zeros_like(tagged, dtype=torch.long),
                                                    present.shape[1]) * ~tagged[:, None]
    return torch.multinomial(weights, 1, generator=generator)[:, 0], tagged


def weighted_mean(values: Tensor, used: Tensor | None) -> Tensor:
    """Mean over the images in use, (B,), (B,) bool; 0 with a gradient of zero where there is none."""
    if used is None:
        return values.mean()
    return (values * used).sum() / used.sum().clamp(min=1)


def bas_losses(found: Suppression, labels: Tensor, classify: Callable[[Tensor], Tensor], used: Tensor | None = None,
               frg_weight: float = 0.2, area_weight: float = 1.2) -> dict[str, Tensor]:
    """The four losses; their sum is the total, L_cls + alpha L_frg + L_bas + beta L_area.

    Args:
        labels: (B,), those of :func:`suppress`.
        classify: loss of the scores s.
        used: (B,) bool, images that have a class; None: all.
        frg_weight: alpha.
        area_weight: beta.
    """
    frg = F.cross_entropy(full_precision(found.foreground_scores), labels, reduction='none')
    return dict(loss_cls=classify(found.scores), loss_frg=frg_weight * weighted_mean(frg, used),
                loss_bas=weighted_mean(found.ratio, used),
                loss_area=area_weight * weighted_mean(full_precision(found.area), used))
