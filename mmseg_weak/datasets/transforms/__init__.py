"""Pipeline steps: loading, geometry, weaker supervision, packing. All of them run in the workers."""
from .formatting import PackSemiInputs
from .geometry import CentreView, RandomFlipFields, RandomRescale
from .loading import LoadDebiasedMask, LoadImage, LoadMask, LoadPanopticClass
from .localization import LoadLocMask, ResizeWithBoxes
from .referring import LoadReferredMask, PackReferring, draw_segmentation
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
    'CentreView',
    'DeriveSupervision',
    'LoadDebiasedMask',
    'LoadImage',
    'LoadLocMask',
    'LoadMask',
    'LoadPanopticClass',
    'LoadReferredMask',
    'PackReferring',
    'PackSemiInputs',
    'RandomFlipFields',
    'RandomRescale',
    'ResizeWithBoxes',
    'affine_noise',
    'block_labels',
    'boxes_of',
    'dilate_labels',
    'draw_segmentation',
    'erode_labels',
    'noisy_tags',
    'point_labels',
    'scribble_labels',
    'tags_of',
]
