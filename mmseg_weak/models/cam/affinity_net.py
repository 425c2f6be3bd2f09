"""AffinityNet's head: three feature maps to features whose distance is the affinity of two pixels.

Ahn & Kwak, CVPR 2018, arXiv 1803.10464; jiwoon-ahn/psa @ 9493e59 (MIT), network/resnet38_aff.py.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['AffinityHead']


@MODELS.register_module()
class AffinityHead(nn.Module):
    """1x1 convolutions with ELU, concatenated, and one more; :func:`.refine.pairs.feature_affinity` does the rest.

    Layers carry the published names, so that published weights load.

    Args:
        in_channels: of the three maps. ResNet-38: 512, 1024, 4096.
        channels: of the three convolutions.
        out_channels: of the result; the sum of ``channels`` by default.
    """

    def __init__(self, in_channels: Sequence[int] = (512, 1024, 4096), channels: Sequence[int] = (64, 128, 256),
                 out_channels: int | None = None) -> None:
        super().__init__()
        if len(in_channels) != 3 or len(channels) != 3:
            raise ConfigError(f'AffinityHead has in_channels={list(in_channels)}, channels={list(channels)}; give '
                              f'three each.')
        self.f8_3, self.f8_4, self.f8_5 = (nn.Conv2d(i, c, 1, bias=False) for i, c in zip(in_channels, channels))
        self.f9 = nn.Conv2d(sum(channels), out_channels or sum(channels), 1, bias=False)
        for conv in (self.f8_3, self.f8_4, self.f8_5):
            nn.init.kaiming_normal_(conv.weight)
        nn.init.xavier_uniform_(self.f9.weight, gain=4)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Three (B,C_i,h,w) maps of one size -> (B,out_channels,h,w)."""
        parts = [F.elu(conv(x)) for conv, x in zip((self.f8_3, self.f8_4, self.f8_5), features)]
        return F.elu(self.f9(torch.cat(parts, 1)))
