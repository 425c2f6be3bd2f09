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
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import DenseViT, KeptFeatures, max_over_names
from mmseg_weak.models.segmentors import OpenVocabSegmentor

__all__ = ['MaskCLIPSegmentor', 'cosine_scores', 'denoise_prompts', 'refine_scores', 'smooth_by_keys']


def cosine_scores(features: Tensor, texts: Tensor) -> Tensor:
    """Cosines of patches with texts.

    Args:
        features: (B,d,h,w), any scale.
        texts: (C,d), unit vectors.

    Returns:
        (B,C,h,w).
    """
    return F.conv2d(F.normalize(features, dim=1), texts[:, :, None, None])


def denoise_prompts(scores: Tensor, pd_thr: float, scale: float = 100.0, denoised: float = -100.0) -> Tensor:
    """Put classes that are nowhere likely out of the race: (B,C,h,w) -> (B,C,h,w) scores."""
    seen = (scores * scale).softmax(1).amax((2, 3), keepdim=True) >= pd_thr
    return scores.masked_fill(~seen, denoised)


def smooth_by_keys(probs: Tensor, keys: Tensor, ks_thr: float, as_published: bool = False) -> Tensor:
    """Let unsure positions take the probabilities of those with similar keys.

    Args:
        probs: (B,C,h,w).
        keys: (B,hw,d) of the last block's patches.
        ks_thr: positions whose largest probability is below are replaced; 1 replaces all but certain ones.
        as_published: see the module's docstring.

    Returns:
        (B,C,h,w); not normalised where replaced.
    """
    keys = F.normalize(keys, dim=1 if as_published else 2)
    flat = probs.flatten(2)
    smooth = flat @ (keys @ keys.transpose(1, 2))  # the weights are symmetric
    return flat.where(flat.amax(1, keepdim=True) >= ks_thr, smooth).view_as(probs)


def refine_scores(scores: Tensor, keys: Tensor | None, pd_thr: float = 0.0, ks_thr: float = 0.0, scale: float = 100.0,
                  as_published: bool = False) -> Tensor:
    """Both refinements; a threshold of 0 switches its one off.

    Args:
        scores: (B,C,h,w) cosines.
        keys: (B,hw,d); may be None without key smoothing.
        pd_thr, ks_thr: the official configs set 0.5 and 1 where they use them.
        scale: of the softmax.
        as_published: see the module's docstring.

    Returns:
        (B,C,h,w): probabilities with key smoothing (do not softmax them again), else scores.
    """
    if pd_thr > 0:
        scores = denoise_prompts(scores, pd_thr, scale)
    if ks_thr > 0:
        scores = smooth_by_keys((scores * scale).softmax(1), keys, ks_thr, as_published)
    return scores


class _KeyedFeatures(KeptFeatures):
    """Unit features with the keys of their patches behind them; their scores are refined window by window."""

    def __init__(self, *args, dim: int, refine: dict) -> None:
        super().__init__(*args)
        self.dim, self.refine = dim, refine

    def low(self, texts: Tensor, part: slice = slice(None)) -> Tensor:
        """Refined scores of patches: (n,names,h,w), of some windows."""
        features, keys = self.features[part, :self.dim], self.features[part, self.dim:]
        scores = torch.einsum('md,ndhw->nmhw', texts.to(features), features)
        return refine_scores(scores, keys.flatten(2).transpose(1, 2), **self.refine)

    def probs(self, cosines: Tensor, owner: Sequence[int], scale: float) -> Tensor:
        """After key smoothing scores are no probabilities any more; shares of the positive ones are given."""
        if not self.refine['ks_thr']:
            return super().probs(cosines, owner, scale)
        positive = cosines.clamp_min(0)
        return max_over_names(positive / positive.sum(0, keepdim=True).clamp_min(1e-12), owner, 0)


@MODELS.register_module()
class MaskCLIPSegmentor(OpenVocabSegmentor):
    """MaskCLIP with its refinement; without it an ``OpenVocabSegmentor`` does.

    Args:
        pd_thr: see :func:`denoise_prompts`; 0: off. The official configs that refine: 0.5.
        ks_thr: see :func:`smooth_by_keys`; 0: off. The official configs that refine: 1.
        keys_as_published: keys are divided by their norm over positions.
        kwargs: of :class:`.OpenVocabSegmentor`.

    Raises:
        ConfigError: a tower without keys (a ResNet), or a refiner of cosines beside this one.
    """

    def __init__(self, pd_thr: float = 0.5, ks_thr: float = 1.0, keys_as_published: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.clip.vision, DenseViT):
            raise ConfigError(f'{self.clip.name} is a ResNet, whose patches have no keys to smooth by; take a ViT.')
        if self.refiner is not None:
            raise ConfigError('model.refiner refines cosines of some names at a time, MaskCLIP those of all; set it to '
                              'None.')
        self.refine = dict(pd_thr=pd_thr, ks_thr=ks_thr, scale=self.test_cfg['scale'], as_published=keys_as_published)

    def encode(self, windows: Tensor) -> Tensor:
        """(n,3,c,c) -> (n,d+D,h,w): unit features, then the last block's keys."""
        tower = self.clip.vision
        out, last = self.clip(windows, layers=(tower.depth - 2, ), whole=False), tower.depth - 1
        grid = tuple(out.dense.shape[-2:])
        keys = tower.heads(out.layers[last - 1], last, grid).k[:, :, 1:]
        keys = keys.permute(0, 1, 3, 2).flatten(1, 2).unflatten(2, grid).float()
        return torch.cat([F.normalize(out.dense, dim=1), keys], 1)

    def kept_kind(self, *args) -> KeptFeatures:
        """See :class:`.OpenVocabSegmentor`."""
        return _KeyedFeatures(*args, dim=self.clip.vision.embed_dim, refine=self.refine)
