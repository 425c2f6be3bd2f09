"""Decode heads for features as our backbones give them."""
from .dpt import DPTMapHead
from .large_fov import LargeFOV
from .sum_aspp import SumASPPHead
from .token_fusion import TokenFusion, TokenFusionHead

__all__ = ['DPTMapHead', 'LargeFOV', 'SumASPPHead', 'TokenFusion', 'TokenFusionHead']
