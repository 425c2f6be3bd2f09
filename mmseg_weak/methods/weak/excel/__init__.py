"""ExCEL: dense knowledge of CLIP from both sides, a single-stage method from image tags.

Yang et al., Exploring CLIP's Dense Knowledge for Weakly Supervised Semantic Segmentation, CVPR 2025, arXiv 2503.20826;
zwyang6/ExCEL @ 2cd7f51 (no licence).

    texts     class texts enriched by a bank of attributes (TSE)                     :mod:`.text`
    maps      patches of a calibrated, frozen tower against the texts (SVC, LVC)     :mod:`.maps`
    labels    spread along the attention, background, PAR                            ``models/cam/attention_labels``
    decoder   the tokens of all blocks -> X -> logits                                ``TokenFusionHead``
    P = sigmoid(3 (cos(X, X) - mean));  L = L_seg + 0.1 L_div

L_seg is the cross-entropy by halves with eps 1e-6 (``split_cross_entropy``), L_div is AFA's loss on pairs of patches
within a radius of 8 with P as the affinity (``AttentionAffinityLoss``).

Until iteration 14000 (VOC) the maps are the static ones and spread along the mean of the attention; from then on X
calibrates and P chooses and weighs the attention; from 24000 (VOC) L_div takes the labels of the decoder itself.

Deviations. Means of :mod:`.maps` are taken over an image and heads are averaged, by default (``as_published``). Padding
of a crop counts in no loss. At prediction the mirror image counts at scale 1 too. Seeds at
prediction take the boxes of training; there validation has 0.75.
"""
from mmseg_weak.models.cam.attention_labels import (
    affinity_of,
    maps_to_planes,
    planes_to_labels,
    refined_class_maps,
)

from .maps import calibrated_tokens, patch_text_maps, recent_attention, relation_map, surgery_maps
from .segmentor import ExCEL
from .text import attribute_bank, enrich_texts, read_attributes

__all__ = ['ExCEL', 'affinity_of', 'attribute_bank', 'calibrated_tokens', 'enrich_texts', 'maps_to_planes',
           'patch_text_maps', 'planes_to_labels', 'read_attributes', 'recent_attention', 'refined_class_maps',
           'relation_map', 'surgery_maps']
