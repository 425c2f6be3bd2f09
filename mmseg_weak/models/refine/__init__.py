"""Refinement of score maps: a score map and its image in, a better score map out."""
from .attention import AttentionAffinity, AttentionWalk
from .base import Refiner, pack_present, unpack_present
from .dense_crf import CRF_PRESETS, DenseCRF, labels_to_probs
from .lattice import PermutohedralLattice
from .neighbours import mix_neighbours, ring_offsets
from .pixel_adaptive import PAMR, PAR
from .random_walk import AffinityWalk, EdgeWalk, divide_by_largest, random_walk

__all__ = ['AffinityWalk', 'AttentionAffinity', 'AttentionWalk', 'CRF_PRESETS', 'DenseCRF', 'EdgeWalk', 'PAMR', 'PAR',
           'PermutohedralLattice', 'Refiner', 'divide_by_largest', 'labels_to_probs', 'mix_neighbours', 'pack_present',
           'random_walk', 'ring_offsets', 'unpack_present']
