"""TRIS: referring segmentation learnt from sentences alone.

Liu et al., Referring Image Segmentation Using Text Supervision, ICCV 2023, arXiv 2308.14575; fawnliu/TRIS @ c6666b3
(MIT).

Stage 1 (:class:`TRIS`). C (B,C,h,w) of CLIP's ResNet, sentences t (B,Ct); V = |conv1x1 C|, T = |linear t|, each (..,D)
of unit length. Every image i meets all B sentences of the batch:

    V <- V + 0.1 V',  T <- T + 0.1 T'                  bilateral prompt, no new normalisation
    S = exp(s) V T^T                                   (B,B,h,w), sentence j on image i
    M = softmax over sentences and a constant background of 1
    y = mean_p S + max_p S + f(mean_p M),  f(x) = (1 - x)^3 log(0.01 + x);   L_cls = multi-label soft margin(y, I)
    response of image i: S[i,i] at image size; its sigmoid trains, its ReLU is evaluated

    L_fg = -mean log clamp(cos(CLIP(response * image), sentence), 1e-4, 0.9999)
    L_cal = mean -log(1 - cos(CLIP(response * image), n)) over sentences n of other objects
    L = L_fg + 5 L_cls + 2 L_cal

Pseudo masks (``mmseg-weak refer-label``). PRMS keeps, of an object's responses, the one that all its sentences together
like best; IRNet learns boundaries from its sure pixels (above 0.3, below 0.1, after a CRF), and the response walks up
to them (:class:`TRISWalk`).

Stage 2 (:class:`TRISSegmentor`). From the second stage of CLIP's ResNet on, places gather words by pixel-word attention
(LAVT's); a top-down decoder with four outputs learns the pseudo masks.

Deviations. 1 - cos is kept at least 1e-4 (published: no guard). A sentence of more than 20 tokens keeps its end
(``cut_as_published``: it is merely cut); the judge reads all of it. Images are normalised with CLIP's statistics by the
configs; ImageNet's, as published, are a matter of ``data_preprocessor``. Stage 2's learning rate falls with every
iteration (published: with every epoch, by the formula of iterations, so hardly at all). Of the CLIP that is trained
further, a ViT serves too (ToyWorld).
"""
from .base import ReferringSegmentor
from .equations import (
    BilateralPrompt,
    PixelWordAttention,
    TRISHead,
    calibration_loss,
    choose_response,
    clip_losses,
    foreground_loss,
    mask_at,
    normalize_response,
    response_focal,
    sentence_logits,
    similarity,
)
from .stage1 import TRIS
from .stage2 import TRISSegmentor, mask_loss
from .tower import encode_sentences, map_channels, token_ids, visual_maps
from .walk import TRISWalk
from .zero_shot import ReferringCLIP

__all__ = ['TRIS', 'BilateralPrompt', 'PixelWordAttention', 'ReferringCLIP', 'ReferringSegmentor', 'TRISHead',
           'TRISSegmentor', 'TRISWalk', 'calibration_loss', 'choose_response', 'clip_losses', 'encode_sentences',
           'foreground_loss', 'map_channels', 'mask_at', 'mask_loss', 'normalize_response', 'response_focal',
           'sentence_logits', 'similarity', 'token_ids', 'visual_maps']
