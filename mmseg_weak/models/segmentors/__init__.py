"""Segmentors that methods build on."""
from .semi import SemiSegmentor
from .weak_to_strong import Branches, WeakToStrongSegmentor

__all__ = ['Branches', 'SemiSegmentor', 'WeakToStrongSegmentor']
