"""Methods that learn from image tags. A room whose docstring says so holds only some of a method's equations."""
from .bas import BAS, BASLocalizer
from .cam import CAMClassifier
from .toco import ToCo

__all__ = ['BAS', 'BASLocalizer', 'CAMClassifier', 'ToCo']
