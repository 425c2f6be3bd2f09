"""Quality of seeds and pseudo masks by the published conventions, all thresholds counted in one pass.

A seed map has a score for each foreground class; a pixel is background where the largest score of the classes in the
image is not above a threshold t (a tie is background's), and the class of that score elsewhere. So all that thresholds
can change is decided by three numbers of a pixel: the winning class, the bin of its score among the thresholds, and
the true class. :func:`seed_histogram` counts them once; every threshold's confusion matrix is a partial sum.

Means over classes differ between publications (wsss_protocols):

- 'present': classes that occur in the truth (ToCo, CLIP-ES; rulixiang/ToCo @ e13514d, linyq2117/CLIP-ES @ 3893f81);
- 'union': classes that occur in truth or prediction (IRN through chainercv; mmseg);
- 'all': all classes, one that is nowhere counts 0 (MCTformer; xulianuwa/MCTformer @ 0acc27a).

They agree where every class occurs. Pixels of a pseudo mask that hold no class (255) are left out of the count ('drop',
optimistic: the harder the pixel, the likelier it is to be left out), count as background ('background', what training
on masks without 255 would see), or stay what they are and so miss their true class ('wrong').
"""
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError

__all__ = ['MEANS', 'UNKNOWN', 'count_seeds', 'cross_table', 'iou_scores', 'power_threshold',
           'pseudo_confusion', 'seed_confusions', 'seed_histogram', 'seed_labels', 'strongest_class']

MEANS = ('present', 'union', 'all')
UNKNOWN = ('drop', 'background', 'wrong')


def strongest_class(cams: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Largest score of a pixel and its class.

    Args:
        cams: (B,C,H,W) scores of the foreground classes.
        present: (B,C) bool, the classes of each image's tags; others never win. None: all.

    Returns:
        score (B,H,W), float32 or float64, -inf where an image has no class; foreground class (B,H,W) long from 0, the
        first of equal ones.
    """
    cams = cams if cams.dtype == torch.float64 else cams.float()
    if present is not None:
        cams = cams.masked_fill(~present.bool()[:, :, None, None], -torch.inf)
    score, winner = cams.max(1)
    return score, winner


def power_threshold(power: float, dtype: torch.dtype = torch.float32) -> float:
    """The constant threshold that stands for the background score (1 - max)^power, exactly in ``dtype``.

    (1 - v)^power falls and v rises, so background wins (ties too) exactly up to one number, found by bisection.

    Args:
        power: above 0. PSA 4 to 32 on raw maps, CLIP-ES 1 to 10.

    >>> power_threshold(1)
    0.5
    """
    if not power > 0:
        raise ConfigError(f'power={power} of a background score; give a number above 0.')
    low, high = torch.zeros((), dtype=dtype), torch.ones((), dtype=dtype)
    while True:
        middle = (low + high) / 2
        if middle == low or middle == high:
            return float(low)
        if (1 - middle) ** power >= middle:
            low = middle
        else:
            high = middle


def _check(cams: Tensor, labels: Tensor, ignore_index: int) -> None:
    if tuple(labels.shape) != (len(cams), *cams.shape[2:]):
        raise DataError(f'seeds of shape {tuple(cams.shape)} have a truth of shape {tuple(labels.shape)}; give '
                        f'{(len(cams), *cams.shape[2:])}: resize the maps to the mask, not the mask.')
    _check_labels(labels, cams.shape[1] + 1, ignore_index, 'truth')
    if bool(torch.isnan(cams).any()):
        raise DataError(f'{int(torch.isnan(cams).sum())} of {cams.numel()} scores of the seeds are NaN; look for a '
                        f'diverged network or a broken score file.')


def _check_labels(labels: Tensor, num_classes: int, ignore_index: int, what: str) -> None:
    bad = (labels != ignore_index) & ((labels < 0) | (labels >= num_classes))
    if bool(bad.any()):
        raise DataError(f'the {what} holds the value {int(labels[bad][0])} in {int(bad.sum())} pixels, but there are '
                        f'{num_classes} classes (0 to {num_classes - 1}) and {ignore_index} for unknown.')


def seed_histogram(cams: Tensor, labels: Tensor, thresholds: Sequence[float] | Tensor, present: Tensor | None = None,
                   ignore_index: int = 255) -> Tensor:
    """Count pixels by (number of thresholds below the score, winning class, true class).

    Args:
        cams: (B,C,H,W) scores of the foreground classes, at the size of the masks.
        labels: (B,H,W) true classes, 0 background; ``ignore_index`` does not count.
        thresholds: T numbers, ascending, the same at every call.
        present: (B,C), see :func:`strongest_class`.

    Returns:
        (T+1, C, C+1) int64; add those of all images, then :func:`seed_confusions`.
    """
    labels = labels.long()
    _check(cams, labels, ignore_index)
    return count_seeds(*strongest_class(cams, present), labels, thresholds, cams.shape[1], ignore_index)


def count_seeds(score: Tensor, winner: Tensor, labels: Tensor, thresholds: Sequence[float] | Tensor, num_tags: int,
                ignore_index: int = 255) -> Tensor:
    """:func:`seed_histogram` of winners that are known already, unchecked.

    Args:
        score, winner: (...) of :func:`strongest_class`, the winner counted among all ``num_tags`` foreground classes.
        labels: (...) long.

    Returns:
        (T+1, num_tags, num_tags+1) int64.
    """
    edges = torch.as_tensor(thresholds, dtype=score.dtype, device=score.device)
    if edges.dim() != 1 or not edges.numel() or bool((edges[1:] < edges[:-1]).any()):
        raise ConfigError(f'thresholds={edges.flatten().tolist()[:5]}... of a seed curve; give an ascending list.')
    bins = torch.searchsorted(edges, score.contiguous())  # how many thresholds are below the score
    cells = bins.mul_(num_tags).add_(winner).mul_(num_tags + 1).add_(labels)
    cells = cells[labels != ignore_index]
    size = (len(edges) + 1, num_tags, num_tags + 1)
    return torch.bincount(cells, minlength=math.prod(size)).view(size)


def seed_confusions(histogram: Tensor) -> Tensor:
    """Confusion matrix at each threshold: (T+1,C,C+1) -> (T,C+1,C+1), rows are true classes, 0 background."""
    above = histogram.flip(0).cumsum(0).flip(0)  # [i]: at least i thresholds below the score
    foreground = above[1:].transpose(1, 2)
    background = above[0].sum(0) - foreground.sum(2)
    return torch.cat([background.unsqueeze(2), foreground], 2)


def seed_labels(cams: Tensor, thr: float, present: Tensor | None = None) -> Tensor:
    """The label map at one threshold: (B,C,H,W) -> (B,H,W) long, 0 background, c + 1 for the c-th class."""
    score, winner = strongest_class(cams, present)
    return torch.where(score > torch.tensor(thr, dtype=score.dtype), winner + 1, torch.zeros_like(winner))


def cross_table(pred: Tensor, labels: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Count pixels by (true class, predicted class or unknown).

    Args:
        pred: (...) classes, ``ignore_index`` where the pseudo mask holds none.
        labels: (...) true classes; ``ignore_index`` does not count.

    Returns:
        (num_classes, num_classes + 1) int64; the last column is unknown. See :func:`pseudo_confusion`.
    """
    if pred.shape != labels.shape:
        raise DataError(f'a pseudo mask of shape {tuple(pred.shape)} has a truth of shape {tuple(labels.shape)}; '
                        f'they must be alike.')
    pred, labels = pred.long(), labels.long()
    _check_labels(pred, num_classes, ignore_index, 'pseudo mask')
    _check_labels(labels, num_classes, ignore_index, 'truth')
    column = torch.where(pred == ignore_index, torch.full_like(pred, num_classes), pred)
    cells = (labels * (num_classes + 1) + column)[labels != ignore_index]
    return torch.bincount(cells, minlength=num_classes * (num_classes + 1)).view(num_classes, num_classes + 1)


def pseudo_confusion(table: Tensor, unknown: str = 'drop') -> Tensor:
    """Settle the unknown pixels of :func:`cross_table`.

    Args:
        table: (...,C,C+1).
        unknown: 'drop' them, count them as 'background', or as 'wrong' for every class.

    Returns:
        (...,C,C); with 'wrong' (...,C,C+1), the last column unknown.
    """
    if unknown not in UNKNOWN:
        raise ConfigError(f"unknown='{unknown}' is none of {', '.join(UNKNOWN)}.")
    if unknown == 'wrong':
        return table.clone()
    confusion = table[..., :-1].clone()
    if unknown == 'background':
        confusion[..., 0] += table[..., -1]
    return confusion


def iou_scores(confusion: Tensor, mean: str = 'union', percent: bool = False) -> dict[str, Tensor]:
    """Scores of confusion matrices.

    Args:
        confusion: (...,C,C) counts, rows are true classes; or (...,C,C+1), the last column wrong for every class.
        mean: 'present', 'union' or 'all', see the module's docstring.
        percent: times 100.

    Returns:
        float64: ``iou`` (...,C), for a class in neither truth nor prediction 0 where 'all' counts it so, else NaN;
        ``miou``, ``fp`` (false positives over the union) and ``fn``, by ``mean``; ``pixel_acc``; ``mean_acc``, over the
        classes in the truth (...).
    """
    if mean not in MEANS:
        raise ConfigError(f"mean='{mean}' is none of {', '.join(MEANS)}.")
    confusion = confusion.double()
    hit = confusion.diagonal(dim1=-2, dim2=-1)
    truth, pred = confusion.sum(-1), confusion.sum(-2)[..., :confusion.shape[-2]]
    union = truth + pred - hit
    counted = dict(present=truth > 0, union=union > 0, all=torch.ones_like(union, dtype=torch.bool))[mean]

    def average(part: Tensor, whole: Tensor, which: Tensor) -> Tensor:
        values = torch.where(whole > 0, part / whole.clamp(min=1), torch.zeros_like(part))
        return (values * which).sum(-1) / which.sum(-1)  # nothing counted: NaN

    scale = 100.0 if percent else 1.0
    iou = torch.where(union > 0, hit / union, 0.0) if mean == 'all' else hit / union
    found = dict(iou=iou, miou=average(hit, union, counted), fp=average(pred - hit, union, counted),
                 fn=average(truth - hit, union, counted), pixel_acc=hit.sum(-1) / confusion.sum((-2, -1)),
                 mean_acc=average(hit, truth, truth > 0))
    return {name: value * scale for name, value in found.items()}
