"""Lloyd's k-means with a weight for each point, on any device; scipy's has no weights."""
import torch
from torch import Tensor

__all__ = ['weighted_kmeans']


def _distances(points: Tensor, centroids: Tensor) -> Tensor:
    """Squared Euclidean distances, (N,D), (K,D) -> (N,K)."""
    cross = points @ centroids.T
    return (points.square().sum(1, keepdim=True) - 2 * cross + centroids.square().sum(1)).clamp_min(0)


def weighted_kmeans(points: Tensor, weights: Tensor, count: int, num_iter: int = 20, seed: int = 0) -> Tensor:
    """Centroids of points, each of which counts as often as its weight says.

    The first centroids are drawn as in k-means++ (Arthur & Vassilvitskii, 2007). A cluster that loses all of its points
    keeps its place. Fewer different points than clusters give one centroid each.

    Args:
        points: (N,D) float. weights: (N,), at least 0; points of weight 0 are left out.
        count: K.
        num_iter: most rounds; it ends where no centroid moves.
        seed: of the first draw, which is made on the CPU: the same on every device.

    Returns:
        (k,D), k = K or less; (0,D) where no point has a weight.
    """
    kept = weights > 0
    points, weights = points[kept], weights[kept].to(points)
    if not len(points):
        return points
    generator = torch.Generator().manual_seed(seed)
    first = torch.multinomial(weights.float().cpu(), 1, generator=generator).to(points.device)
    centroids = points[first]
    nothing = 1e-6 * points.square().sum(1).mean()  # rounding of the distances
    while len(centroids) < count:
        chance = _distances(points, centroids).amin(1)
        chance = chance.masked_fill(chance <= nothing, 0) * weights
        if not bool(chance.any()):
            break
        drawn = torch.multinomial(chance.float().cpu(), 1, generator=generator).to(points.device)
        centroids = torch.cat([centroids, points[drawn]])
    for _ in range(num_iter):
        share = torch.nn.functional.one_hot(_distances(points, centroids).argmin(1), len(centroids)).to(points)
        share = share * weights[:, None]
        total = share.sum(0)[:, None]
        moved = torch.where(total > 0, share.T @ points / total.clamp_min(1e-12), centroids)
        if torch.equal(moved, centroids):
            break
        centroids = moved
    return centroids
