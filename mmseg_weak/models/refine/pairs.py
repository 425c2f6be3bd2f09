"""Which pixels form a pair, and how alike the two are: AffinityNet's and IRNet's search directions and paths.

Half of a disc suffices, since affinities are symmetric: (0, x) for x from 1, and (y, x) for y from 1, below ``radius``.
An affinity is kept as one plane a direction, (B,D,H,W): entry (d, y, x) belongs to the pair of pixel (y, x) and the one
``directions[d]`` away; it is 0 where that one lies outside. No matrix of all pixels with all pixels is ever made.

Training looks at the pixels whose whole neighbourhood lies inside (:func:`crop_sources`), as the published code does.
"""
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError

from .neighbours import Offset

__all__ = ['affinity_to_matrix', 'crop_sources', 'direction_paths', 'edge_affinity', 'feature_affinity',
           'keep_sources', 'path_directions', 'search_directions', 'source_indices', 'target_indices', 'target_planes']


@cache
def search_directions(radius: int = 5) -> tuple[Offset, ...]:
    """Directions (dy, dx) closer than ``radius``, row by row (AffinityNet's order).

    >>> search_directions(2)
    ((0, 1), (1, -1), (1, 0), (1, 1))
    >>> len(search_directions(5))
    34
    """
    if radius < 2:
        raise ConfigError(f'radius={radius} of an affinity leaves no neighbour; give 2 or more pixels.')
    below = [(y, x) for y in range(1, radius) for x in range(-radius + 1, radius) if x * x + y * y < radius * radius]
    return tuple((0, x) for x in range(1, radius)) + tuple(below)


@cache
def direction_paths(radius: int = 5) -> tuple[tuple[Offset, ...], ...]:
    """IRNet's paths, shortest first: the cells of the bounding box closer than 1 to the segment, the far end first.

    >>> direction_paths(3)[0]
    ((0, 1), (0, 0))
    """
    paths = []
    for dy, dx in search_directions(radius):
        columns = range(min(0, dx), max(0, dx) + 1)
        cells = [(y, x) for y in range(dy + 1) for x in columns if (dy * x - dx * y) ** 2 < dy * dy + dx * dx]
        paths.append(tuple(sorted(cells, key=lambda c: -abs(c[0]) - abs(c[1]))))
    return tuple(sorted(paths, key=len))


def path_directions(radius: int = 5) -> tuple[Offset, ...]:
    """The ends of :func:`direction_paths` (IRNet's order of directions)."""
    return tuple(path[0] for path in direction_paths(radius))


def _padded_views(values: Tensor, radius: int, offsets: Sequence[Offset], value: float) -> list[Tensor]:
    """(B,C,H,W) -> for each offset of the half disc a view of what lies there, ``value`` outside."""
    height, width = values.shape[-2:]
    reach = radius - 1
    padded = F.pad(values, (reach, reach, 0, reach), value=value)
    return [padded[..., dy:dy + height, reach + dx:reach + dx + width] for dy, dx in offsets]


def target_planes(values: Tensor, directions: Sequence[Offset], radius: int = 5, outside: float = 0) -> Tensor:
    """What lies at the other end of each direction: (B,H,W) -> (B,D,H,W)."""
    views = _padded_views(values.unsqueeze(1), radius, directions, outside)
    return torch.cat(views, 1)


def edge_affinity(edge: Tensor, radius: int = 5) -> Tensor:
    """IRNet: a = 1 - max of the edge on the path between two pixels, directions of :func:`path_directions`.

    Args:
        edge: (B,1,H,W) in [0, 1]; beyond the map everything is an edge.

    Returns:
        (B,D,H,W).
    """
    cells = sorted({cell for path in direction_paths(radius) for cell in path})
    views = dict(zip(cells, _padded_views(edge, radius, cells, 1.0)))
    planes = []
    for path in direction_paths(radius):
        highest = views[path[0]]
        for cell in path[1:]:
            highest = torch.maximum(highest, views[cell])
        planes.append(highest)
    return 1 - torch.cat(planes, 1)


def feature_affinity(features: Tensor, radius: int = 5) -> Tensor:
    """AffinityNet: a = exp( - mean_channels |f_i - f_j| ), directions of :func:`search_directions`.

    Args:
        features: (B,K,H,W).

    Returns:
        (B,D,H,W); 0 where the partner lies outside.
    """
    directions = search_directions(radius)
    inside = _padded_views(torch.ones_like(features[:1, :1]), radius, directions, 0)
    planes = [torch.exp(-(view - features).abs().mean(1, keepdim=True)) * there
              for view, there in zip(_padded_views(features, radius, directions, 0), inside)]
    return torch.cat(planes, 1)


# ---------------------------------------------------------------------------------------- the published list of pairs
def crop_sources(planes: Tensor, radius: int = 5) -> Tensor:
    """Keep the pixels whose half disc lies inside: (...,H,W) -> (...,n), n = (H - radius + 1)(W - 2 radius + 2).

    Raises:
        ConfigError: the map is too small for any.
    """
    height, width = planes.shape[-2:]
    reach = radius - 1
    if height <= reach or width <= 2 * reach:
        raise ConfigError(f'a map of {height} x {width} has no pixel whose neighbours of radius {radius} all lie '
                          f'inside; give at least {reach + 1} x {2 * reach + 1} or a smaller radius.')
    return planes[..., :height - reach, reach:width - reach].flatten(-2)


def source_indices(size: tuple[int, int], radius: int = 5) -> Tensor:
    """(n,) flat indices of the pixels that :func:`crop_sources` keeps."""
    return crop_sources(torch.arange(size[0] * size[1]).view(size), radius)


def target_indices(size: tuple[int, int], directions: Sequence[Offset], radius: int = 5) -> Tensor:
    """(D,n) flat indices of their partners."""
    shift = torch.tensor([dy * size[1] + dx for dy, dx in directions])
    return source_indices(size, radius) + shift[:, None]


def affinity_to_matrix(affinity: Tensor, directions: Sequence[Offset]) -> Tensor:
    """Write the planes into symmetric matrices with unit diagonal; for tiny maps.

    Args:
        affinity: (B,D,H,W); what points outside of the map is left out.
        directions: D offsets.

    Returns:
        (B,HW,HW).
    """
    batch, _, height, width = affinity.shape
    pixels = height * width
    index = torch.arange(pixels, device=affinity.device).view(height, width)
    matrix = torch.eye(pixels, dtype=affinity.dtype, device=affinity.device).repeat(batch, 1, 1)
    for d, (dy, dx) in enumerate(directions):
        rows, columns = slice(0, max(height - dy, 0)), slice(max(-dx, 0), max(width - max(dx, 0), 0))
        source = index[rows, columns].flatten()
        values = affinity[:, d, rows, columns].flatten(1)
        matrix[:, source, source + dy * width + dx] = values
        matrix[:, source + dy * width + dx, source] = values
    return matrix


def keep_sources(planes: Tensor, radius: int = 5) -> Tensor:
    """Set to 0 every pair of a pixel that :func:`crop_sources` drops, as AffinityNet's published matrix has it."""
    out, reach = torch.zeros_like(planes), radius - 1
    inside = (..., slice(0, planes.shape[-2] - reach), slice(reach, planes.shape[-1] - reach))
    out[inside] = planes[inside]
    return out
