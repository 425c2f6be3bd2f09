"""DeepLabV2's head: what atrous convolutions see is added up."""
from collections.abc import Sequence

from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

__all__ = ['SumASPPHead']


@MODELS.register_module()
class SumASPPHead(BaseDecodeHead):
    """Parallel 3x3 convolutions with norm and ReLU, their sum, a classifier; no pooling of the image, no bottleneck.

    mmseg's ``ASPPHead`` is DeepLabV3's: it puts the branches side by side and joins them by a further layer.

    Args:
        dilations: of the branches; one of 1 is a 1x1 convolution. MaskCLIP+: 6, 12, 18, 24.
        kwargs: of mmseg's ``BaseDecodeHead``.
    """

    def __init__(self, dilations: Sequence[int] = (6, 12, 18, 24), **kwargs) -> None:
        super().__init__(**kwargs)
        self.aspp_modules = ASPPModule(tuple(dilations), self.in_channels, self.channels, conv_cfg=self.conv_cfg,
                                       norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Maps of all levels -> logits (B,num_classes,h,w)."""
        return self.cls_seg(sum(self.aspp_modules(self._transform_inputs(inputs))))
