"""Localisation maps from a transformer's class tokens (MCTformer), and pooling of class maps into scores.

Xu et al., MCTformer, CVPR 2022, arXiv 2203.02891, and MCTformer+, arXiv 2308.03005; xulianuwa/MCTformer @ 0acc27a.
"""
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine.attention import spread

__all__ = ['POOLINGS', 'class_to_patch', 'fuse_maps', 'pool_maps', 'ranked_pool', 'spread_by_attention', 'topk_pool']

POOLINGS = ('gap', 'gmp', 'topk', 'ranked')


def class_to_patch(attentions: Tensor | Sequence[Tensor], num_tokens: int, size: tuple[int, int],
                   last: int | None = None, reduce: str = 'mean') -> Tensor:
    """What each class token looks at.

    Args:
        attentions: (L,B,N,N) averaged over heads, rows are queries, class tokens first.
        num_tokens: C.
        size: (h,w) of the patches.
        last: use this many last layers; None: all. MCTformer-V1: 3; V2 and +: 12.
        reduce: over layers: 'mean' (+) or 'sum' (V1, V2).

    Returns:
        (B,C,h,w).
    """
    if reduce not in ('mean', 'sum'):
        raise ConfigError(f"reduce='{reduce}' of class_to_patch is none of mean, sum.")
    layers = torch.stack([a[:, :num_tokens, num_tokens:] for a in attentions[-last if last else 0:]])
    maps = layers.mean(0) if reduce == 'mean' else layers.sum(0)
    return maps.unflatten(2, size)


def fuse_maps(token_maps: Tensor, patch_maps: Tensor, root: bool = True) -> Tensor:
    """Product of the class tokens' maps and the patches' (both at least 0); its square root in MCTformer+."""
    product = token_maps * patch_maps
    return product.sqrt() if root else product


def spread_by_attention(maps: Tensor, attentions: Tensor | Sequence[Tensor], num_tokens: int) -> Tensor:
    """Every patch takes the scores of the patches it looks at: map <- A map, A summed over layers.

    Args:
        maps: (B,C,h,w).
        attentions: (L,B,N,N), see :func:`class_to_patch`.
    """
    total = sum(a[:, num_tokens:, num_tokens:] for a in attentions)
    return spread(maps, total.transpose(1, 2))


def ranked_pool(maps: Tensor, decay: float = 0.996) -> Tensor:
    """Weighted mean of a class's scores, the r-th largest weighing decay^r: (B,C,h,w) -> (B,C).

    Decay 1 is the mean, 0 the maximum. MCTformer+: 0.996.
    """
    flat = maps.flatten(2).sort(dim=2, descending=True).values
    weights = torch.full((flat.shape[2],), decay, dtype=torch.float64).pow(torch.arange(flat.shape[2]))
    weights = (weights / weights.sum()).to(flat)
    return (flat * weights).sum(2)


def topk_pool(maps: Tensor, ratio: float = 0.1) -> Tensor:
    """Mean of the largest share of a class's scores, at least one: (B,C,h,w) -> (B,C)."""
    flat = maps.flatten(2)
    return flat.topk(max(int(flat.shape[2] * ratio), 1), dim=2, sorted=False).values.mean(2)


def pool_maps(maps: Tensor, pooling: str = 'gap', topk_ratio: float = 0.1, decay: float = 0.996) -> Tensor:
    """Scores of an image from its class maps, (B,C,h,w) -> (B,C): 'gap', 'gmp', 'topk' or 'ranked'."""
    if pooling == 'gap':
        return maps.mean((2, 3))
    if pooling == 'gmp':
        return maps.amax((2, 3))
    if pooling == 'topk':
        return topk_pool(maps, topk_ratio)
    if pooling != 'ranked':
        raise ConfigError(f"pooling='{pooling}' of class maps is none of {', '.join(POOLINGS)}.")
    return ranked_pool(maps, decay)
