"""MARS: take the rails away from the train. Biased objects in pseudo masks are found without labels, then relearnt.

Jo, Yu & Kim, MARS: Model-agnostic Biased Object Removal without Additional Supervision for Weakly-Supervised Semantic
Segmentation, ICCV 2023, arXiv 2304.09913. shjo-april/MARS @ 160f48f holds a README and no code; equations are numbered
as in the paper.

F_i (D,h,w) are embeddings of image i from a network that was trained without labels, Y_i (H,W) its pseudo mask:

    v: k-means centroids of {F_i(x) : Y_i(x) = c}, for every image and class
    (1)      dist(v) = mean over all background centroids v_j of (1 - cos(v, v_j)) / 2
    (2), (3) V^c = mean of the alpha of the class's centroids that are farthest
    (4)      M_i = CRF(ReLU(max over the image's classes of cos(F_i, V^c)))
    (5)      Y^db = biased where Y > 0 outside of M, else Y            :class:`Debiaser`, `mmseg-weak debias`
    (6)      W = largest probability of the teacher among the image's classes where biased, else 1
    (7)      L = mean of -W log P(Y^co),  Y^co = argmax CRF(teacher) where biased, else Y^db        :class:`MARS`

Biased pixels travel as a map of their own (``gt_biased``; value 254 in the files), never as a class and never as 255.

Inferred, since the text leaves it open: features of unit length before the k-means; two-class CRF on [1 - M, M] with
0.5 as border; mean over valid pixels in (7), the paper prints a sum; the teacher's momentum and the CRF's settings.
Cosines are taken on the feature map and enlarged, not of enlarged features.
"""
from .debias import Debiaser, DenseFeatures, image_centroids
from .equations import (
    background_distance,
    certain_mask,
    complement,
    debias_labels,
    debiased_centroid,
    debiased_centroids,
    sum_directions,
    target_map,
    weighted_cross_entropy,
)
from .segmentor import MARS

__all__ = ['Debiaser', 'DenseFeatures', 'MARS', 'background_distance', 'certain_mask', 'complement', 'debias_labels',
           'debiased_centroid', 'debiased_centroids', 'image_centroids', 'sum_directions', 'target_map',
           'weighted_cross_entropy']
