"""Refinement of score maps: a score map and its image in, a better score map out."""
from .base import Refiner, pack_present, unpack_present
from .dense_crf import CRF_PRESETS, DenseCRF, labels_to_probs
from .lattice import PermutohedralLattice
from .neighbours import mix_neighbours, ring_offsets
from .pixel_adaptive import PAMR, PAR

__all__ = ['CRF_PRESETS', 'DenseCRF', 'PAMR', 'PAR', 'PermutohedralLattice', 'Refiner', 'labels_to_probs',
           'mix_neighbours', 'pack_present', 'ring_offsets', 'unpack_present']
