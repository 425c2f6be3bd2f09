"""What several losses share."""
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['full_precision', 'masked_mean', 'pixel_cross_entropy']


def full_precision(values: Tensor) -> Tensor:
    """Half precision becomes float32 (softmax, exp and log need it); float32 and float64 stay as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``; 0 with a gradient (of zero) where the mask is empty."""
    return torch.where(mask, values, torch.zeros_like(values)).sum() / mask.sum().clamp(min=1)


def pixel_cross_entropy(logits: Tensor, target: Tensor, ignore_index: int = 255,
                        class_weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of every pixel: (B,C,H,W), (B,H,W) -> (B,H,W), 0 where ignored, float32 under autocast."""
    return F.cross_entropy(full_precision(logits), target, weight=class_weight, ignore_index=ignore_index,
                           reduction='none')
