"""MaskCLIP: every patch keeps its own value (``attention='value'``); prompt denoising and key smoothing refine scores.

Zhou et al., Extract Free Dense Labels from CLIP, ECCV 2022, arXiv 2112.01071; chongzhou96/MaskCLIP @ 245d31f809be
(Apache-2.0).

s are cosines of patches with class texts (B,C,h,w), p = softmax(100 s) over classes.

- Prompt denoising: a class whose p stays below ``pd_thr`` all over an image gets the score -100 there.
- Key smoothing: where max_c p < ``ks_thr``, p becomes W p with W = K^ K^T, K the last block's keys; W is not
  normalised. The result is p, no longer s.

Deviation: keys are cosines of keys, K^ = K / |K| over channels, as the paper says. The official code divides by the
norm over POSITIONS (``as_published=True``).

:class:`MaskCLIPSegmentor` refines every window by itself, before scores are enlarged and averaged.
:class:`MaskCLIPPlus` trains a segmentation network with MaskCLIP's labels, see :mod:`.plus`.
"""
from .plus import MaskCLIPPlus
from .refine import cosine_scores, denoise_prompts, refine_scores, smooth_by_keys
from .segmentor import MaskCLIPSegmentor

__all__ = ['MaskCLIPPlus', 'MaskCLIPSegmentor', 'cosine_scores', 'denoise_prompts', 'refine_scores', 'smooth_by_keys']
