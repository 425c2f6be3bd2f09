"""Image tags from a feature map by pooling, and the map that the same weights give at every place."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

from .pooling import check_pooling, pool_maps

__all__ = ['PooledClassifier', 'linear_cam']


def linear_cam(features: Tensor, weight: Tensor) -> Tensor:
    """M^c = W_c F at every place, raw (the CAM before its ReLU).

    Zhou et al., CVPR 2016, arXiv 1512.04150.

    Args:
        features: (B,D,h,w), the last ones before pooling.
        weight: (C,D) of a linear layer or (C,D,1,1) of a convolution.

    Returns:
        (B,C,h,w).
    """
    return F.conv2d(features, weight.reshape(*weight.shape[:2], 1, 1))


@MODELS.register_module()
class PooledClassifier(nn.Module):
    """A 1x1 convolution without bias and a pooling, in either order.

    Args:
        in_channels: of the features.
        num_classes: foreground classes.
        pooling: 'gmp' (AFA, ToCo), 'gap' (IRN), 'topk' or 'ranked' (MCTformer+).
        over: what is pooled: 'features', then classified (AFA, ToCo), or the class 'maps' (MCTformer+). The same for
            'gap'.
        topk_ratio: share of the pixels that 'topk' averages.
        decay: of 'ranked'; 1 is the mean, 0 the maximum.
    """

    def __init__(self, in_channels: int, num_classes: int, pooling: str = 'gmp', over: str = 'features',
                 topk_ratio: float = 0.1, decay: float = 0.996) -> None:
        super().__init__()
        check_pooling(pooling, 'PooledClassifier')
        if over not in ('features', 'maps'):
            raise ConfigError(f"over='{over}' of PooledClassifier is none of features, maps.")
        self.pooling, self.over, self.topk_ratio, self.decay = pooling, over, topk_ratio, decay
        self.classifier = nn.Conv2d(in_channels, num_classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B,D,h,w) -> logits (B,num_classes)."""
        if self.over == 'maps':
            return pool_maps(self.classifier(features), self.pooling, self.topk_ratio, self.decay)
        pooled = pool_maps(features, self.pooling, self.topk_ratio, self.decay)
        return self.classifier(pooled[:, :, None, None]).flatten(1)

    @torch.no_grad()
    def cam(self, features: Tensor) -> Tensor:
        """(B,D,h,w) -> (B,num_classes,h,w), raw, without gradient."""
        return linear_cam(features, self.classifier.weight)
