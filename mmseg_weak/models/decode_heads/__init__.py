"""Decode heads for features as our backbones give them."""
from .dpt import DPTMapHead

__all__ = ['DPTMapHead']
