"""Semi-supervised methods: few masks, many plain images."""
from .cps import CrossPseudoSupervision
from .cutmix_seg import MeanTeacher
from .cwbass import CWBASS
from .fixmatch import FixMatch
from .fst import FutureSelfTraining
from .mgd import MultiGranularityDistiller
from .prevmatch import PrevMatch
from .u2pl import U2PL, U2PLHead
from .unimatch import UniMatch
from .unimatch_v2 import UniMatchV2

__all__ = ['CWBASS', 'U2PL', 'CrossPseudoSupervision', 'FixMatch', 'FutureSelfTraining',
           'MeanTeacher', 'MultiGranularityDistiller', 'PrevMatch', 'U2PLHead', 'UniMatch', 'UniMatchV2']
