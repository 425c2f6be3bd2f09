"""Scores of a confusion matrix class by class, and by all published conventions, as text and as plain numbers."""
from collections.abc import Sequence

from torch import Tensor

from .records import finite
from .seed_scores import MEANS, UNKNOWN, iou_scores, pseudo_confusion

__all__ = ['class_rows', 'conventions', 'format_class_rows', 'format_conventions']

_COLUMNS = ('IoU', 'FP', 'FN', 'precision', 'recall')


def class_rows(confusion: Tensor, classes: Sequence[str]) -> list[dict]:
    """IoU, false positives and negatives over the union, precision and recall of each class, in percent.

    Args:
        confusion: (C,C) or (C,C+1), as :func:`.iou_scores` takes it.
        classes: C names.

    Returns:
        One dict a class; None where a number does not exist (a class that is nowhere).
    """
    counts = confusion.double()
    hit = counts.diagonal()
    truth, pred = counts.sum(1), counts.sum(0)[:len(hit)]
    union = truth + pred - hit
    parts = (hit / union, (pred - hit) / union, (truth - hit) / union, hit / pred, hit / truth)
    return [{'class': str(name), **{key: finite(100 * float(part[i])) for key, part in zip(_COLUMNS, parts)},
             'pixels': int(truth[i])} for i, name in enumerate(classes)]


def format_class_rows(rows: Sequence[dict]) -> str:
    """:func:`class_rows` as a table."""
    width = max(len('class'), *(len(row['class']) for row in rows))
    lines = [f'{"class":<{width}} ' + ' '.join(f'{key:>9}' for key in (*_COLUMNS, 'pixels'))]
    for row in rows:
        cells = ['-' if row[key] is None else f'{row[key]:.1f}' for key in _COLUMNS]
        lines.append(f'{row["class"]:<{width}} ' + ' '.join(f'{cell:>9}' for cell in (*cells, row['pixels'])))
    return '\n'.join(lines)


def conventions(table: Tensor) -> dict[str, dict[str, float | None]]:
    """mIoU in percent by how unknown pixels count (outer key) and over which classes the mean runs (inner key).

    Args:
        table: (C,C+1) of :func:`.cross_table`.
    """
    return {unknown: {mean: finite(float(iou_scores(pseudo_confusion(table, unknown), mean, percent=True)['miou']))
                      for mean in MEANS} for unknown in UNKNOWN}


def format_conventions(found: dict[str, dict[str, float | None]]) -> str:
    """:func:`conventions` as a table."""
    lines = ['255 counts as  ' + ' '.join(f'{"mean: " + mean:>14}' for mean in MEANS)]
    for unknown, means in found.items():
        cells = ['-' if means[mean] is None else f'{means[mean]:.2f}' for mean in MEANS]
        lines.append(f'{unknown:<14} ' + ' '.join(f'{cell:>14}' for cell in cells))
    return '\n'.join(lines)
