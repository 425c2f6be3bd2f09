"""IRNet's two heads on a frozen ResNet: class boundaries and displacements to the instance's centre.

Ahn, Cho & Kwak, CVPR 2019, arXiv 1904.05044; jiwoon-ahn/irn @ a2ece00 (MIT), net/resnet50_irn.py.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['IRNetHeads', 'MeanShift', 'conv_gn_relu']


def conv_gn_relu(in_channels: int, out_channels: int, groups: int) -> nn.Sequential:
    """1x1 convolution without bias, group norm, ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.GroupNorm(groups, out_channels),
                         nn.ReLU(inplace=True))


class MeanShift(nn.Module):
    """Subtract the training set's mean displacement, outside of training only.

    Measured after training (:meth:`measure`, as published) or along it (:meth:`follow`), and kept in the checkpoint.
    """

    def __init__(self, num_features: int = 2) -> None:
        super().__init__()
        self.register_buffer('running_mean', torch.zeros(num_features))

    @torch.no_grad()
    def measure(self, displacements: Sequence[Tensor]) -> None:
        """Set the mean from (B,2,h,w) displacements of training crops (top-left 512 x 512), raw."""
        self.running_mean.copy_(torch.stack([d.mean((0, 2, 3)) for d in displacements]).mean(0))

    @torch.no_grad()
    def follow(self, displacement: Tensor, momentum: float = 0.01) -> None:
        """Move the mean towards that of (B,2,h,w) displacements of a training step, raw, of all processes."""
        mean = displacement.float().mean((0, 2, 3))
        all_reduce(mean, 'mean')
        self.running_mean.lerp_(mean, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """(B,2,h,w)."""
        return x if self.training else x - self.running_mean.view(1, -1, 1, 1)


def _match(x: Tensor, like: Tensor, scale: int = 1) -> Tensor:
    """Enlarge and cut to the size of ``like``."""
    if scale > 1:
        x = F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False)
    return x[..., :like.shape[-2], :like.shape[-1]]


@MODELS.register_module()
class IRNetHeads(nn.Module):
    """Edge logits and displacement at the second stage's stride, from five stages of a backbone.

    ResNet of stride 16: stem with max-pool (stride 4), layer1 (4), layer2 (8), layer3 (16), layer4 (16). The backbone
    is frozen and its features are detached, as published.

    Args:
        in_channels: of the stages. ResNet-50: 64, 256, 512, 1024, 2048.
        strides: of the stages; from the second on never smaller than the one before, and multiples of it.
    """

    def __init__(self, in_channels: Sequence[int] = (64, 256, 512, 1024, 2048),
                 strides: Sequence[int] = (4, 4, 8, 16, 16)) -> None:
        super().__init__()
        if len(in_channels) != 5 or len(strides) != 5:
            raise ConfigError(f'IRNetHeads has in_channels={list(in_channels)}, strides={list(strides)}; give those of '
                              'five stages.')
        if strides[0] != strides[1] or any(b % a for a, b in zip(strides[1:], strides[2:])):
            raise ConfigError(f'IRNetHeads has strides={list(strides)}; the first two are equal, and each later one is '
                              'a multiple of the one before.')
        self.strides = tuple(strides)
        self.edge = nn.ModuleList(conv_gn_relu(c, 32, 4) for c in in_channels)
        self.edge_out = nn.Conv2d(5 * 32, 1, 1)
        widths = (64, 128, 256, 256, 256)
        self.displace = nn.ModuleList(conv_gn_relu(c, w, 8 if k == 0 else 16)
                                      for k, (c, w) in enumerate(zip(in_channels, widths)))
        self.displace_high = conv_gn_relu(768, 256, 16)
        self.displace_out = nn.Sequential(conv_gn_relu(448, 256, 16), nn.Conv2d(256, 2, 1, bias=False))
        self.mean_shift = MeanShift(2)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Five feature maps -> edge logits (B,1,h,w), displacement (B,2,h,w) as (y, x) in pixels of the map."""
        features = [x.detach() for x in features]
        edges = [conv(x) for conv, x in zip(self.edge, features)]
        edges = [_match(x, edges[1], stride // self.strides[1]) for x, stride in zip(edges, self.strides)]
        d1, d2, d3, d4, d5 = (conv(x) for conv, x in zip(self.displace, features))
        middle = self.strides[2]
        high = torch.cat([d3, *(_match(d, d3, s // middle) for d, s in zip((d4, d5), self.strides[3:]))], 1)
        high = _match(self.displace_high(high), d2, middle // self.strides[1])
        displacement = self.displace_out(torch.cat([d1, d2, high], 1))
        return self.edge_out(torch.cat(edges, 1)), self.mean_shift(displacement)
