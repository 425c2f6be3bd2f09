"""Cross-entropy on the pseudo labels of low entropy (U2PL, FST)."""
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.models.teachers.policies import quantile_threshold

from .common import full_precision, masked_mean, pixel_cross_entropy

__all__ = ['EntropyFilteredCE', 'drop_high_entropy', 'entropy_filtered_ce', 'pixel_entropy']


def pixel_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax of (B,C,H,W) logits, (B,H,W), nats."""
    prob = full_precision(logits).softmax(1)
    return -(prob * torch.log(prob + 1e-10)).sum(1)


@torch.no_grad()
def drop_high_entropy(target: Tensor, teacher: Tensor, percent: float, ignore_index: int = 255) -> Tensor:
    """Ignore the labels where the teacher's entropy reaches its percentile.

    Args:
        target: (B,H,W) long pseudo labels.
        teacher: (B,C,H,W) logits of the teacher on the same images.
        percent: share of the labelled pixels to keep, 0..100; at 100 the pixels of the highest entropy still go
            (``>=``, as released).

    Returns:
        (B,H,W) long.
    """
    entropy = pixel_entropy(teacher)
    known = target.ne(ignore_index)
    thr = quantile_threshold(entropy, known, percent / 100)
    return torch.where(known & (entropy >= thr), torch.full_like(target, ignore_index), target)


def entropy_filtered_ce(logits: Tensor, target: Tensor, teacher: Tensor, *, percent: float = 80.0,
                        ignore_index: int = 255) -> Tensor:
    """(B H W / kept) times the mean cross-entropy over kept pixels; 0 where none is kept.

    So the fewer pixels are kept, the more each of them weighs (the square of their share).

    Args:
        logits: (B,C,H,W) of the student. target, teacher, percent: see :func:`drop_high_entropy`.

    Source: Haochen-Wang409/U2PL @ ab3d2be, u2pl/utils/loss_helper.py.
    """
    target = drop_high_entropy(target, teacher, percent, ignore_index)
    kept = target.ne(ignore_index)
    mean = masked_mean(pixel_cross_entropy(logits, target, ignore_index), kept)
    return mean * (target.numel() / kept.sum().clamp(min=1))


@MODELS.register_module()
class EntropyFilteredCE(nn.Module):
    """Module of :func:`entropy_filtered_ce`.

    Args:
        percent: share of pixels to keep at the start of the run, 0..100. U2PL, FST: 80 (100 on FST's Cityscapes).
    """

    def __init__(self, percent: float = 80.0, loss_weight: float = 1.0, ignore_index: int = 255,
                 loss_name: str = 'loss_unsup') -> None:
        super().__init__()
        self.percent, self.loss_weight = percent, loss_weight
        self.ignore_index, self._loss_name = ignore_index, loss_name

    def percent_at(self, progress: float) -> float:
        """U2PL's schedule: 100 - (100 - percent)(1 - progress), progress in [0,1]."""
        return 100 - (100 - self.percent) * (1 - progress)

    def forward(self, logits: Tensor, target: Tensor, teacher: Tensor, percent: float | None = None) -> Tensor:
        """Scalar; ``percent`` overrides the start value."""
        return self.loss_weight * entropy_filtered_ce(logits, target, teacher, ignore_index=self.ignore_index,
                                                      percent=self.percent if percent is None else percent)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
