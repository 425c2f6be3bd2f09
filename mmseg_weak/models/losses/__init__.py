"""Losses on pseudo labels, features and class maps; each usable by name in a config.

The functions under the modules stand in the files of the same name.
"""
from .confidence_boundary import ConfidenceWeightedBoundaryLoss
from .confidence_weighted_ce import ConfidenceWeightedCE
from .consistency import ConsistencyLoss
from .dense_energy import DenseEnergyLoss
from .distillation import RegionContentLoss, SemanticSensitiveLoss
from .entropy_filtered_ce import EntropyFilteredCE
from .pair_affinity import AffinityDisplacementLoss, AttentionAffinityLoss, PairAffinityLoss
from .prob_ohem_ce import ProbOhemCrossEntropyLoss
from .split_cross_entropy import SplitCrossEntropyLoss
from .unreliable_contrast import UnreliableContrastLoss

__all__ = ['AffinityDisplacementLoss', 'AttentionAffinityLoss', 'ConfidenceWeightedBoundaryLoss',
           'ConfidenceWeightedCE', 'ConsistencyLoss', 'DenseEnergyLoss', 'EntropyFilteredCE', 'PairAffinityLoss',
           'ProbOhemCrossEntropyLoss', 'RegionContentLoss', 'SemanticSensitiveLoss', 'SplitCrossEntropyLoss',
           'UnreliableContrastLoss']
