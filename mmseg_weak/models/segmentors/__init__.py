"""Segmentors that methods build on."""
from .clip_tag import CLIPTagSegmentor
from .entropy_self_training import EntropySelfTraining
from .localizer import Localizer
from .open_vocab import OpenVocabSegmentor
from .semi import SemiSegmentor
from .student import StudentSegmentor
from .tag import TagSegmentor, image_boxes, stack_tags
from .weak_to_strong import Branches, WeakToStrongSegmentor

__all__ = ['Branches', 'CLIPTagSegmentor', 'EntropySelfTraining', 'Localizer', 'OpenVocabSegmentor', 'SemiSegmentor',
           'StudentSegmentor', 'TagSegmentor', 'WeakToStrongSegmentor', 'image_boxes', 'stack_tags']
