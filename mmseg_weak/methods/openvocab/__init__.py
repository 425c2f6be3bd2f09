"""Methods that find what a text names. A room whose docstring says so holds only some of a method's equations."""
from .cased import CaSED
from .clip_dinoiser import CLIPDINOiser, CLIPDINOiserHead
from .maskclip import MaskCLIPPlus, MaskCLIPSegmentor
from .ovdiff import OVDiff
from .reco import ReCo
from .trident import SAM, Trident, ViTCorrelation
from .tris import TRISHead

__all__ = ['CLIPDINOiser', 'CLIPDINOiserHead', 'CaSED', 'MaskCLIPPlus', 'MaskCLIPSegmentor', 'OVDiff', 'ReCo', 'SAM',
           'TRISHead', 'Trident', 'ViTCorrelation']
