"""Gaussian filtering of any features on the permutohedral lattice, batched, on CPU and GPU.

Adams, Baek & Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, Eurographics 2010. It computes, up
to the lattice's error,

    out_i = sum_j exp( - |f_i - f_j|^2 / 2 ) v_j

in time linear in the number of points: every point gives its value to the d+1 corners of the lattice simplex around
it (splat), the corners are blurred along the d+1 lattice directions, and each point reads its corners (slice). The
constants are those of the filters that the dense CRF (lucasb-eyer/pydensecrf @ 2723c7f) and the CRF losses (rloss,
ToCo) use, so the numbers are theirs: elevation sqrt(2/3) (d+1) / sqrt((i+1)(i+2)), blur v + (v_- + v_+) / 2 without
division, slice times 1 / (1 + 2^-d).

Where the published programs walk over a hash table, here the corners of all points (and all images of a batch) are
sorted once; then splat, blur and slice are gathers with weights, which give the same bits in every run.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError

__all__ = ['PermutohedralLattice']


def _elevate(features: Tensor) -> Tensor:
    """Turn (N,d) features into the hyperplane of vectors of sum 0, (N,d+1), one standard deviation = the blur's."""
    d = features.shape[1]
    i = torch.arange(d, dtype=features.dtype, device=features.device)
    scaled = features * ((2 / 3) ** 0.5 * (d + 1) / ((i + 1) * (i + 2)).sqrt())
    # Coordinate k: the sum of the scaled features from k on, less k times the one before.
    tail = F.pad(scaled.flip(1).cumsum(1).flip(1), (0, 1))
    return tail - F.pad(scaled * (i + 1), (1, 0))


def _simplex(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the simplex around each point.

    Args:
        elevated: (N,d+1), sums 0.

    Returns:
        base (N,d+1) long, the simplex's corner of remainder 0; rank (N,d+1) long, order of the coordinates'
        differences to it, largest first; weights (N,d+1), barycentric, of the corners by remainder.
    """
    n, d1 = elevated.shape
    base = torch.round(elevated / d1)
    excess = base.sum(1, keepdim=True).long()  # how far the rounded point lies off the hyperplane
    base = base.long() * d1
    difference = elevated - base
    order = difference.sort(dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(d1, device=order.device).expand(n, -1))
    rank += excess
    below, above = rank < 0, rank >= d1
    wrap = (below.long() - above.long()) * d1
    rank, base = rank + wrap, base + wrap
    # Differences in the order of the ranks; neighbouring ones give the weights.
    fractions = torch.empty_like(elevated).scatter_(1, rank, (elevated - base) / d1)
    weights = torch.empty_like(elevated)
    weights[:, 1:] = (fractions[:, :-1] - fractions[:, 1:]).flip(1)
    weights[:, 0] = 1 + fractions[:, -1] - fractions[:, 0]
    return base, rank, weights


class PermutohedralLattice:
    """Filter of given features; build once, use for any number of values.

    Args:
        features: (B,N,d) float, each dimension divided by its standard deviation. Images of a batch do not mix.

    Raises:
        ConfigError: the features span more lattice cells than can be numbered (kernel far too narrow).

    The construction waits for the device (it has to know how many corners there are).
    """

    def __init__(self, features: Tensor) -> None:
        batch, points, d = features.shape
        self.shape, d1 = (batch, points), d + 1
        features = features.detach().reshape(batch * points, d)
        features = features if features.dtype == torch.float64 else features.float()
        base, rank, weights = _simplex(_elevate(features))
        low = base[:, :d].amin(0) - 2 * d1  # corners lie within d of the base, neighbours within d + 1 of a corner
        extent = base[:, :d].amax(0) - low + 2 * d1 + 1
        spans = extent.tolist()
        strides, total = [], batch
        for span in reversed(spans):
            strides.insert(0, total // batch)
            total *= span
        if total >= 2 ** 62:
            raise ConfigError(f'a kernel spans {total:.1e} lattice cells, more than can be numbered; give wider '
                              f'kernels (sxy, srgb) or smaller images.')
        step = torch.tensor(strides, device=features.device)
        codes = ((base[:, :d] - low) * step).sum(1)
        if batch > 1:
            codes += torch.arange(batch, device=codes.device).repeat_interleave(points) * (total // batch)
        # Corner r has r added to coordinates of rank <= d - r and r - (d+1) to the others: walked in the order of the
        # ranks, one corner is the one before plus 1 everywhere and minus d+1 at one coordinate.
        by_rank = torch.zeros_like(rank).scatter_(1, rank, F.pad(step, (0, 1)).expand_as(rank))
        corners = torch.empty_like(rank)
        corners[:, 0] = codes
        up = sum(strides)
        for r in range(1, d1):
            corners[:, r] = corners[:, r - 1] + up - d1 * by_rank[:, d1 - r]
        self._index(corners, weights, [up - d1 * s for s in [*strides, 0]])
        self.alpha = 1 / (1 + 2.0 ** -d)

    def _index(self, corners: Tensor, weights: Tensor, shifts: list[int]) -> None:
        """Number the corners and find the two neighbours of each along every direction."""
        d1 = corners.shape[1]
        codes, order = corners.flatten().sort()
        first = torch.ones_like(codes, dtype=torch.bool)
        torch.ne(codes[1:], codes[:-1], out=first[1:])
        unique = codes[first]
        place = torch.empty_like(order).scatter_(0, order, first.long().cumsum(0) - 1)
        self.size = len(unique)
        # Row `size` of the corners' values is a zero row: the neighbour that is not there.
        self.slice_index, self.weights = place.view(-1, d1).int(), weights.contiguous()
        self.splat_index, self.splat_weights = (order // d1).int(), weights.flatten()[order]
        self.splat_start = first.nonzero().flatten().int()
        self.neighbours = []
        for shift in shifts:  # (M,2): ascending and descending
            wanted = unique + shift
            found = torch.searchsorted(unique, wanted).clamp_(max=self.size - 1)
            there = unique[found] == wanted
            pair = torch.full((self.size, 2), self.size, dtype=torch.long, device=unique.device)
            pair[:, 0] = torch.where(there, found, pair[:, 0])
            pair[found[there], 1] = there.nonzero().flatten()
            self.neighbours.append(pair.int())

    @torch.no_grad()
    def filter(self, values: Tensor, reverse: bool = False) -> Tensor:
        """Filter values, the point itself included.

        Args:
            values: (B,N,C).
            reverse: blur along the directions in reverse order, which is the transposed filter (the blurs commute
                but for the lattice's missing corners); its gradient is ``filter(grad, reverse=not reverse)``.

        Returns:
            (B,N,C), not normalised: divide by ``filter(ones)`` for a mean.
        """
        batch, points, channels = values.shape
        flat = values.reshape(batch * points, channels).to(self.weights)
        corner = flat.new_zeros(self.size + 1, channels)
        corner[:-1] = F.embedding_bag(self.splat_index, flat, self.splat_start, mode='sum',
                                      per_sample_weights=self.splat_weights)
        for pair in (reversed(self.neighbours) if reverse else self.neighbours):
            corner[:-1].add_(F.embedding_bag(pair, corner, mode='sum'), alpha=0.5)
        out = F.embedding_bag(self.slice_index, corner, mode='sum', per_sample_weights=self.weights)
        return out.mul_(self.alpha).view(batch, points, channels).to(values.dtype)
