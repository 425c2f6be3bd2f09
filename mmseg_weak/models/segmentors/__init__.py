"""Segmentors that methods build on."""
from .semi import SemiSegmentor

__all__ = ['SemiSegmentor']
