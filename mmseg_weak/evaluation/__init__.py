"""Metrics."""
from .localization_metric import LocalizationMetric, PxAPMetric
from .pseudo_mask_metric import PseudoMaskMetric
from .refer_metric import ReferIoU
from .seed_metric import SeedMetric
from .tag_metric import TagMetric
from .vocabulary_free import VocabularyFreeIoU, VocabularyFreeTags
from .weak_iou_metric import WeakIoUMetric

__all__ = ['LocalizationMetric', 'PseudoMaskMetric', 'PxAPMetric', 'ReferIoU', 'SeedMetric', 'TagMetric',
           'VocabularyFreeIoU', 'VocabularyFreeTags', 'WeakIoUMetric']
