"""Pictures of masks: palettes, overlays, confidence maps, grids. PIL and numpy only."""
from .palette import voc_palette
from .pictures import colorize, confidence_picture, grid, mask_png, overlay, png_bytes, shrink

__all__ = ['colorize', 'confidence_picture', 'grid', 'mask_png', 'overlay', 'png_bytes', 'shrink',
           'voc_palette']
