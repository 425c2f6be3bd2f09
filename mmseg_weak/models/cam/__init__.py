"""Class activation maps, and the networks that learn affinities from their seeds."""
from .affinity_net import AffinityHead
from .confident import ConfidentSeeds, confident_labels
from .grad_cam import GradCAM, grad_cam
from .irnet import IRNetHeads, MeanShift
from .multi_scale import merge_scales, multi_scale_cam, scale_maps
from .pooled_classifier import PooledClassifier, linear_cam
from .pooling import POOLINGS, pool_maps, ranked_pool, topk_pool
from .refined_labels import refined_labels
from .seeds import cam_to_regions, cam_to_seed, merge_confident, normalize_cam, scores_to_labels, with_background
from .token_maps import class_to_patch, fuse_maps, patch_to_patch, patch_token_cam, spread_by_attention, tokens_to_map

__all__ = ['AffinityHead', 'ConfidentSeeds', 'GradCAM', 'IRNetHeads', 'MeanShift', 'POOLINGS', 'PooledClassifier',
           'cam_to_regions', 'cam_to_seed', 'class_to_patch', 'confident_labels', 'fuse_maps', 'grad_cam',
           'linear_cam', 'merge_confident', 'merge_scales', 'multi_scale_cam', 'normalize_cam', 'patch_to_patch',
           'patch_token_cam', 'pool_maps', 'ranked_pool', 'refined_labels', 'scale_maps', 'scores_to_labels',
           'spread_by_attention', 'tokens_to_map', 'topk_pool', 'with_background']
