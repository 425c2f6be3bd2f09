"""Methods that learn from image tags."""
from .afa import AFA
from .bas import BAS, BASLocalizer
from .cam import CAMClassifier
from .clip_es import CLIPES
from .doei import DOEIAdapter
from .esol import ESOLClassifier
from .excel import ExCEL
from .irn import AffinityNet, IRNet
from .mars import MARS
from .mctformer import MCTformer
from .ppl import PatchLearningClassifier
from .sat import SAT, SATLocalizer
from .seam import SEAM
from .toco import ToCo
from .usage import USAGE
from .weclip import WeCLIP

__all__ = ['AFA', 'AffinityNet', 'BAS', 'BASLocalizer', 'CAMClassifier', 'CLIPES', 'DOEIAdapter', 'ESOLClassifier',
           'ExCEL', 'IRNet', 'MARS', 'MCTformer', 'PatchLearningClassifier', 'SAT', 'SATLocalizer', 'SEAM', 'ToCo',
           'USAGE', 'WeCLIP']
