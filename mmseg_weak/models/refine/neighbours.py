"""Weighted sums over a pixel's neighbours, without ever gathering the neighbours.

A kernel that looks at ``P`` neighbours needs ``P`` weights a pixel, (B,P,H,W). Gathering the neighbours' scores would
take (B,C,P,H,W), 48 times the scores for PAR. Here each neighbour is a shifted view of the padded scores, multiplied
by its weight plane and accumulated in place.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['Offset', 'mix_neighbours', 'neighbour_views', 'pad_replicate', 'ring_offsets']

Offset = tuple[int, int]

# NW, N, NE, W, E, SW, S, SE: the order of the published code.
_RING: tuple[Offset, ...] = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_BLOCK_ELEMENTS = 1 << 17  # elements of a block of rows whose sums stay in the second-level cache of a core


def ring_offsets(dilations: Sequence[int]) -> list[Offset]:
    """Offsets (dy, dx) of the 8 neighbours at each dilation, dilations one after another.

    >>> ring_offsets([2])[:3]
    [(-2, -2), (-2, 0), (-2, 2)]
    """
    return [(dy * d, dx * d) for d in dilations for dy, dx in _RING]


def pad_replicate(values: Tensor, offsets: Sequence[Offset]) -> Tensor:
    """Repeat the border of (B,C,H,W) as far as the offsets reach on every side."""
    ry, rx = (max(abs(offset[axis]) for offset in offsets) for axis in (0, 1))
    return F.pad(values, (rx, rx, ry, ry), mode='replicate')


def neighbour_views(padded: Tensor, offsets: Sequence[Offset], size: tuple[int, int], top: int = 0,
                    bottom: int | None = None) -> list[Tensor]:
    """For each offset, a view (B,C,bottom-top,W) of what lies there; nothing is copied.

    Args:
        padded: result of :func:`pad_replicate` for these offsets.
        size: (H, W) before padding.
        top, bottom: rows of the map to look at, all by default.
    """
    height, width = size
    ry, rx = (padded.shape[2] - height) // 2, (padded.shape[3] - width) // 2
    bottom = height if bottom is None else bottom
    return [padded[:, :, ry + dy + top:ry + dy + bottom, rx + dx:rx + dx + width] for dy, dx in offsets]


def mix_neighbours(values: Tensor, weights: Tensor, offsets: Sequence[Offset], steps: int = 1) -> Tensor:
    """Replace ``steps`` times every score by the weighted sum of its neighbours' scores.

    m[b,c,i] <- sum_p weights[b,p,i] m[b,c,i + offsets[p]], where a neighbour outside the map is the nearest border
    pixel (give it weight 0 to leave it out). Memory beyond the input: two score maps.

    Args:
        values: (B,C,H,W) float, left as it is.
        weights: (B,P,H,W), of the same type.
        offsets: P pairs (dy, dx) in pixels.
        steps: how often.

    Returns:
        (B,C,H,W).
    """
    batch, channels, height, width = values.shape
    if steps == 0 or values.numel() == 0:
        return values.clone()
    out = torch.empty_like(values, memory_format=torch.contiguous_format)
    cpu = values.device.type == 'cpu'
    # On a CPU one image after the other and in blocks of rows, so that sums and their sources stay in the cache.
    rows = min(height, max(8, _BLOCK_ELEMENTS // (channels * width))) if cpu else height
    for part in ([slice(b, b + 1) for b in range(batch)] if cpu else [slice(None)]):
        current, planes = values[part], weights[part].unsqueeze(2)
        for _ in range(steps):
            padded = pad_replicate(current, offsets)
            for top in range(0, height, rows):
                bottom = min(height, top + rows)
                views = neighbour_views(padded, offsets, (height, width), top, bottom)
                total = out[part, :, top:bottom]
                torch.mul(views[0], planes[:, 0, :, top:bottom], out=total)
                for p in range(1, len(views)):
                    total.addcmul_(views[p], planes[:, p, :, top:bottom])
            current = out[part]
    return out
