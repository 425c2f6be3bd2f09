"""mmseg's DPT head on plain feature maps."""
from mmseg.models.decode_heads import DPTHead
from mmseg.registry import MODELS
from torch import Tensor

__all__ = ['DPTMapHead']


@MODELS.register_module()
class DPTMapHead(DPTHead):
    """:class:`DPTHead` without a class token: takes (B,D,h,w) maps where that one takes (map, token) pairs.

    With ``norm_cfg=None`` and ``dropout_ratio=0`` it is the decoder of Depth Anything and UniMatch V2: reassemble, four
    fusion blocks, 3x3, ReLU, 1x1.
    """

    def __init__(self, **kwargs) -> None:
        kwargs.setdefault('readout_type', 'ignore')
        super().__init__(**kwargs)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Maps of all levels, finest first -> logits (B,C,8h,8w)."""
        return super().forward([(x, None) for x in inputs])
