"""CLIP-DINOiser: two small convolutions on CLIP learn from DINO which patches belong together.

Wysoczańska et al., CLIP-DINOiser: Teaching CLIP a few DINO tricks for open-vocabulary semantic segmentation, ECCV 2024,
arXiv 2312.12359; wysoczanska/clip_dinoiser @ a954aae (Apache-2.0).

X (B,D,h,w): patches after LN2 of the tower's third block from the end; F (B,d,h,w): dense features of the value path
(MaskCLIP's, residual and FFN kept), not normalised; N = hw.

    Z = conv3x3(X);  A = cos(Z, Z)                         (B,N,N)          b = conv1x1(X / |X|)    (B,1,h,w)
    F'_n = sum_p A_np F_p / (sum_p A_np + 1e-6),  A below gamma = 0
    p = softmax_k(100 cos(F', t_k));  p_0 <- 1 where max p < delta and sigmoid(b) <= 0.5
    L = BCE(max(A, 0), A_dino > 0) + BCE(b, FOUND > 0.5)

A_dino are cosines of the values of DINO's last attention, below gamma 0; FOUND is a foreground probability. Both
teachers are dropped after training, which needs images alone.

Deviations. Cleaning works on every image of a batch (published for one). Windows that do not fill whole patches are
extended by zeros on all sides, after normalisation (official: right and below, before). Images to learn from are drawn
without replacement. A class of several names has the best of them.
"""
from .equations import (
    CLIPDINOiserHead,
    clean_background,
    cosine_affinity,
    cut_affinity,
    dinoiser_losses,
    guided_pool,
    head_weights,
    patch_probs,
    student_features,
    value_tokens,
)
from .segmentor import CLIPDINOiser
from .teachers import FOUND, attention_features

__all__ = ['CLIPDINOiser', 'CLIPDINOiserHead', 'FOUND', 'attention_features', 'clean_background', 'cosine_affinity',
           'cut_affinity', 'dinoiser_losses', 'guided_pool', 'head_weights', 'patch_probs', 'student_features',
           'value_tokens']
