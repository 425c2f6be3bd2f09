"""Class activation maps, and the networks that learn affinities from their seeds."""
from .affinity_net import AffinityHead
from .irnet import IRNetHeads, MeanShift
from .multi_scale import merge_scales, multi_scale_cam, scale_maps
from .pooled_classifier import PooledClassifier
from .seeds import cam_to_regions, cam_to_seed, merge_confident, normalize_cam, scores_to_labels, with_background

__all__ = ['AffinityHead', 'IRNetHeads', 'MeanShift', 'PooledClassifier', 'cam_to_regions', 'cam_to_seed',
           'merge_confident', 'merge_scales', 'multi_scale_cam', 'normalize_cam', 'scale_maps', 'scores_to_labels',
           'with_background']
