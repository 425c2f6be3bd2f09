"""BAS as its first paper trains it: one class an image, a box or mask of it out."""
from collections.abc import Sequence

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors.localizer import Localizer

from .equations import bas_losses, suppress, take_maps, top_maps
from .network import BASNetwork

__all__ = ['BASLocalizer']


@MODELS.register_module()
class BASLocalizer(Localizer, BASNetwork):
    """BAS for localisation: L = CE(s, y) + alpha L_frg + L_bas + beta L_area.

    Args:
        backbone: config of mmseg, mmpretrain or timm. ResNet-50: strides (1, 2, 1, 1), so F has stride 8.
        num_classes: all classes, the background among them.
        tail: last modules of the backbone, see :class:`.network.BASNetwork`. ResNet: ('layer4',).
        feature_channels: of F. ResNet-50: 1024.
        in_channels: of the tail's output. ResNet-50: 2048.
        mid_channels: of the classifier's 3x3 convolutions. Paper: 1024.
        pool: max-pool before the tail. ResNet-50: 2.
        frg_weight: alpha. CUB: VGG 0, others 0.5.
        area_weight: beta. CUB: VGG 0.9, ResNet 1.5, Inception 1, MobileNet 1.9.
        eps: of the ratio.
        data_preprocessor, test_cfg, init_cfg: of :class:`.Localizer`. CUB: topk 200 (VGG, MobileNet: 80), box_thr 0.1.
    """

    def __init__(self, backbone: dict, num_classes: int, tail: Sequence[str] = ('layer4',),
                 feature_channels: int = 1024, in_channels: int = 2048, mid_channels: int | None = 1024, pool: int = 2,
                 frg_weight: float = 0.5, area_weight: float = 1.5, eps: float = 1e-8,
                 data_preprocessor: dict | None = None, test_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(num_classes, data_preprocessor, test_cfg, init_cfg)
        self.build_network(backbone, tail, self.num_tags, feature_channels, in_channels, mid_channels, True, pool)
        self.frg_weight, self.area_weight, self.eps = frg_weight, area_weight, eps

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The four losses with the one label of each image."""
        labels, features = self.labels(data_samples), self.features(inputs)
        found = suppress(features, self.foreground_maps(features), labels, self.score_net, eps=self.eps)
        return bas_losses(found, labels, lambda scores: F.cross_entropy(full_precision(scores), labels), None,
                          self.frg_weight, self.area_weight)

    def localise(self, images: Tensor, labels: Tensor | None, topk: int) -> tuple[Tensor, Tensor]:
        """Scores, and M of the label or the mean of the best classes'."""
        features = self.features(images)
        scores, maps = self.score_net(features).mean((2, 3)), self.foreground_maps(features)
        return scores, top_maps(maps, scores, topk) if labels is None else take_maps(maps, labels)
