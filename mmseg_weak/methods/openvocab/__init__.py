"""Methods that find what a text names. A room whose docstring says so holds only some of a method's equations."""
from .cased import CaSED
from .clip_dinoiser import CLIPDINOiser, CLIPDINOiserHead
from .maskclip import MaskCLIPPlus, MaskCLIPSegmentor
from .ovdiff import OVDiff
from .reco import ReCo
from .trident import SAM, Trident, ViTCorrelation
from .tris import TRIS, ReferringCLIP, TRISHead, TRISSegmentor, TRISWalk

__all__ = ['CLIPDINOiser', 'CLIPDINOiserHead', 'CaSED', 'MaskCLIPPlus', 'MaskCLIPSegmentor', 'OVDiff', 'ReCo',
           'ReferringCLIP', 'SAM', 'TRIS', 'TRISHead', 'TRISSegmentor', 'TRISWalk', 'Trident', 'ViTCorrelation']
