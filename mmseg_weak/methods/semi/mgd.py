"""MGD: Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation, ECCV 2022.

arXiv 2208.10169; official repository JayQine/MGD-SSSS @ 9309105 (MIT).
"""
from collections.abc import Sequence

from torch import Tensor

from mmseg_weak.models.losses.common import masked_mean, pixel_cross_entropy

__all__ = ['cross_labels']


def cross_labels(student: Tensor, teachers: Sequence[tuple[Tensor, Tensor]], student_labels: Tensor | None = None,
                 ignore_index: int = 255) -> list[Tensor]:
    """Pixel-level consistency: CE(s, P_T) of every teacher T, and CE(t, P_S) where the student's labels are given.

    Args:
        student: (B,C,H,W) logits.
        teachers: (logits (B,C,H,W), pseudo labels (B,H,W)) of each.
        student_labels: (B,H,W); with frozen teachers their terms are constants that change the log alone.

    Returns:
        The terms, means over labelled pixels.
    """
    pairs = [(student, labels) for _, labels in teachers]
    if student_labels is not None:
        pairs += [(logits, student_labels) for logits, _ in teachers]
    return [masked_mean(pixel_cross_entropy(logits, labels, ignore_index), labels.ne(ignore_index))
            for logits, labels in pairs]
