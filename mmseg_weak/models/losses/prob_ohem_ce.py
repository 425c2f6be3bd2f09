"""Online hard example mining by probability, as the semi-supervised papers use it on Cityscapes."""
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from .common import full_precision, masked_mean, pixel_cross_entropy

__all__ = ['ProbOhemCrossEntropyLoss', 'prob_ohem_cross_entropy']


def prob_ohem_cross_entropy(logits: Tensor, target: Tensor, *, thresh: float = 0.7, min_kept: int = 100000,
                            class_weight: Tensor | None = None, weight: Tensor | None = None,
                            ignore_index: int = 255) -> Tensor:
    """Mean cross-entropy over the hard pixels.

    Kept are the valid pixels whose true class has probability <= max(thresh, the ``min_kept``-th smallest of the
    batch), so at least ``min_kept`` of them. With ``min_kept`` 0 or above the number of valid pixels: all valid ones.
    The denominator is the number of kept pixels. mmseg's ``OHEMPixelSampler`` differs: it keeps *fewer than* the
    threshold, sorts the valid pixels only and divides by all pixels.

    Args:
        logits: (B,C,H,W).
        target: (B,H,W) long.
        thresh: probability in [0,1].
        min_kept: least number of pixels of the batch to keep.
        class_weight: (C,) factors on the loss, not on its denominator.
        weight: (B,H,W) factors on the loss, not on its denominator.

    Returns:
        Scalar; 0 where nothing is valid.

    Source: LiheYoung/UniMatch @ 0324f3d, util/ohem.py (CPS, U2PL and MGD use the same rule).
    """
    valid = target.ne(ignore_index)
    loss_map = pixel_cross_entropy(logits, target, ignore_index, class_weight)
    if weight is not None:
        loss_map = loss_map * weight
    if min_kept <= 0:
        return masked_mean(loss_map, valid)
    with torch.no_grad():
        index = torch.where(valid, target, torch.zeros_like(target)).unsqueeze(1)
        prob = full_precision(logits).softmax(1).gather(1, index).squeeze(1)
        prob = torch.where(valid, prob, torch.ones_like(prob))
        kth = prob.flatten().kthvalue(min(min_kept, prob.numel())).values
        few = valid.sum() < min_kept
        kept = valid & (few | (prob <= kth.clamp(min=thresh)))
    return masked_mean(loss_map, kept)


@MODELS.register_module()
class ProbOhemCrossEntropyLoss(nn.Module):
    """Module of :func:`prob_ohem_cross_entropy`, a ``loss_decode`` of any mmseg head.

    Args:
        thresh: pixels whose true class is less probable than this are hard. Papers: 0.7.
        min_kept: pixels of the batch kept at least. UniMatch 200000, U2PL 100000, CPS 50000 per image (Cityscapes).
        class_weight: one factor a class.
    """

    def __init__(self, thresh: float = 0.7, min_kept: int = 100000, class_weight: list[float] | None = None,
                 loss_weight: float = 1.0, ignore_index: int = 255, loss_name: str = 'loss_ce') -> None:
        super().__init__()
        self.thresh, self.min_kept = thresh, min_kept
        self.loss_weight, self.ignore_index, self._loss_name = loss_weight, ignore_index, loss_name
        self.register_buffer('class_weight', None if class_weight is None else torch.tensor(class_weight),
                             persistent=False)

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None,
                ignore_index: int | None = None) -> Tensor:
        """(B,C,H,W) logits, (B,H,W) labels -> scalar."""
        return self.loss_weight * prob_ohem_cross_entropy(
            logits, target, thresh=self.thresh, min_kept=self.min_kept, class_weight=self.class_weight, weight=weight,
            ignore_index=self.ignore_index if ignore_index is None else ignore_index)

    @property
    def loss_name(self) -> str:
        """Key under which mmseg's heads log this loss."""
        return self._loss_name
