"""Methods that learn from image tags. A room whose docstring says so holds only some of a method's equations."""
from .cam import CAMClassifier

__all__ = ['CAMClassifier']
