"""MaskCLIP's two refinements of scores."""
import torch.nn.functional as F
from torch import Tensor

__all__ = ['cosine_scores', 'denoise_prompts', 'refine_scores', 'smooth_by_keys']


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
        as_published: see the package's docstring.

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
        as_published: see the package's docstring.

    Returns:
        (B,C,h,w): probabilities with key smoothing (do not softmax them again), else scores.
    """
    if pd_thr > 0:
        scores = denoise_prompts(scores, pd_thr, scale)
    if ks_thr > 0:
        scores = smooth_by_keys((scores * scale).softmax(1), keys, ks_thr, as_published)
    return scores
