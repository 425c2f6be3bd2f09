"""DeepLab-LargeFOV's decoder as single-stage methods from image tags use it (ToCo)."""
from mmseg.registry import MODELS
from torch import Tensor, nn

__all__ = ['LargeFOV']


@MODELS.register_module()
class LargeFOV(nn.Sequential):
    """Two dilated 3x3 convolutions with ReLU and a 1x1 one, none with a bias, no norm.

    rulixiang/ToCo @ e13514d, model/decoder/conv_head.py.

    Args:
        in_channels: of the features.
        num_classes: of the logits, background included.
        channels: hidden. ToCo: 512.
        dilation: of both. ToCo: 5.
    """

    def __init__(self, in_channels: int, num_classes: int, channels: int = 512, dilation: int = 5) -> None:
        options = dict(padding=dilation, dilation=dilation, bias=False)
        super().__init__(nn.Conv2d(in_channels, channels, 3, **options), nn.ReLU(inplace=True),
                         nn.Conv2d(channels, channels, 3, **options), nn.ReLU(inplace=True),
                         nn.Conv2d(channels, num_classes, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """(B,D,h,w) -> (B,num_classes,h,w)."""
        return super().forward(features)
