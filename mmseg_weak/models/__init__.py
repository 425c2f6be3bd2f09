"""Building blocks that several methods share, by OpenMMLab kind."""
from . import backbones, cam, clip, data_preprocessors, decode_heads, losses, refine, segmentors, teachers, utils

__all__ = ['backbones', 'cam', 'clip', 'data_preprocessors', 'decode_heads', 'losses', 'refine', 'segmentors',
           'teachers', 'utils']
