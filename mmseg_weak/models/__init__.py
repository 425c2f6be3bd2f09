"""Building blocks that several methods share, by OpenMMLab kind."""
from . import data_preprocessors, segmentors, teachers, utils

__all__ = ['data_preprocessors', 'segmentors', 'teachers', 'utils']
