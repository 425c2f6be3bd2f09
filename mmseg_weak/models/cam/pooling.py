"""From a map to one score of the image: the poolings that tag classifiers use, under one name each.

'gap' mean, 'gmp' maximum, 'topk' mean of the largest share, 'ranked' weighted mean of the sorted values (MCTformer+,
arXiv 2308.03005).
"""
import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError

__all__ = ['POOLINGS', 'check_pooling', 'pool_maps', 'ranked_pool', 'topk_pool']

POOLINGS = ('gap', 'gmp', 'topk', 'ranked')


def check_pooling(pooling: str, where: str) -> None:
    """Refuse an unknown pooling.

    Raises:
        ConfigError: naming ``where`` it stood.
    """
    if pooling not in POOLINGS:
        raise ConfigError(f"pooling='{pooling}' of {where} is none of {', '.join(POOLINGS)}.")


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
    """Scores of an image from its maps, (B,C,h,w) -> (B,C).

    Args:
        maps: of classes, or features of which each channel is pooled by itself.
        pooling: 'gap', 'gmp', 'topk' or 'ranked'.
        topk_ratio: share of the pixels that 'topk' averages.
        decay: of 'ranked'.
    """
    check_pooling(pooling, 'class maps')
    if pooling == 'gap':
        return maps.mean((2, 3))
    if pooling == 'gmp':
        return maps.amax((2, 3))
    return topk_pool(maps, topk_ratio) if pooling == 'topk' else ranked_pool(maps, decay)
