"""Refinement of score maps: a score map and its image in, a better score map out."""
from .base import Refiner, pack_present, unpack_present
from .neighbours import mix_neighbours, ring_offsets
from .pixel_adaptive import PAMR, PAR

__all__ = ['PAMR', 'PAR', 'Refiner', 'mix_neighbours', 'pack_present', 'ring_offsets', 'unpack_present']
