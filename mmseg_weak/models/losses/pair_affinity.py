"""Losses on the affinity of pixel pairs: AffinityNet, IRNet and AFA.

- AffinityNet: Ahn & Kwak, CVPR 2018, arXiv 1803.10464; jiwoon-ahn/psa @ 9493e59 (MIT).
- IRNet: Ahn, Cho & Kwak, CVPR 2019, arXiv 1904.05044; jiwoon-ahn/irn @ a2ece00 (MIT).
- AFA: Ru et al., CVPR 2022, arXiv 2203.02664; rulixiang/afa @ adcfa29.

Every mean is a sum over the pairs of the whole batch, divided by their number plus a small constant, so a batch without
such pairs gives 0 with a gradient of 0.
"""
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.models.refine.attention import radius_mask
from mmseg_weak.models.refine.neighbours import Offset
from mmseg_weak.models.refine.pairs import (
    crop_sources,
    edge_affinity,
    feature_affinity,
    path_directions,
    search_directions,
    target_planes,
)

from .common import full_precision

__all__ = ['AffinityDisplacementLoss', 'AttentionAffinityLoss', 'PairAffinityLoss', 'affinity_displacement_losses',
           'affinity_labels', 'attention_affinity_loss', 'displacement_total', 'fitting_radius',
           'pair_affinity_loss', 'pair_counts', 'pair_labels']

_EPS = 1e-5


def fitting_radius(radius: int, size: tuple[int, int]) -> int:
    """The radius, or the largest one for which a map of (h,w) has a pixel whose half disc lies inside."""
    return min(radius, size[0], (size[1] + 1) // 2)


@torch.no_grad()
def pair_labels(labels: Tensor, directions: Sequence[Offset], radius: int = 5, ignore_index: int = 255,
                num_classes: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """What each pair of pixels is, from a seed map.

    Args:
        labels: (B,H,W), 0 background; ``ignore_index`` and everything from ``num_classes`` on is unknown.
        directions: D offsets.
        radius: of the search.

    Returns:
        background alike, foreground alike, different: three (B,D,n) bool, see :func:`crop_sources`.
    """
    labels = labels.long()
    unknown = labels.eq(ignore_index)
    if num_classes is not None:
        unknown |= labels >= num_classes
    labels = labels.masked_fill(unknown, -1)
    source = crop_sources(labels, radius).unsqueeze(1)
    target = crop_sources(target_planes(labels, directions, radius, outside=-1), radius)
    known, same = (source >= 0) & (target >= 0), source == target
    return known & same & (source == 0), known & same & (source > 0), known & ~same


def _mean(values: Tensor, mask: Tensor, count: float = 1) -> Tensor:
    """Sum where ``mask`` over ``count`` times its size plus 1e-5."""
    return torch.where(mask, values, values.new_zeros(())).sum() / (count * mask.sum() + _EPS)


def _alike(affinity: Tensor) -> Tensor:
    return -torch.log(affinity + _EPS)


def _different(affinity: Tensor) -> Tensor:
    return -torch.log(1 + _EPS - affinity)


# ------------------------------------------------------------------------------------------------------- AffinityNet
def pair_affinity_loss(affinity: Tensor, bg_pos: Tensor, fg_pos: Tensor, neg: Tensor,
                       weights: tuple[float, float, float] = (0.25, 0.25, 0.5)) -> Tensor:
    """AffinityNet: w_bg mean_bg(-log a) + w_fg mean_fg(-log a) + w_neg mean_neg(-log(1 - a)).

    Args:
        affinity: (B,D,n) in [0, 1].
        bg_pos, fg_pos, neg: (B,D,n) bool, see :func:`pair_labels`.
        weights: of the three.
    """
    affinity = full_precision(affinity)
    alike = _alike(affinity)
    return (weights[0] * _mean(alike, bg_pos) + weights[1] * _mean(alike, fg_pos)
            + weights[2] * _mean(_different(affinity), neg))


@MODELS.register_module()
class PairAffinityLoss(nn.Module):
    """AffinityNet's loss on features and a seed map of their size.

    Args:
        radius: of the search, pixels of the map.
        ignore_index: label of unknown pixels.
        loss_weight, loss_name: as mmseg's.
    """

    def __init__(self, radius: int = 5, ignore_index: int = 255, loss_weight: float = 1.0,
                 loss_name: str = 'loss_affinity') -> None:
        super().__init__()
        self.radius, self.ignore_index, self.loss_weight, self._loss_name = radius, ignore_index, loss_weight, loss_name

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """features (B,K,h,w), labels (B,h,w) -> scalar."""
        affinity = crop_sources(feature_affinity(full_precision(features), self.radius), self.radius)
        pairs = pair_labels(labels, search_directions(self.radius), self.radius, self.ignore_index)
        return self.loss_weight * pair_affinity_loss(affinity, *pairs)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name


# ------------------------------------------------------------------------------------------------------------- IRNet
def affinity_displacement_losses(edge_logits: Tensor, displacement: Tensor, labels: Tensor, *, radius: int = 5,
                                 ignore_index: int = 255, num_classes: int | None = None) -> dict[str, Tensor]:
    """IRNet's four losses.

    - pos: half the mean of -log a over background pairs, half over foreground pairs; neg: mean of -log(1 - a)
    - dp_fg: mean |d_i - d_j - (j - i)| over foreground pairs and both coordinates; dp_bg: mean |d_i - d_j| likewise

    Args:
        edge_logits: (B,1,h,w), logits of a class boundary.
        displacement: (B,2,h,w), (y, x) in pixels of the map.
        labels: (B,h,w) seeds, 0 background.

    Returns:
        loss_pos, loss_neg, loss_dp_fg, loss_dp_bg: scalars.
    """
    edge, displacement = full_precision(edge_logits).sigmoid(), full_precision(displacement)
    directions = path_directions(radius)
    bg_pos, fg_pos, neg = pair_labels(labels, directions, radius, ignore_index, num_classes)
    affinity = crop_sources(edge_affinity(edge, radius), radius)
    alike = _alike(affinity)
    source = crop_sources(displacement, radius).unsqueeze(2)  # (B,2,1,n)
    target = torch.stack([crop_sources(target_planes(d, directions, radius), radius)
                          for d in displacement.unbind(1)], 1)  # (B,2,D,n)
    offset = torch.tensor(directions, dtype=edge.dtype, device=edge.device).T[None, :, :, None]
    shift = source - target
    return dict(loss_pos=0.5 * _mean(alike, bg_pos) + 0.5 * _mean(alike, fg_pos),
                loss_neg=_mean(_different(affinity), neg),
                loss_dp_fg=_mean_both((shift - offset).abs(), fg_pos), loss_dp_bg=_mean_both(shift.abs(), bg_pos))


def _mean_both(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B,2,D,n) over both coordinates where (B,D,n)."""
    return torch.where(mask.unsqueeze(1), values, values.new_zeros(())).sum() / (2 * mask.sum() + _EPS)


def displacement_total(losses: dict[str, Tensor]) -> Tensor:
    """(pos + neg) / 2 + (dp_fg + dp_bg) / 2."""
    return (losses['loss_pos'] + losses['loss_neg']) / 2 + (losses['loss_dp_fg'] + losses['loss_dp_bg']) / 2


@MODELS.register_module()
class AffinityDisplacementLoss(nn.Module):
    """IRNet's loss, :func:`displacement_total` of :func:`affinity_displacement_losses`.

    Args:
        radius: of the search, pixels of the map.
        ignore_index: label of unknown pixels.
        loss_weight, loss_name: as mmseg's.
    """

    def __init__(self, radius: int = 5, ignore_index: int = 255, loss_weight: float = 1.0,
                 loss_name: str = 'loss_irn') -> None:
        super().__init__()
        self.radius, self.ignore_index, self.loss_weight, self._loss_name = radius, ignore_index, loss_weight, loss_name

    def forward(self, edge_logits: Tensor, displacement: Tensor, labels: Tensor) -> Tensor:
        """(B,1,h,w), (B,2,h,w), (B,h,w) -> scalar."""
        return self.loss_weight * displacement_total(affinity_displacement_losses(
            edge_logits, displacement, labels, radius=self.radius, ignore_index=self.ignore_index))

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name


# --------------------------------------------------------------------------------------------------------------- AFA
@torch.no_grad()
def affinity_labels(labels: Tensor, mask: Tensor | None = None, ignore_index: int = 255) -> Tensor:
    """Pairs of patches: 1 same label, 0 different, ``ignore_index`` where either is unknown or outside of the mask.

    Args:
        labels: (B,h,w) at patch resolution.
        mask: (hw,hw), see :func:`radius_mask`. The diagonal counts as the same (in ToCo it does not count).

    Returns:
        (B,hw,hw) uint8.
    """
    flat = labels.flatten(1)
    known = flat.ne(ignore_index)
    known = known[:, :, None] & known[:, None, :]
    if mask is not None:
        known &= mask.bool()
    same = flat[:, :, None] == flat[:, None, :]
    return same.to(torch.uint8).masked_fill_(~known, ignore_index)


def pair_counts(target: Tensor) -> tuple[Tensor, Tensor]:
    """Denominators of :func:`attention_affinity_loss`: pairs of the same and of different labels, each plus 1."""
    return target.eq(1).sum() + 1, target.eq(0).sum() + 1


def attention_affinity_loss(affinity: Tensor, target: Tensor) -> Tensor:
    """AFA: sum_same (1 - P) / (2 (n_same + 1)) + sum_different P / (2 (n_different + 1)), sums over the whole batch.

    Args:
        affinity: (B,hw,hw) in [0, 1].
        target: (B,hw,hw), see :func:`affinity_labels`.
    """
    affinity = full_precision(affinity)
    same, different = pair_counts(target)
    zero = affinity.new_zeros(())
    return (0.5 * torch.where(target.eq(1), 1 - affinity, zero).sum() / same
            + 0.5 * torch.where(target.eq(0), affinity, zero).sum() / different)


@MODELS.register_module()
class AttentionAffinityLoss(nn.Module):
    """AFA's affinity loss on seeds at patch resolution.

    Args:
        radius: patches farther apart do not count. AFA: 8.
        ignore_index: label of unknown patches.
        loss_weight: AFA: 0.1.
        loss_name: as mmseg's.
    """

    def __init__(self, radius: int = 8, ignore_index: int = 255, loss_weight: float = 0.1,
                 loss_name: str = 'loss_affinity') -> None:
        super().__init__()
        self.radius, self.ignore_index, self.loss_weight, self._loss_name = radius, ignore_index, loss_weight, loss_name

    def forward(self, affinity: Tensor, labels: Tensor) -> Tensor:
        """affinity (B,hw,hw), labels (B,h,w) -> scalar."""
        mask = radius_mask(tuple(labels.shape[-2:]), self.radius, labels.device)
        return self.loss_weight * attention_affinity_loss(affinity, affinity_labels(labels, mask, self.ignore_index))

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
