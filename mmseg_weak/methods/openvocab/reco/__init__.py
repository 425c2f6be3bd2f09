"""ReCo: retrieve pictures of a class from an unlabelled bank, find what they share, look for it elsewhere.

Shin, Xie & Albanie, ReCo: Retrieve and Co-segment for Zero-shot Transfer, NeurIPS 2022, arXiv 2206.07045;
NoelShin/reco @ 5c5e1bc (no licence).

Of a class n pictures are kept that CLIP finds most similar to its name. X (n,c,h,w) are dense features of a frozen
encoder, m (n,h,w) weights of their places, x^ unit vectors, M = hw:

    m = sigma(10 cos(dense CLIP, text)) * product over context classes of (1 - sigma(cos(X, context)))
    a_pj = m_j <x^_p, x^_j>;  score_p = mean over pictures of the largest a_pj in each;  seed = the best p of a picture
    reference = unit mean of the seeds' features
    test image: sigma(cos(X, reference)) sigma(10 cos(dense CLIP, text)), each enlarged first

References of context classes are made first, in their order, by those before them; a class of such a name takes its.
``mmseg-weak index reco`` embeds the bank's pictures and makes the references, once (:mod:`mmseg_weak.apis.index_reco`);
the segmentor reads the file. ReCo+ is mmseg's DeepLabV3+ on ReCo's masks: configs alone.

Deviations. The official slice of picture i's columns is [iM, min((2i+1)M, nM)), so that later pictures take part in
earlier ones' maxima, and dense CLIP sees pictures normalised with ImageNet's statistics; here it is picture i and
CLIP's own, and ``as_published=True`` gives theirs, with which the published numbers were made. 'winner' and 'weighted'
of :data:`MODES` are the official code's alternatives.
"""
from .equations import (
    MODES,
    combine_seeds,
    context_weights,
    find_seeds,
    position_weights,
    reco_scores,
    reference_feature,
    retrieve,
    text_attention,
)
from .segmentor import CONTEXTS, ReCo, ReCoFeatures, square

__all__ = ['CONTEXTS', 'MODES', 'ReCo', 'ReCoFeatures', 'combine_seeds', 'context_weights', 'find_seeds',
           'position_weights', 'reco_scores', 'reference_feature', 'retrieve', 'square', 'text_attention']
