"""One block of open_clip's transformer taken apart, so that its attention can be changed."""
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Heads, Mix, Score

__all__ = ['attended', 'block_heads', 'changed_block', 'fed', 'ordinary_block', 'parallel_block', 'split_heads']


def split_heads(x: Tensor, weight: Tensor, bias: Tensor | None, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v (B,heads,N,d) of tokens (B,N,D) by one projection of 3D rows in this order."""
    b, n, _ = x.shape
    return F.linear(x, weight, bias).view(b, n, 3, num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def block_heads(block: nn.Module, x: Tensor, grid: tuple[int, int], external: Tensor | None = None) -> Heads:
    """Queries, keys and values of a block whose input is x (B,N,D)."""
    tokens, attn = block.ln_1(x), block.attn
    q, k, v = split_heads(tokens, attn.in_proj_weight, attn.in_proj_bias, attn.num_heads)
    return Heads(q, k, v, tokens, grid, external)


def attended(block: nn.Module, mixed: Tensor) -> Tensor:
    """(B,heads,N,d) mixed values -> (B,N,D): joined, projected (with the bias) and scaled."""
    return block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))


def fed(block: nn.Module, x: Tensor) -> Tensor:
    """What the FFN adds to (B,N,D)."""
    return block.ls_2(block.mlp(block.ln_2(x)))


def ordinary_block(block: nn.Module, x: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Heads]:
    """(B,N,D) -> the block's output as it was trained, and the heads it attended with."""
    heads = block_heads(block, x, grid)
    x = x + attended(block, Score(heads.q, heads.k).apply(heads.v))
    return x + fed(block, x), heads


def changed_block(block: nn.Module, x: Tensor, heads: Heads, attend: Callable[[Heads], Mix], residual: bool, ffn: bool
                  ) -> tuple[Tensor, Mix]:
    """The block with another attention: (B,N',D), and how it mixed. N' differs from N only without the residual."""
    mix = attend(heads)
    out = attended(block, mix.apply(heads))
    if residual:
        out = x + out
    return (out + fed(block, out) if ffn else out), mix


def parallel_block(block: nn.Module, x: Tensor, beside: Tensor | None, grid: tuple[int, int],
                   attend: Callable[[Heads], Mix], external: Tensor | None = None) -> tuple[Tensor, Tensor, Mix]:
    """Two streams: the ordinary one, and one that takes only the changed attention of it (GEM, CLIP Surgery, ExCEL).

    Args:
        block: of open_clip.
        x: (B,N,D) ordinary tokens.
        beside: (B,N,D) the second stream; None starts it from x.
        grid: of the patches.
        attend: the changed attention.
        external: features of another network for it.

    Returns:
        x and the second stream after the block, and how it mixed.
    """
    ordinary, heads = ordinary_block(block, x, grid)
    mix = attend(heads._replace(external=external))
    return ordinary, (x if beside is None else beside) + attended(block, mix.apply(heads)), mix
