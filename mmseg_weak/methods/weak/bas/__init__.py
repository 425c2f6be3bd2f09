"""BAS: a map is trained by how much of its class it leaves in the background.

Wu et al., Background Activation Suppression for Weakly Supervised Object Localization, CVPR 2022, arXiv 2112.00580,
wpy1999/BAS @ 54c395e; Zhai, Wu et al., Background Activation Suppression for Weakly Supervised Object Localization and
Semantic Segmentation, IJCV 2024, arXiv 2309.12943, wpy1999/BAS-Extension @ bd1bfa8 (both without licence).

The equations are in :mod:`.equations`; :class:`BASLocalizer` learns one class an image and gives its box,
:class:`BAS` several tags and gives seeds. Deviations: the copy that the background passes through is a functional call
with detached parameters, not a deep copy (the same numbers); an image without tags counts nothing; the CAM that is
added to the seeds comes from the same network, while the paper's pipeline may take IRN's.
"""
from .equations import activation_ratio, bas_losses, draw_present, one_against_absent, suppress, take_maps, top_maps
from .localizer import BASLocalizer
from .segmentor import BAS

__all__ = ['BAS', 'BASLocalizer', 'activation_ratio', 'bas_losses', 'draw_present', 'one_against_absent', 'suppress',
           'take_maps', 'top_maps']
