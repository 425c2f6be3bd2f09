"""Metrics."""
from .weak_iou_metric import WeakIoUMetric

__all__ = ['WeakIoUMetric']
