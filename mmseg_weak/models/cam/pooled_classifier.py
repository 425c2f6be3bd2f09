"""Image tags from a feature map by pooling, and the map that the same weights give at every place."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['PooledClassifier']

POOLINGS = {'gmp': F.adaptive_max_pool2d, 'gap': F.adaptive_avg_pool2d}


@MODELS.register_module()
class PooledClassifier(nn.Module):
    """Pool the features, then a 1x1 convolution without bias (AFA, ToCo: pooling comes first).

    Args:
        in_channels: of the features.
        num_classes: foreground classes.
        pooling: 'gmp' (AFA, ToCo) or 'gap'.
    """

    def __init__(self, in_channels: int, num_classes: int, pooling: str = 'gmp') -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling='{pooling}' of PooledClassifier is none of {', '.join(POOLINGS)}.")
        self.pooling = pooling
        self.classifier = nn.Conv2d(in_channels, num_classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B,D,h,w) -> logits (B,num_classes)."""
        return self.classifier(POOLINGS[self.pooling](features, (1, 1))).flatten(1)

    @torch.no_grad()
    def cam(self, features: Tensor) -> Tensor:
        """(B,D,h,w) -> (B,num_classes,h,w), raw, without gradient."""
        return F.conv2d(features, self.classifier.weight)
