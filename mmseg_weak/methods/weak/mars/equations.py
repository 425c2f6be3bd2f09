"""The equations of MARS, numbered as in the paper; see the room's docstring."""
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.losses.common import masked_mean, pixel_cross_entropy

__all__ = ['background_distance', 'certain_mask', 'complement', 'debias_labels', 'debiased_centroid',
           'debiased_centroids', 'sum_directions', 'target_map', 'weighted_cross_entropy']


def sum_directions(vectors: Tensor) -> Tensor:
    """Sum of unit vectors, (N,D) -> (D,): all that :func:`background_distance` needs of the backgrounds."""
    return F.normalize(vectors, dim=1).sum(0)


def background_distance(centroids: Tensor, direction_sum: Tensor, count: int) -> Tensor:
    """Eq. (1): mean of D(v, v_j) = (1 - cos(v, v_j)) / 2 over all N background centroids, (M,D) -> (M,).

    The sum over j is (N - v . sum of v_j) / 2 for unit vectors, so no pair is looked at.

    Args:
        centroids: (M,D), of objects.
        direction_sum: (D,), :func:`sum_directions` of the background centroids of all images.
        count: N, at least 1.
    """
    return (1 - F.normalize(centroids, dim=1) @ direction_sum / count) / 2


def debiased_centroid(centroids: Tensor, distance: Tensor, ratio: float = 0.4) -> Tensor:
    """Eqs. (2), (3): mean of the centroids of one class that are farthest from all backgrounds, (M,D) -> (D,).

    Args:
        centroids: of the class in all images. distance: (M,), :func:`background_distance`.
        ratio: alpha, share of them that is kept, rounded up.
    """
    kept = max(1, math.ceil(ratio * len(centroids) - 1e-9))
    return centroids[distance.topk(min(kept, len(centroids))).indices].mean(0)


def debiased_centroids(centroids: Sequence[Tensor], direction_sum: Tensor, count: int, ratio: float = 0.4) -> Tensor:
    """Eqs. (1) to (3) for all classes: C-1 stacks (M_c,D) -> (C-1,D), zeros for a class without any centroid."""
    found = torch.zeros(len(centroids), len(direction_sum))
    for index, own in enumerate(centroids):
        if len(own):
            found[index] = debiased_centroid(own, background_distance(own, direction_sum, count), ratio)
    return found


def target_map(features: Tensor, centroids: Tensor) -> Tensor:
    """Eq. (4), before the CRF: ReLU of the largest cosine with the image's classes, (D,h,w), (P,D) -> (h,w).

    Where an image has no class, nothing is a target.
    """
    if not len(centroids):
        return features.new_zeros(features.shape[1:])
    return torch.einsum('pd,dhw->phw', F.normalize(centroids, dim=1), F.normalize(features, dim=0)).amax(0).relu()


def debias_labels(labels: Tensor, target: Tensor, ignore_index: int = 255) -> tuple[Tensor, Tensor]:
    """Eq. (5): objects outside of the targets are biased.

    Args:
        labels: (...) integers, 0 background. target: (...) bool, M.

    Returns:
        labels, unknown (``ignore_index``) where biased; where biased, bool. The two stay apart: a pixel of value 255
        from the start is not biased.
    """
    biased = (labels > 0) & (labels != ignore_index) & ~target
    return labels.masked_fill(biased, ignore_index), biased


def complement(labels: Tensor, biased: Tensor, teacher: Tensor) -> Tensor:
    """Y^co: the teacher's labels where biased, else the debiased ones; all (B,H,W)."""
    return torch.where(biased, teacher, labels)


def certain_mask(probs: Tensor, biased: Tensor, tags: Tensor) -> Tensor:
    """Eq. (6): the teacher's largest probability among the image's own classes where biased, else 1.

    Args:
        probs: (B,C,H,W), the teacher's, before the CRF; the background is class 0 and does not count.
        biased: (B,H,W) bool. tags: (B,C-1), the image's classes.

    Returns:
        (B,H,W) in [0, 1]; 0 where a biased pixel's image has no class.
    """
    largest = (probs[:, 1:] * tags.to(probs)[:, :, None, None]).amax(1)
    return torch.where(biased, largest, torch.ones_like(largest))


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor, *, ignore_index: int = 255) -> Tensor:
    """Eq. (7) over valid pixels: -W log P(Y^co), divided by their number (the paper prints the sum).

    Args:
        logits: (B,C,H,W). target: (B,H,W) long. weight: (B,H,W), without gradient.

    Returns:
        Scalar; 0 with a gradient where nothing is valid.
    """
    return masked_mean(weight.detach() * pixel_cross_entropy(logits, target, ignore_index), target != ignore_index)
