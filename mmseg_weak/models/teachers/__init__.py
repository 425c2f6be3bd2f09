"""Pseudo-label makers: EMA teachers, thresholds, views, mixing, and what to log about them."""
from .ema import EMATeacher, ema_momentum
from .monitor import PseudoLabelMonitor
from .policies import DynamicThreshold, FixedThreshold, PerClassThreshold, QuantileThreshold, ThresholdPolicy
from .views import PhotometricView

__all__ = ['DynamicThreshold', 'EMATeacher', 'FixedThreshold', 'PerClassThreshold', 'PhotometricView',
           'PseudoLabelMonitor', 'QuantileThreshold', 'ThresholdPolicy', 'ema_momentum']
