"""OVDiff: classes stand in for themselves by generated pictures; pixels take the nearest prototype.

Karazija et al., Diffusion Models for Open-Vocabulary Segmentation, ECCV 2024, arXiv 2306.09316; karazijal/sdov @
218566b (no licence).

- A support picture of a class has a heat map: the diffusion model's attention to the words of its name
  (:func:`attention_heatmap`). Of mask proposals the warmest is the object, the last one that wins a pixel is background
  (:func:`choose_masks`).
- Prototypes of object and background in any frozen feature space: the mean of all pixels, the mean of each picture, and
  k-means centres (:func:`support_prototypes`), put together and rid of background that looks like stuff
  (:func:`gather_prototypes`).
- A test pixel's score of a class is the cosine with its nearest prototype, of the background with the nearest
  background prototype of an allowed class (:func:`prototype_scores`); scores are averaged over crops and feature
  spaces, those up to 0 count as 0.
- A class is allowed where CLIP finds it (:func:`likely_classes`, :func:`best_subset`).

``mmseg-weak index ovdiff`` makes the prototypes, of pictures that Stable Diffusion draws (:mod:`.sampler`, where
diffusers is installed), of a folder, or of a data set with tags (:mod:`mmseg_weak.apis.index_ovdiff`).

Deviations. Published branches for a class that loses all of its background never run and are left out. CutLER's
proposals may come as files; without them connected parts of clusters of the last feature space take their place
(:func:`.support.region_proposals`). Pictures that no diffusion model drew get their heat from CLIP's patches. CLIP's
keys see CLIP's statistics; ``as_published`` of :class:`.CLIPKeys` gives ImageNet's. k-means is ours (k-means++,
one start), the diffusion features' noise is drawn from one fixed seed.
"""
from .equations import (
    ClassPrototypes,
    MaskChoice,
    Prototypes,
    attention_heatmap,
    best_subset,
    call_heat,
    choose_masks,
    erode,
    fallback_masks,
    gather_prototypes,
    likely_classes,
    prototype_labels,
    prototype_scores,
    scale_heatmap,
    support_prototypes,
    upsample_scores,
)
from .extractors import CLIPKeys, DiffusionQueries, ViTKeys
from .segmentor import OVDiff, OVDiffFeatures
from .support import SupportPicture, class_prototypes, clip_heat, object_masks, region_proposals

__all__ = ['CLIPKeys', 'ClassPrototypes', 'DiffusionQueries', 'MaskChoice', 'OVDiff', 'OVDiffFeatures',
           'Prototypes', 'SupportPicture', 'ViTKeys', 'attention_heatmap', 'best_subset', 'call_heat', 'choose_masks',
           'class_prototypes', 'clip_heat', 'erode', 'fallback_masks', 'gather_prototypes', 'likely_classes',
           'object_masks', 'prototype_labels', 'prototype_scores', 'region_proposals', 'scale_heatmap',
           'support_prototypes', 'upsample_scores']
