"""Metrics."""
from .pseudo_mask_metric import PseudoMaskMetric
from .seed_metric import SeedMetric
from .weak_iou_metric import WeakIoUMetric

__all__ = ['PseudoMaskMetric', 'SeedMetric', 'WeakIoUMetric']
