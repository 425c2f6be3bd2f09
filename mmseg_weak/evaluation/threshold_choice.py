"""Choose the background threshold of seeds without masks, or with the masks of a few images.

All rules look at the same small table of an image: how many pixels each class wins, by the number of thresholds below
the winning score (:func:`bin_counts`). They are heuristics: `mmseg-weak eval-pseudo` says on data with masks what each
costs against the best threshold, which only masks can tell.

- consistency: each tag, and the background, should show on a fair part of the image. The share of them that do rises
  with the threshold while the background comes up, and falls when objects go under.
- area: objects cover on average a known share of an image.
- entropy: the threshold at which the score distributions below and above it are the most even (Kapur, Sahoo and Wong
  1985, their entropy criterion for grey levels).
"""
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError

from .seed_scores import strongest_class

__all__ = ['AREA_PRIOR', 'RULES', 'area_gap', 'bin_counts', 'choose_threshold', 'count_bins', 'foreground_share',
           'score_entropy', 'tag_consistency']

RULES = ('consistency', 'area', 'entropy')
AREA_PRIOR = 0.3  # ours, a round number: the objects of VOC cover a bit more than a quarter of the pixels


def bin_counts(cams: Tensor, thresholds: Sequence[float] | Tensor, present: Tensor | None = None) -> Tensor:
    """Count the pixels of each image by (number of thresholds below the score, winning class).

    Args:
        cams: (B,C,H,W) in [0, 1].
        thresholds: T numbers, ascending.
        present: (B,C), the tags.

    Returns:
        (B,T+1,C) int64. At threshold i the foreground is what lies in bins above i.
    """
    if bool(torch.isnan(cams).any()):
        raise DataError(f'{int(torch.isnan(cams).sum())} of {cams.numel()} scores are NaN; look for a diverged network '
                        f'or a broken score file.')
    score, winner = strongest_class(cams, present)
    return torch.stack([count_bins(one, label, thresholds, cams.shape[1]) for one, label in zip(score, winner)])


def count_bins(score: Tensor, winner: Tensor, thresholds: Sequence[float] | Tensor, num_tags: int) -> Tensor:
    """:func:`bin_counts` of one image whose winners are known: (H,W), (H,W) -> (T+1,num_tags)."""
    edges = torch.as_tensor(thresholds, dtype=score.dtype, device=score.device)
    cells = torch.searchsorted(edges, score.contiguous()) * num_tags + winner
    return torch.bincount(cells.flatten(), minlength=(len(edges) + 1) * num_tags).view(-1, num_tags)


def _above(counts: Tensor) -> Tensor:
    """(N,T+1,C) -> (N,T,C) pixels of each class at each threshold."""
    return counts.flip(1).cumsum(1).flip(1)[:, 1:]


def foreground_share(counts: Tensor) -> Tensor:
    """Share of the pixels of each image that are foreground at each threshold: (N,T+1,C) -> (N,T)."""
    return _above(counts).sum(2).double() / counts.sum((1, 2)).clamp(min=1)[:, None]


def tag_consistency(counts: Tensor, tags: Tensor, min_share: float = 0.05) -> Tensor:
    """Share of the tags and backgrounds that show at each threshold, mean over the images with tags.

    Args:
        counts: (N,T+1,C).
        tags: (N,C).
        min_share: part of the image that a class must cover to show.

    Returns:
        (T,) in [0, 1].
    """
    tags = tags.bool()
    pixels = counts.sum((1, 2)).clamp(min=1)
    above = _above(counts)
    shows = above >= min_share * pixels[:, None, None]
    hit = (shows & tags[:, None]).sum(2) + (foreground_share(counts) <= 1 - min_share)
    share = hit.double() / (tags.sum(1)[:, None] + 1)
    return share[tags.any(1)].mean(0)


def area_gap(counts: Tensor, tags: Tensor, area_prior: float = AREA_PRIOR) -> Tensor:
    """Distance of the mean foreground share of the images with tags from ``area_prior``: (T,)."""
    if not 0 < area_prior < 1:
        raise ConfigError(f'area_prior={area_prior}; the share of an image that objects cover lies between 0 and 1.')
    return (foreground_share(counts)[tags.bool().any(1)].mean(0) - area_prior).abs()


def score_entropy(counts: Tensor, tags: Tensor) -> Tensor:
    """Sum of the entropies of the scores below and above each threshold, pooled over the images with tags: (T,)."""
    bins = counts[tags.bool().any(1)].sum((0, 2)).double()
    share = bins / bins.sum().clamp(min=1)
    terms = torch.where(share > 0, share * share.clamp(min=1e-300).log(), 0.0)
    mass, part = share.cumsum(0)[:-1], terms.cumsum(0)[:-1]

    def entropy(mass: Tensor, part: Tensor) -> Tensor:
        return torch.where(mass > 1e-12, mass.clamp(min=1e-12).log() - part / mass.clamp(min=1e-12), 0.0)

    return entropy(mass, part) + entropy(1 - mass, terms.sum() - part)


def choose_threshold(rule: str, counts: Tensor, tags: Tensor, thresholds: Sequence[float],
                     area_prior: float = AREA_PRIOR) -> int:
    """Index of the threshold that a rule of ``RULES`` picks; the middle one of equally good ones.

    Args:
        rule: 'consistency', 'area' or 'entropy'.
        counts: (N,T+1,C) of :func:`bin_counts`.
        tags: (N,C).
        thresholds: T numbers.
        area_prior: for 'area'.

    Raises:
        ConfigError: no such rule.
        DataError: no image has a tag.
    """
    if rule not in RULES:
        raise ConfigError(f"there is no rule '{rule}' for thresholds; choose one of {', '.join(RULES)}.")
    if not bool(tags.bool().any()):
        raise DataError(f"none of {len(tags)} images has a tag, so the rule '{rule}' has nothing to look at; give a "
                        f'number as threshold.')
    value = dict(consistency=lambda: tag_consistency(counts, tags), area=lambda: -area_gap(counts, tags, area_prior),
                 entropy=lambda: score_entropy(counts, tags))[rule]()
    best = (value >= value.max() - 1e-12).nonzero().flatten()
    if len(thresholds) != len(value):
        raise ConfigError(f'{len(thresholds)} thresholds with counts of {len(value)}; give those that were counted.')
    return int(best[(len(best) - 1) // 2])
