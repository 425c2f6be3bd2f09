"""One published method, one room."""
from . import semi, weak

__all__ = ['semi', 'weak']
