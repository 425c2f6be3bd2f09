"""ResNet-38 of SEAM, AffinityNet and their descendants: a wide, shallow network whose last maps have stride 8.

Wu, Shen & van den Hengel, Wider or Deeper, arXiv 1611.10080, with the dilations of Ahn & Kwak, CVPR 2018, arXiv
1803.10464; jiwoon-ahn/psa @ 9493e59 (MIT), network/resnet38d.py. Neither mmseg, mmpretrain nor timm has it. Layers
carry the published names, so that weights of PSA and SEAM load.
"""
import os

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError

from .mxnet_params import read_mxnet_params

__all__ = ['ResNet38d', 'published_names']

_STATISTICS = {'beta': 'bias', 'gamma': 'weight', 'mean': 'running_mean', 'var': 'running_var'}


def published_names(name: str) -> str | None:
    """Our name of an array of ``ilsvrc-cls_rna-a1_cls1000_ep-0001.params``; None for the ImageNet classifier.

    >>> published_names('arg:res3b1_branch2a_weight')
    'b3_1.conv_branch2a.weight'
    >>> published_names('aux:bn4a_branch2b1_moving_var')
    'b4.bn_branch2b1.running_var'
    """
    parts = name.split(':')[-1].split('_')
    stem, kind = parts[0], parts[-1]
    if stem.startswith('linear'):
        return None
    if not (stem.startswith(('res', 'bn')) and len(parts) > 2 and parts[1].startswith('branch')):
        return f'{stem}.{_STATISTICS.get(kind, kind)}'  # conv1a and bn7
    block = stem.removeprefix('res').removeprefix('bn')  # 3a, 3b1, 3b2, ...
    place = f'b{block[0]}' if block.endswith('a') else f'b{block[0]}_{block[2:]}'
    if stem.startswith('res'):
        return f'{place}.conv_{parts[1]}.weight'
    return f'{place}.bn_{parts[1]}.{_STATISTICS[kind]}'


class _Block(nn.Module):
    """Pre-activation block of two 3x3 convolutions.

    Args:
        first_dilation: of the first convolution; that of the second by default.
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, stride: int = 1,
                 first_dilation: int | None = None, dilation: int = 1) -> None:
        super().__init__()
        first = first_dilation or dilation
        self.bn_branch2a = nn.BatchNorm2d(in_channels)
        self.conv_branch2a = nn.Conv2d(in_channels, mid_channels, 3, stride, first, first, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(mid_channels)
        self.conv_branch2b1 = nn.Conv2d(mid_channels, out_channels, 3, 1, dilation, dilation, bias=False)
        if stride != 1 or in_channels != out_channels:
            self.conv_branch1 = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B,C,h,w) -> the block's output, and its input after the first BatchNorm and ReLU."""
        start = F.relu(self.bn_branch2a(x))
        out = F.relu(self.bn_branch2b1(self.conv_branch2a(start)))
        short = self.conv_branch1(start) if hasattr(self, 'conv_branch1') else x
        return short + self.conv_branch2b1(out), start


class _Bottleneck(nn.Module):
    """Pre-activation block 1x1, dilated 3x3, 1x1, with dropout before the last two."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        quarter, half = out_channels // 4, out_channels // 2
        self.bn_branch2a = nn.BatchNorm2d(in_channels)
        self.conv_branch2a = nn.Conv2d(in_channels, quarter, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(quarter)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = nn.Conv2d(quarter, half, 3, 1, dilation, dilation, bias=False)
        self.bn_branch2b2 = nn.BatchNorm2d(half)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(half, out_channels, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As in :class:`_Block`."""
        start = F.relu(self.bn_branch2a(x))
        out = self.conv_branch2b1(self.dropout_2b1(F.relu(self.bn_branch2b1(self.conv_branch2a(start)))))
        out = self.conv_branch2b2(self.dropout_2b2(F.relu(self.bn_branch2b2(out))))
        return self.conv_branch1(start) + out, start


@MODELS.register_module()
class ResNet38d(BaseModule):
    """conv4, conv5 and conv6: (B,512,h,w), (B,1024,h,w), (B,4096,h,w) at stride 8 with ``base_channels=64``.

    conv4 and conv5 are what b5 and b6 see after their first BatchNorm and ReLU. BatchNorm is frozen on its running
    statistics, and so are the layers up to b2_2, as published.

    Args:
        base_channels: width of the first layer; everything else is a multiple of it.
        frozen: keep BatchNorm and the first layers fixed. False trains everything, from scratch.
        dropout: of b6 and b7.
        checkpoint: local file of weights: mxnet's ``ilsvrc-cls_rna-a1_cls1000_ep-0001.params`` as published (mxnet is
            not needed), or a torch file in PSA's and SEAM's names. Nothing is downloaded.
        init_cfg: mmengine's.

    Raises:
        MissingFileError, CheckpointError: the checkpoint is not there, or is of another network (when weights are
            initialised).
    """

    def __init__(self, base_channels: int = 64, frozen: bool = True, dropout: tuple[float, float] = (0.3, 0.5),
                 checkpoint: str | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if base_channels < 2:
            raise ConfigError(f'model.backbone.base_channels is {base_channels}; give at least 2 (paper: 64).')
        w = base_channels
        self.checkpoint, self.frozen = checkpoint, frozen
        self.conv1a = nn.Conv2d(3, w, 3, 1, 1, bias=False)
        self.stages = []
        for stage, (before, width, extra) in enumerate(((w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 8 * w, 5)), start=2):
            self._add(f'b{stage}', _Block(before, width, width, stride=2))
            for i in range(extra):
                self._add(f'b{stage}_{i + 1}', _Block(width, width, width))
        self._add('b5', _Block(8 * w, 8 * w, 16 * w, first_dilation=1, dilation=2))
        self._add('b5_1', _Block(16 * w, 8 * w, 16 * w, dilation=2))
        self._add('b5_2', _Block(16 * w, 8 * w, 16 * w, dilation=2))
        self._add('b6', _Bottleneck(16 * w, 32 * w, 4, dropout[0]))
        self._add('b7', _Bottleneck(32 * w, 64 * w, 4, dropout[1]))
        self.bn7 = nn.BatchNorm2d(64 * w)
        if frozen:
            for module in (self.conv1a, self.b2, self.b2_1, self.b2_2, *self._norms()):
                module.requires_grad_(False)
        self.train(self.training)

    def _add(self, name: str, block: nn.Module) -> None:
        self.add_module(name, block)
        self.stages.append(name)

    def _norms(self) -> list[nn.Module]:
        return [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def train(self, mode: bool = True) -> 'ResNet38d':
        """Frozen BatchNorm stays on its running statistics."""
        super().train(mode)
        if mode and self.frozen:
            for norm in self._norms():
                norm.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B,3,H,W) -> conv4, conv5, conv6."""
        x, seen = self.conv1a(images), {}
        for name in self.stages:
            x, seen[name] = getattr(self, name)(x)
        return seen['b5'], seen['b6'], F.relu(self.bn7(x))

    def init_weights(self) -> None:
        """Load ``checkpoint``; without one torch's own initialisation stays."""
        super().init_weights()
        if self.checkpoint is None:
            return
        if not os.path.isfile(self.checkpoint):
            raise MissingFileError(f'model.backbone.checkpoint {self.checkpoint} does not exist; give the path of '
                                   'ilsvrc-cls_rna-a1_cls1000_ep-0001.params or of a torch file, or None to train '
                                   'from scratch.')
        if self.checkpoint.endswith('.params'):
            found = {published_names(k): v for k, v in read_mxnet_params(self.checkpoint).items()}
        else:
            found = torch.load(self.checkpoint, map_location='cpu', weights_only=True)
            found = {k.removeprefix('module.').removeprefix('backbone.'): v
                     for k, v in found.get('state_dict', found).items()}
        own = self.state_dict()
        chosen = {k: v for k, v in found.items() if k in own and v.shape == own[k].shape}
        missing = [k for k in own if k not in chosen and not k.endswith('num_batches_tracked')]
        if missing:
            raise CheckpointError(f'{self.checkpoint} lacks {len(missing)} of {len(own)} arrays of ResNet38d, or has '
                                  f'them in another shape (first: {missing[0]}); give weights of this network.')
        self.load_state_dict(chosen, strict=False)
