"""Building blocks that several methods share, by OpenMMLab kind."""
from . import data_preprocessors, losses, segmentors, teachers, utils

__all__ = ['data_preprocessors', 'losses', 'segmentors', 'teachers', 'utils']
