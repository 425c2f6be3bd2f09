"""Affinity between all patches, from a transformer's attention, and the spread of score maps along it.

AFA: Ru et al., CVPR 2022, arXiv 2203.02664; rulixiang/afa @ adcfa29 (no licence). MCTformer spreads along the plain sum
of its attentions (:func:`spread` with them). Patches are few (30 x 30), so these matrices are dense.
"""
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, DataError

from .base import Refiner, check_finite, pack_present, unpack_present

__all__ = ['AttentionAffinity', 'AttentionWalk', 'add_background', 'affinity_transition', 'radius_mask', 'spread']


def radius_mask(size: tuple[int, int], radius: int, device: torch.device | str | None = None) -> Tensor:
    """Pairs of patches up to ``radius`` apart in both directions (Chebyshev), (hw,hw) bool; AFA: radius 8."""
    y = torch.arange(size[0], device=device).repeat_interleave(size[1])
    x = torch.arange(size[1], device=device).repeat(size[0])
    return ((y[:, None] - y).abs() <= radius) & ((x[:, None] - x).abs() <= radius)


def affinity_transition(affinity: Tensor, mask: Tensor | None = None, power: float = 2,
                        offset: float = 1e-4) -> Tensor:
    """T = A^power / (column sums + offset), entries outside of ``mask`` 0.

    Args:
        affinity: (B,hw,hw) in [0, 1].
        mask: (hw,hw), see :func:`radius_mask`.
        power: AFA: 2.
        offset: AFA: 1e-4 without a background plane, 0.1 with one.
    """
    if mask is not None:
        affinity = affinity * mask.to(affinity)
    powered = affinity.pow(power)
    return powered / (powered.sum(1, keepdim=True) + offset)


def spread(scores: Tensor, transition: Tensor, steps: int = 1) -> Tensor:
    """s <- s T, ``steps`` times: (B,C,h,w), (B,hw,hw) -> (B,C,h,w). Give T transposed for weights by rows."""
    flat = scores.flatten(2)
    for _ in range(steps):
        flat = flat @ transition
    return flat.view_as(scores)


def add_background(cams: Tensor, present: Tensor, bkg_score: float) -> Tensor:
    """Softmax over a constant background plane and the CAMs of the present classes.

    Args:
        cams: (B,C,h,w) in [0, 1], foreground classes.
        present: (B,C) bool.
        bkg_score: AFA: 0.35 and 0.55.

    Returns:
        (B,C+1,h,w), background first, absent classes 0.
    """
    present = present.bool()[:, :, None, None]
    planes = torch.cat([torch.full_like(cams[:, :1], bkg_score), cams.masked_fill(~present, -torch.inf)], 1)
    return planes.softmax(1)


@MODELS.register_module()
class AttentionAffinity(nn.Module):
    """AFA's affinity head: attentions of the last blocks -> symmetric affinity in (0, 1).

    P = sigmoid(conv(A + A^T)); A is the raw q k^T, before the scale and the softmax (mix_transformer.py:107,123).

    Args:
        num_maps: heads of all blocks together. AFA with MiT: 2 blocks of 8 heads.
    """

    def __init__(self, num_maps: int = 16) -> None:
        super().__init__()
        self.attn_proj = nn.Conv2d(num_maps, 1, 1)
        nn.init.kaiming_normal_(self.attn_proj.weight, a=5 ** 0.5, mode='fan_out')

    def forward(self, attentions: list[Tensor]) -> Tensor:
        """List of (B,heads,hw,hw), as many maps as ``num_maps`` -> (B,hw,hw)."""
        maps = torch.cat(list(attentions), 1)
        maps = maps + maps.transpose(2, 3)
        return self.attn_proj(maps).squeeze(1).sigmoid()


@MODELS.register_module()
class AttentionWalk(Refiner):
    """AFA's random walk on the affinity of attention.

    ``walk(scores, affinity, present=None)``: scores (B,C,h,w), CAMs in [0, 1]; affinity (B,hw,hw). Returns (B,C,h,w),
    or with ``bkg_score`` (B,C+1,h,w), background first and absent classes 0.

    Args:
        bkg_score: score of a constant background plane, softmax over it and the present classes; None: no background.
        radius: patches farther apart are not linked; None links all.
        power: exponent of the affinities.
        offset: added to the column sums; by default the published 0.1 with a background, 1e-4 without.
        steps: number of steps.
        check: see :class:`Refiner`.
    """

    def __init__(self, bkg_score: float | None = None, radius: int | None = 8, power: float = 2,
                 offset: float | None = None, steps: int = 1, check: bool | None = None) -> None:
        super().__init__(check)
        if steps < 1 or not power > 0:
            raise ConfigError(f'steps={steps}, power={power} of AttentionWalk; give one step or more and a power above '
                              f'0.')
        self.bkg_score, self.radius, self.power, self.steps = bkg_score, radius, power, steps
        self.offset = (1e-4 if bkg_score is None else 0.1) if offset is None else offset

    @torch.no_grad()
    def forward(self, scores: Tensor, image: Tensor, present: Tensor | None = None) -> Tensor:
        """Spread (B,C,h,w) scores along a (B,hw,hw) affinity (given in the place of the image)."""
        if scores.dim() != 4 or image.shape != (len(scores), *[scores[0, 0].numel()] * 2):
            raise DataError(f'AttentionWalk got an affinity of shape {tuple(image.shape)} with scores of shape '
                            f'{tuple(scores.shape)}; give (batch, classes, h, w) and (batch, h w, h w).')
        if self._checks(scores):
            check_finite(scores, 'scores')
            check_finite(image, 'affinity')
        work = scores if scores.dtype == torch.float64 else scores.float()
        with torch.autocast(work.device.type, enabled=False):
            return self.refine(work, image.to(work), present).to(scores.dtype)

    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """Background, transition, steps."""
        size = tuple(scores.shape[-2:])
        mask = None if self.radius is None else radius_mask(size, self.radius, scores.device)
        transition = affinity_transition(image, mask, self.power, self.offset)
        if self.bkg_score is not None:
            present = scores.new_ones(scores.shape[:2]).bool() if used is None else used
            return spread(add_background(scores, present, self.bkg_score), transition, self.steps)
        if used is None:
            return spread(scores, transition, self.steps)
        packed, index, kept = pack_present(scores, used.bool())
        return unpack_present(spread(packed, transition, self.steps), index, kept, scores.shape[1])
