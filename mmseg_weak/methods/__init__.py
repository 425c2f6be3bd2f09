"""One published method, one room."""
from . import semi

__all__ = ['semi']
