"""Localisation maps from a transformer's tokens: what class tokens look at (MCTformer), what patches score.

Xu et al., MCTformer, CVPR 2022, arXiv 2203.02891, and MCTformer+, arXiv 2308.03005; xulianuwa/MCTformer @ 0acc27a.
"""
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine.attention import spread

from .pooled_classifier import linear_cam

__all__ = ['class_to_patch', 'fuse_maps', 'patch_to_patch', 'patch_token_cam', 'spread_by_attention',
           'tokens_to_map']


def tokens_to_map(tokens: Tensor, size: tuple[int, int], num_prefix: int = 1, num_suffix: int = 0,
                  tokens_first: bool = False) -> Tensor:
    """Patch tokens as a feature map.

    Args:
        tokens: (B,N,D), patches row by row.
        size: (h,w) of the patches.
        num_prefix: tokens before the patches (class, registers). CLIP, DeiT: 1.
        num_suffix: tokens after them. SAT: 1.
        tokens_first: tokens are (N,B,D), as in OpenAI's CLIP.

    Returns:
        (B,D,h,w).

    Raises:
        ConfigError: the tokens are not as many as that.
    """
    if tokens_first:
        tokens = tokens.transpose(0, 1)
    count = tokens.shape[1] - num_prefix - num_suffix
    if count != size[0] * size[1]:
        raise ConfigError(f'{tokens.shape[1]} tokens are {num_prefix} before, {num_suffix} after and {count} patches, '
                          f'but the map has {size[0]} x {size[1]}; set the number of other tokens, or the patch size.')
    return tokens[:, num_prefix:num_prefix + count].transpose(1, 2).unflatten(2, tuple(size))


def patch_token_cam(tokens: Tensor, weight: Tensor, size: tuple[int, int], num_prefix: int = 1,
                    num_suffix: int = 0) -> Tensor:
    """Class maps of a ViT whose linear head sees a class token or the mean of the patches: the head on each patch.

    Args:
        tokens: (B,N,D) after the norm that the head's input goes through.
        weight: (C,D) or (C,D,1,1) of the head.
        size, num_prefix, num_suffix: of :func:`tokens_to_map`.

    Returns:
        (B,C,h,w), raw.
    """
    return linear_cam(tokens_to_map(tokens, size, num_prefix, num_suffix), weight)


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


def patch_to_patch(attentions: Tensor | Sequence[Tensor], num_tokens: int) -> list[Tensor]:
    """What patches look at in other patches: (L,B,N,N), see :func:`class_to_patch` -> L views (B,P,P)."""
    return [a[:, num_tokens:, num_tokens:] for a in attentions]


def spread_by_attention(maps: Tensor, attentions: Tensor | Sequence[Tensor], num_tokens: int) -> Tensor:
    """Every patch takes the scores of the patches it looks at: map <- A map, A summed over layers.

    Args:
        maps: (B,C,h,w).
        attentions: (L,B,N,N), see :func:`class_to_patch`.
    """
    return spread(maps, sum(patch_to_patch(attentions, num_tokens)).transpose(1, 2))
