"""Class activation maps, and the networks that learn affinities from their seeds."""
from .affinity_net import AffinityHead
from .irnet import IRNetHeads, MeanShift
from .pooled_classifier import PooledClassifier

__all__ = ['AffinityHead', 'IRNetHeads', 'MeanShift', 'PooledClassifier']
