"""SegFormer's transformer with the attention logits of its last blocks, from which AFA learns affinities."""
from typing import Any

import torch.nn.functional as F
from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['AttentionMiT']


@MODELS.register_module()
class AttentionMiT(MixVisionTransformer):
    """mmseg's ``MixVisionTransformer`` whose last stage keeps the size of the one before (AFA: strides 4, 2, 2, 1).

    Weights of mmseg's MiT load: names are the same.

    Args:
        strides: of the stages. AFA: (4, 2, 2, 1).
        attention_blocks: last blocks whose logits :meth:`forward_attention` gives. AFA: 2.
        **kwargs: mmseg's.

    Raises:
        ConfigError: the last stage is shorter, or reduces its keys, so that there is no square attention.
    """

    def __init__(self, strides: tuple[int, ...] = (4, 2, 2, 1), attention_blocks: int = 2, **kwargs: Any) -> None:
        super().__init__(strides=strides, **kwargs)
        last = self.layers[-1][1]
        if not 1 <= attention_blocks <= len(last) or last[-1].attn.sr_ratio != 1:
            raise ConfigError(f'model.backbone.attention_blocks={attention_blocks} of AttentionMiT; give 1 to '
                              f'{len(last)}, the blocks of the last stage, and sr_ratios that end with 1.')
        self.attention_blocks = attention_blocks

    @staticmethod
    def attention_logits(block: nn.Module, x: Tensor) -> Tensor:
        """q k^T of a block before scale and softmax, (B,N,D) -> (B,heads,N,N)."""
        attention = block.attn.attn
        dim, heads = attention.embed_dim, attention.num_heads
        bias = attention.in_proj_bias
        q, k = F.linear(block.norm1(x), attention.in_proj_weight[:2 * dim],
                        None if bias is None else bias[:2 * dim]).chunk(2, -1)
        q, k = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k))
        return q @ k.transpose(2, 3)

    def forward_attention(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(B,3,H,W) -> maps of the stages, and ``attention_blocks`` of (B,heads,hw,hw) of the last stage."""
        outs, attentions = [], []
        x = images
        for stage, layer in enumerate(self.layers):
            x, size = layer[0](x)
            first = len(layer[1]) - self.attention_blocks if stage == len(self.layers) - 1 else len(layer[1])
            for number, block in enumerate(layer[1]):
                if number >= first:
                    attentions.append(self.attention_logits(block, x))
                x = block(x, size)
            x = layer[2](x).transpose(1, 2).unflatten(2, tuple(size))
            if stage in self.out_indices:
                outs.append(x)
        return outs, attentions
