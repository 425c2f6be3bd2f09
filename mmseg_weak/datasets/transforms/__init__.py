"""Pipeline steps: loading, geometry, weaker supervision, packing. All of them run in the workers."""
from .formatting import PackSemiInputs
from .geometry import RandomFlipFields, RandomRescale
from .loading import LoadDebiasedMask, LoadImage, LoadMask
from .localization import LoadLocMask, ResizeWithBoxes
from .supervision import (
                          DeriveSupervision,
                          affine_noise,
                          block_labels,
                          boxes_of,
                          dilate_labels,
                          erode_labels,
                          noisy_tags,
                          point_labels,
                          scribble_labels,
                          tags_of,
)

__all__ = [
    'DeriveSupervision',
    'LoadDebiasedMask',
    'LoadImage',
    'LoadLocMask',
    'LoadMask',
    'PackSemiInputs',
    'RandomFlipFields',
    'RandomRescale',
    'ResizeWithBoxes',
    'affine_noise',
    'block_labels',
    'boxes_of',
    'dilate_labels',
    'erode_labels',
    'noisy_tags',
    'point_labels',
    'scribble_labels',
    'tags_of',
]
