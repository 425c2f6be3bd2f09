"""Decode heads for features as our backbones give them."""
from .dpt import DPTMapHead
from .large_fov import LargeFOV

__all__ = ['DPTMapHead', 'LargeFOV']
