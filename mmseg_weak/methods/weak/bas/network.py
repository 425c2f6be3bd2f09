"""BAS's network: a backbone cut before its last stage, a classifier after it, a map of each class before it."""
from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.models.utils.split import find_modules, run_until

__all__ = ['BASNetwork']


class BASNetwork:
    """f1 (the backbone up to ``tail``), f2 (2x2 max-pool or none, ``tail``, classifier), and the map generator.

    Mixed into a model, so that ``backbone`` lies at its top level, where pretrained weights and exports expect it.
    """
    backbone: nn.Module
    classifier: nn.Module
    generator: nn.Module

    def build_network(self, backbone: dict, tail: Sequence[str], num_tags: int, feature_channels: int,
                      in_channels: int, mid_channels: int | None, bias: bool, pool: int) -> None:
        """Set the modules.

        Args:
            backbone: config of mmseg, mmpretrain or timm.
            tail: its last modules, in the order in which they follow F. ResNet: ('layer4',).
            num_tags: K.
            feature_channels: of F, what the first module of ``tail`` takes.
            in_channels: of the tail's output.
            mid_channels: of the classifier's two 3x3 convolutions (localisation); None: a 1x1 convolution alone,
                without bias (segmentation).
            bias: of the generator.
            pool: max-pool before the tail; 1: none.
        """
        self.backbone = MODELS.build(backbone)
        self.tail = tuple(tail)
        find_modules(self.backbone, self.tail, 'model.tail')
        self.pool = pool
        if mid_channels:
            self.classifier = nn.Sequential(
                nn.Conv2d(in_channels, mid_channels, 3, padding=1), nn.ReLU(),
                nn.Conv2d(mid_channels, mid_channels, 3, padding=1), nn.ReLU(), nn.Conv2d(mid_channels, num_tags, 1))
        else:
            self.classifier = nn.Conv2d(in_channels, num_tags, 1, bias=False)
        self.generator = nn.Conv2d(feature_channels, num_tags, 3, padding=1, bias=bias)

    def features(self, images: Tensor) -> Tensor:
        """F: (B,3,H,W) -> (B,D,h,w)."""
        return run_until(self.backbone, find_modules(self.backbone, self.tail, 'model.tail')[0], images)

    @property
    def score_net(self) -> nn.Sequential:
        """f2: F -> class activations P (B,K,h',w'); a view of the network's modules, registered nowhere."""
        pool = [nn.MaxPool2d(self.pool)] if self.pool > 1 else []
        return nn.Sequential(*pool, *find_modules(self.backbone, self.tail, 'model.tail'), self.classifier)

    def foreground_maps(self, features: Tensor) -> Tensor:
        """M of all classes: (B,D,h,w) -> (B,K,h,w) in (0,1)."""
        return self.generator(features).sigmoid()
