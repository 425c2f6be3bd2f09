"""UniMatch V2: Pushing the Limit of Semi-Supervised Semantic Segmentation, TPAMI 2025.

arXiv 2410.10777; official repository LiheYoung/UniMatch-V2 @ f6afb4d (MIT).
"""
import torch
from torch import Tensor

from .unimatch import Pseudo, unimatch_step_losses

__all__ = ['complementary_masks', 'drop_features', 'flip_batch', 'unimatch_v2_step_losses']


def flip_batch(pseudo: Pseudo) -> Pseudo:
    """The CutMix partners' pseudo labels: those of image B-1-i for image i."""
    return Pseudo(pseudo.labels.flip(0), pseudo.conf.flip(0), pseudo.valid.flip(0))


def unimatch_v2_step_losses(loss_x: Tensor, unsup: dict[str, Tensor]) -> dict[str, Tensor]:
    """L = (L_x + (L_s1 + L_s2) / 2) / 2 as summands; ``unsup`` holds 's1' and 's2'."""
    return unimatch_step_losses(loss_x, unsup, s_weight=0.5)


def complementary_masks(given: Tensor, order: Tensor, share_kept: float = 0.5) -> Tensor:
    """Channel masks of two views that complement each other: mask1 = 2 Bernoulli(0.5), mask2 = 2 - mask1.

    Args:
        given: (B,D) uniforms of [0,1), one a channel and pair.
        order: (B,) uniforms; the int(B * share_kept) pairs with the smallest are left whole (both masks 1).

    Returns:
        (2B,D): the masks of all first views, then those of all second views.
    """
    first = 2.0 * (given < 0.5).to(given)
    whole = order.argsort().argsort() < int(len(order) * share_kept)
    first = torch.where(whole.to(first.device)[:, None], torch.ones_like(first), first)
    return torch.cat([first, 2 - first])


def drop_features(feats: Tensor, mask: Tensor) -> Tensor:
    """Scale the channels of (B,tokens,D) or (B,D,h,w) features by a (B,D) mask."""
    mask = mask.to(feats)
    return feats * (mask[:, None] if feats.dim() == 3 else mask[:, :, None, None])
