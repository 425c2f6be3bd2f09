"""Gated dense-CRF energy: neighbours of like colour should get like labels (ToCo's and AFA's regulariser).

Tang et al., On Regularized Losses for Weakly-supervised CNN Segmentation, ECCV 2018; gate of Zhang et al. as in
rulixiang/ToCo @ e13514d, model/losses.py. The kernel is the permutohedral lattice of meng-tang/rloss @ 1caa759, which
the published weight (1e-7) is made for: it gives about half of what the exact kernel gives.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine.dense_crf import bilateral_features
from mmseg_weak.models.refine.lattice import PermutohedralLattice

from .common import full_precision

__all__ = ['DenseEnergyLoss', 'bilateral_filter', 'dense_energy_loss']


def bilateral_filter(values: Tensor, image: Tensor, sxy_px: float, srgb: float) -> Tensor:
    """sum_j exp(-|f_i - f_j|^2 / 2) v_j, not normalised.

    Args:
        values: (B,C,H,W).
        image: (B,3,H,W) RGB, 0 to 255.
        sxy_px, srgb: standard deviations of position and colour.

    Returns:
        (B,C,H,W), no gradient.
    """
    image = image.detach() if image.dtype == torch.float64 else image.detach().float()
    lattice = PermutohedralLattice(bilateral_features(image, sxy_px, srgb))
    flat = full_precision(values.detach()).flatten(2).transpose(1, 2)
    return lattice.filter(flat.contiguous()).transpose(1, 2).reshape(values.shape)


class _GatedEnergy(torch.autograd.Function):
    """-<S, G K S> / B with S = prob * region; backward takes gate and filtered map as constants (no product rule)."""

    @staticmethod
    def forward(ctx, probs: Tensor, image: Tensor, region: Tensor, gate: Tensor, sxy_px: float, srgb: float) -> Tensor:
        inside = probs * region
        filtered = bilateral_filter(inside, image, sxy_px, srgb) * gate
        ctx.save_for_backward(filtered, region)
        return -(inside * filtered).sum() / len(probs)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        filtered, region = ctx.saved_tensors
        return -2 * grad * filtered / len(filtered) * region, None, None, None, None, None


def dense_energy_loss(logits: Tensor, image: Tensor, target: Tensor, region: Tensor, *, srgb: float = 15,
                      sxy_px: float = 100, scale_factor: float = 0.5, ignore_index: int = 255) -> Tensor:
    """Energy of the softmax probabilities, a sum over pixels and pairs, mean over images; it is negative.

    Args:
        logits: (B,C,H,W).
        image: (B,3,H,W) RGB, 0 to 255.
        target: (B,H,W) pseudo labels; pixels of ``ignore_index`` are fully open to their neighbours (gate 1), others
            by how unsure they are (1 - max prob).
        region: (B,H,W) bool, True inside of the image.
        srgb: standard deviation of colour.
        sxy_px: of position, pixels of the full size; multiplied by ``scale_factor``.
        scale_factor: resize all by this first. ToCo: 0.5.

    Returns:
        Scalar, before the weight (paper: 1e-7, in all 5e-9).
    """
    probs = full_precision(logits).softmax(1)
    if scale_factor != 1:
        probs = F.interpolate(probs, scale_factor=scale_factor, mode='bilinear', align_corners=False)
        image = F.interpolate(image if image.dtype == torch.float64 else image.float(), scale_factor=scale_factor)
    size = probs.shape[-2:]
    region = F.interpolate(region[:, None].to(probs), size)
    unknown = F.interpolate((target == ignore_index)[:, None].to(probs), size) > 0
    gate = (region - probs.detach().amax(1, keepdim=True)).clamp(min=0).masked_fill(unknown, 1)
    return _GatedEnergy.apply(probs, image, region, gate, sxy_px * scale_factor, srgb)


@MODELS.register_module()
class DenseEnergyLoss(nn.Module):
    """Module of :func:`dense_energy_loss`.

    Args:
        srgb, sxy_px, scale_factor: see the function.
        loss_weight: 1e-7 in the published code, which multiplies it with 0.05 later.
        loss_name: key under which it is logged.
        mean, std: of the images it is given, to undo their normalisation, on a 0..255 scale; None where they are raw.
    """

    def __init__(self, srgb: float = 15, sxy_px: float = 100, scale_factor: float = 0.5, loss_weight: float = 1e-7,
                 loss_name: str = 'loss_dense_energy', mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ConfigError(
                'DenseEnergyLoss got only one of mean and std; give both, as the data preprocessor has them.')
        self.register_buffer('mean', torch.tensor(mean or (0.0, 0.0, 0.0)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std or (1.0, 1.0, 1.0)).view(1, 3, 1, 1), persistent=False)
        self.srgb, self.sxy_px, self.scale_factor = srgb, sxy_px, scale_factor
        self.loss_weight, self._loss_name = loss_weight, loss_name

    def forward(self, logits: Tensor, image: Tensor, target: Tensor, region: Tensor,
                ignore_index: int = 255) -> Tensor:
        """See :func:`dense_energy_loss`."""
        image = image * self.std + self.mean
        return self.loss_weight * dense_energy_loss(logits, image, target, region, srgb=self.srgb, sxy_px=self.sxy_px,
                                                    scale_factor=self.scale_factor, ignore_index=ignore_index)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
