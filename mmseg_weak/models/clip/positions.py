"""Position embeddings at another grid than the trained one, by the conventions that are in use."""
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError, near

__all__ = ['POSITION_RULES', 'resize_position_table']

POSITION_RULES = {
    'offset': 'bicubic, scale factors (h + 0.1) / g and (w + 0.1) / g as they are: DINO, SCLIP, ClearCLIP, NACLIP, '
              'ProxyCLIP, Trident',
    'size': 'bicubic to the size: MaskCLIP, CLIP-DINOiser, mmseg',
    'antialias': 'bicubic to the size, antialiased: GEM, open_clip when it loads weights',
    'bilinear': 'bilinear to the size: CLIP-ES, ExCEL',
}


def resize_position_table(table: Tensor, grid: tuple[int, int], rule: str = 'offset',
                          native: tuple[int, int] | None = None) -> Tensor:
    """Fit a table of position embeddings to a grid of patches; the class token's row stays.

    With 'offset' the sampling points differ slightly from those of 'size', which is why the conventions are kept
    apart. At the trained grid every rule returns the table itself.

    Args:
        table: (1+g*g,D), class token first.
        grid: rows and columns of patches wanted.
        rule: one of :data:`POSITION_RULES`.
        native: trained rows and columns; None for a square table.

    Returns:
        (1+h*w,D).

    Raises:
        ConfigError: unknown rule.
    """
    if rule not in POSITION_RULES:
        raise ConfigError(f'positions={rule!r} is no way to resize position embeddings. {near(rule, POSITION_RULES)} '
                          f'Known: {", ".join(POSITION_RULES)}.')
    side = math.isqrt(len(table) - 1)
    gh, gw = native or (side, side)
    if (gh, gw) == tuple(grid):
        return table
    square = table[1:].view(1, gh, gw, -1).permute(0, 3, 1, 2).float()
    if rule == 'offset':
        factors = (grid[0] + 0.1) / gh, (grid[1] + 0.1) / gw
        new = F.interpolate(square, scale_factor=factors, mode='bicubic', align_corners=False)
    elif rule == 'bilinear':
        new = F.interpolate(square, grid, mode='bilinear', align_corners=False)
    else:
        new = F.interpolate(square, grid, mode='bicubic', align_corners=False, antialias=rule == 'antialias')
    return torch.cat([table[:1], new[0].flatten(1).T.to(table)])
