"""Pseudo-label makers: EMA teachers, thresholds, views, mixing, and what to log about them."""
from .ema import EMATeacher, ema_momentum
from .monitor import PseudoLabelMonitor
from .policies import DynamicThreshold, FixedThreshold, PerClassThreshold, QuantileThreshold, ThresholdPolicy
from .pseudo import Pseudo, consistency_losses, cutmix_pseudo, pseudo_from_logits
from .views import PhotometricView

__all__ = ['DynamicThreshold', 'EMATeacher', 'FixedThreshold', 'PerClassThreshold', 'PhotometricView', 'Pseudo',
           'PseudoLabelMonitor', 'QuantileThreshold', 'ThresholdPolicy', 'consistency_losses', 'cutmix_pseudo',
           'ema_momentum', 'pseudo_from_logits']
