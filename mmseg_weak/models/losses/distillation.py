"""MGD's distillation losses: class presence of the image, and the likeness of its regions."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .common import full_precision

__all__ = ['RegionContentLoss', 'SemanticSensitiveLoss', 'region_content_loss', 'region_similarity',
           'semantic_sensitive_loss']


def _masked_pool(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over the (valid) pixels of (B,C,H,W): (B,C)."""
    if valid is None:
        return values.mean((2, 3))
    valid = valid.unsqueeze(1)
    return torch.where(valid, values, torch.zeros_like(values)).sum((2, 3)) / valid.sum((2, 3)).clamp(min=1)


def semantic_sensitive_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """sum_{b,c} | GAP(s) - GAP(t) |, a sum: it grows with the batch and the number of classes.

    Args:
        student, teacher: (B,C,H,W) logits; the teacher's get no gradient.
        valid: (B,H,W) bool, pixels to average over; None (as published): all.
    """
    student, teacher = full_precision(student), full_precision(teacher.detach())
    return (_masked_pool(student, valid) - _masked_pool(teacher, valid)).abs().sum()


def region_similarity(feats: Tensor, pool_size: int = 7, eps: float = 1e-8) -> Tensor:
    """Cosine similarity of all pairs of regions: (B,D,h,w) -> (B, pool^2, pool^2).

    A region whose pooled feature is all zero (ReLU features may be) has similarity 0; the release divides by 0 there.
    """
    regions = F.adaptive_avg_pool2d(full_precision(feats), pool_size).flatten(2)
    unit = F.normalize(regions, dim=1, eps=eps)
    return unit.transpose(1, 2) @ unit


def region_content_loss(student: Tensor, teacher: Tensor, pool_size: int = 7) -> Tensor:
    """Mean over images and region pairs of the squared difference of :func:`region_similarity`.

    Args:
        student, teacher: (B,D,h,w) decoder features, D may differ; the teacher's get no gradient.
    """
    return (region_similarity(student, pool_size) - region_similarity(teacher.detach(), pool_size)).square().mean()


@MODELS.register_module()
class SemanticSensitiveLoss(nn.Module):
    """Module of :func:`semantic_sensitive_loss`, image level.

    Args:
        loss_weight: lambda_1. VOC ResNet-18 0.002, MobileNetV2 0.0005; Cityscapes 0.001.
    """

    def __init__(self, loss_weight: float = 0.002, loss_name: str = 'loss_semantic') -> None:
        super().__init__()
        self.loss_weight, self._loss_name = loss_weight, loss_name

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B,C,H,W) logits twice -> scalar."""
        return self.loss_weight * semantic_sensitive_loss(student, teacher, valid)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name


@MODELS.register_module()
class RegionContentLoss(nn.Module):
    """Module of :func:`region_content_loss`, region level.

    Args:
        pool_size: regions per side.
        loss_weight: lambda_2. ResNet-18 100, MobileNetV2 50.
    """

    def __init__(self, pool_size: int = 7, loss_weight: float = 100.0, loss_name: str = 'loss_content') -> None:
        super().__init__()
        self.pool_size, self.loss_weight, self._loss_name = pool_size, loss_weight, loss_name

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(B,D,h,w) decoder features twice -> scalar."""
        return self.loss_weight * region_content_loss(student, teacher, self.pool_size)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
