"""Methods that learn from image tags. A room whose docstring says so holds only some of a method's equations."""
from .afa import AFA
from .bas import BAS, BASLocalizer
from .cam import CAMClassifier
from .seam import SEAM
from .toco import ToCo

__all__ = ['AFA', 'BAS', 'BASLocalizer', 'CAMClassifier', 'SEAM', 'ToCo']
