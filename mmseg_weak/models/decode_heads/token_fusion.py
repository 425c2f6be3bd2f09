"""Decoder on the patch tokens of every block of a frozen ViT (WeCLIP, ExCEL)."""
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['TokenFusion', 'TokenFusionHead']


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


@MODELS.register_module()
class TokenFusion(nn.Module):
    """An MLP for each block, their outputs side by side, a 1x1 convolution, dropout of whole channels.

    zbf1991/WeCLIP @ 0f47db4, WeCLIP_model/segformer_head.py; zwyang6/ExCEL @ 2cd7f51, model/segformer_head.py.

    Args:
        in_channels: of the tokens. CLIP ViT-B: 768.
        num_blocks: maps that go in. ExCEL: 12; WeCLIP: 11.
        channels: of the MLPs and of the result.
        dropout_ratio: of channels.
    """

    def __init__(self, in_channels: int = 768, num_blocks: int = 12, channels: int = 256,
                 dropout_ratio: float = 0.1) -> None:
        super().__init__()
        self.mlps = nn.ModuleList(nn.Sequential(nn.Linear(in_channels, channels), nn.ReLU(),
                                                nn.Linear(channels, channels)) for _ in range(num_blocks))
        self.fuse = nn.Conv2d(num_blocks * channels, channels, 1)
        self.dropout = nn.Dropout2d(dropout_ratio)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Maps of the blocks, each (B,D,h,w) -> (B,channels,h,w).

        Raises:
            ConfigError: another number of blocks.
        """
        if len(features) != len(self.mlps):
            raise ConfigError(f'{len(features)} blocks of tokens came to a TokenFusion of {len(self.mlps)}; set '
                              'num_blocks to the number of blocks that are taken from the tower.')
        parts = [mlp(x.permute(0, 2, 3, 1)) for mlp, x in zip(self.mlps, features)]
        return self.dropout(self.fuse(torch.cat(parts, -1).permute(0, 3, 1, 2)))


@MODELS.register_module()
class TokenFusionHead(nn.Module):
    """:class:`TokenFusion`, transformer blocks as CLIP's, and a 1x1 classifier.

    Args:
        num_classes: of the logits, background included.
        in_channels, num_blocks, channels, dropout_ratio: of :class:`TokenFusion`.
        depth: transformer blocks.
        num_heads: theirs.
    """

    def __init__(self, num_classes: int, in_channels: int = 768, num_blocks: int = 12, channels: int = 256,
                 dropout_ratio: float = 0.1, depth: int = 3, num_heads: int = 8) -> None:
        super().__init__()
        self.fusion = TokenFusion(in_channels, num_blocks, channels, dropout_ratio)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(channels, num_heads, 4 * channels, dropout=0.0, activation=_quick_gelu,
                                       batch_first=True, norm_first=True) for _ in range(depth))
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps of the blocks, each (B,D,h,w) -> logits (B,num_classes,h,w) and fused features X (B,channels,h,w)."""
        fused = self.fusion(features)
        x = fused.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.conv_seg(x.transpose(1, 2).unflatten(2, fused.shape[-2:])), fused
