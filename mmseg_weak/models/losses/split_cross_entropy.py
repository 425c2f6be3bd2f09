"""Cross-entropy of background and objects by halves, as single-stage methods from image tags use it (AFA, ToCo)."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .common import full_precision, masked_mean

__all__ = ['SplitCrossEntropyLoss', 'split_cross_entropy']


def split_cross_entropy(logits: Tensor, target: Tensor, *, ignore_index: int = 255, eps: float = 0.0) -> Tensor:
    """Half the mean over background pixels plus half the mean over object pixels, so that background does not dominate.

    A half without pixels is 0 (published: NaN).

    Args:
        logits: (B,C,H,W).
        target: (B,H,W) long, 0 background; ``ignore_index`` counts in neither half.
        eps: added to the number of pixels of each half. WeCLIP, ExCEL: 1e-6.

    Returns:
        Scalar.

    Source: rulixiang/ToCo @ e13514d, model/losses.py get_seg_loss.
    """
    per_pixel = F.cross_entropy(full_precision(logits), target, ignore_index=ignore_index, reduction='none')
    objects = (target != 0) & (target != ignore_index)
    if eps:
        halves = [torch.where(half, per_pixel, 0).sum() / (half.sum() + eps) for half in (target == 0, objects)]
        return 0.5 * sum(halves)
    return 0.5 * (masked_mean(per_pixel, target == 0) + masked_mean(per_pixel, objects))


@MODELS.register_module()
class SplitCrossEntropyLoss(nn.Module):
    """Module of :func:`split_cross_entropy`, usable as an mmseg ``loss_decode``.

    Args:
        loss_weight: ToCo 0.1, AFA 0.1.
        loss_name: key under which it is logged.
        eps: of :func:`split_cross_entropy`.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_split_ce', eps: float = 0.0) -> None:
        super().__init__()
        self.loss_weight, self._loss_name, self.eps = loss_weight, loss_name, eps

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255,
                **kwargs) -> Tensor:
        """(B,C,H,W), (B,H,W) -> scalar; mmseg's ``weight`` is not used."""
        return self.loss_weight * split_cross_entropy(logits, target, ignore_index=ignore_index, eps=self.eps)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
