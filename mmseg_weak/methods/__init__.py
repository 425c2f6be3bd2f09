"""One published method, one room."""
from . import openvocab, semi, weak

__all__ = ['openvocab', 'semi', 'weak']
