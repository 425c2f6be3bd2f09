"""How good a folder of pseudo masks is, by every published convention, and what the choice of a threshold costs."""
import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmseg_weak.datasets.corrections import find_pseudo_folder, read_index
from mmseg_weak.datasets.masks import BIASED, decode_mask
from mmseg_weak.datasets.pairs import pair_folders
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.evaluation.class_table import class_rows, conventions, format_class_rows, format_conventions
from mmseg_weak.evaluation.records import finite
from mmseg_weak.evaluation.seed_scores import (
    MEANS,
    UNKNOWN,
    count_seeds,
    cross_table,
    iou_scores,
    pseudo_confusion,
    seed_confusions,
)
from mmseg_weak.evaluation.threshold_choice import AREA_PRIOR, RULES, choose_threshold, count_bins
from mmseg_weak.files import write_bytes, write_json, write_text
from mmseg_weak.visualization.curves import threshold_plot

from .progress import progress
from .pseudo_files import load_scores

__all__ = ['EvalPseudoResult', 'eval_pseudo']

_GRID = [i / 100 for i in range(100)]
_MOST_LOOKED_AT = 1000  # images from which the rules choose


@dataclass
class EvalPseudoResult:
    """What :func:`eval_pseudo` found.

    Attributes:
        out: folder of the files written.
        images: number of masks compared.
        unknown, mean: the convention of ``miou`` and ``rows``.
        miou: in percent.
        rows: of :func:`.class_rows`.
        conventions: of :func:`.conventions`.
        choices: by name, ``thr``, ``mIoU`` and ``cost`` (points below the best threshold); empty without score files.
        curve: mIoU in percent at each threshold.
        thresholds: of the curve.
        without_truth: masks whose image has no true mask.
        not_covered: true masks without a pseudo mask.
    """
    out: Path
    images: int
    unknown: str
    mean: str
    miou: float
    rows: list[dict]
    conventions: dict
    choices: dict[str, dict] = field(default_factory=dict)
    curve: list[float | None] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    without_truth: int = 0
    not_covered: int = 0

    def text(self) -> str:
        """The tables."""
        parts = [f'{self.images} masks, mIoU {self.miou:.2f} (255 counts as {self.unknown}, mean over {self.mean})',
                 format_class_rows(self.rows), 'mIoU by convention:\n' + format_conventions(self.conventions)]
        if self.choices:
            lines = [f'{"threshold by":<14} {"thr":>5} {"mIoU":>7} {"cost":>6}']
            lines += [f'{name:<14} {found["thr"]:>5.2f} {found["mIoU"]:>7.2f} {found["cost"]:>6.2f}'
                      for name, found in self.choices.items()]
            parts.append('Seeds before any refinement, from the score files:\n' + '\n'.join(lines))
        return '\n\n'.join(parts)


def eval_pseudo(folder: str | Path, masks: str | Path, out: str | Path | None = None,
                classes: Sequence[str] | None = None, unknown: str = 'background', mean: str = 'union',
                held_out: int = 10, seed: int = 0, area_prior: float = AREA_PRIOR, ignore_index: int = 255,
                quiet: bool = False) -> EvalPseudoResult:
    """Compare pseudo masks with true ones; sweep the threshold where there are score files.

    Writes ``summary.json``, ``classes.csv`` and, with score files, ``curve.png`` and ``curve.svg``.

    Args:
        folder: of `mmseg-weak pseudo-label`, or any folder of masks.
        masks: folder of the true masks, named as the images.
        out: where to write; ``folder/eval`` by default.
        classes: names in the order of the values; those of the folder by default.
        unknown: how 255 (and 254 of `mmseg-weak debias`) in a pseudo mask counts: 'background' (default: what training
            on masks without 255 would see), 'drop' or 'wrong'.
        mean: over which classes: 'union' (default, mmseg's), 'present' or 'all'.
        held_out: number of images with masks from which the choice 'held-out' is made; its mIoU is that on the others.
        seed: of that draw.
        area_prior: for the choice 'area'.
        ignore_index: of the true masks.
        quiet: no progress bar.

    Raises:
        ConfigError: an unknown convention.
        MissingFileError, DataError: nothing to compare, masks that do not fit.
    """
    for name, value, known in (('unknown', unknown, UNKNOWN), ('mean', mean, MEANS)):
        if value not in known:
            raise ConfigError(f"{name} is '{value}'; choose one of {', '.join(known)}.")
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f'there is no folder {folder}; give one that pseudo-label wrote, or one of masks.')
    ours = find_pseudo_folder(str(folder))
    place = folder / 'masks' if (folder / 'masks').is_dir() else folder
    pairs = pair_folders(str(place), str(masks))
    known = [(pair.image, pair.mask) for pair in pairs if pair.mask]
    if not known:
        raise DataError(f'none of {len(pairs)} masks in {place} has a true mask in {masks}; a mask has the name of its '
                        f'image in both.')
    index = read_index(ours) if ours else {}
    names = list(classes or index.get('classes') or [])
    names = names or [f'class_{i}' for i in range(_count(known, ignore_index))]
    table = torch.zeros(len(names), len(names) + 1, dtype=torch.long)
    for pseudo, truth in progress(known, 'eval-pseudo', quiet=quiet):
        try:
            found = torch.from_numpy(decode_mask(pseudo))
            if index and index['made'].get('debiased'):
                found[found == BIASED] = 255
            table += cross_table(found, torch.from_numpy(decode_mask(truth)), len(names), ignore_index)
        except DataError as error:
            raise DataError(f'{pseudo} against {truth}: {error}') from error
    confusion = pseudo_confusion(table, unknown)
    result = EvalPseudoResult(
        Path(out) if out else (Path(ours) if ours else folder) / 'eval', len(known), unknown, mean,
        float(iou_scores(confusion, mean, percent=True)['miou']), class_rows(confusion, names), conventions(table),
        without_truth=len(pairs) - len(known),
        not_covered=max(0, sum(1 for _ in Path(masks).rglob('*.png')) - len(known)))
    if ours and index['made'].get('seeds') and (Path(ours) / 'scores').is_dir():
        truths = {os.path.abspath(pseudo): truth for pseudo, truth in known}
        _sweep(result, Path(ours), truths, index, names, held_out, seed, area_prior, ignore_index, quiet)
    _write(result)
    return result


def _count(known: Sequence[tuple[str, str]], ignore_index: int) -> int:
    most = 1
    for pair in known:
        for path in pair:
            values = np.unique(decode_mask(path))
            most = max(most, int(values[(values != ignore_index) & (values != 255)].max(initial=0)))
    return most + 1


def _sweep(result: EvalPseudoResult, folder: Path, truths: dict[str, str], index: dict, names: list[str],
           held_out: int, seed: int, area_prior: float, ignore_index: int, quiet: bool) -> None:
    """The threshold curve from the score files, and what each choice costs."""
    items = [(item, truths.get(str(folder / item['mask']))) for item in index['images']]
    items = [(item, truth) for item, truth in items
             if truth and (folder / 'scores' / f'{item["name"]}.npz').is_file()]
    if not items:
        return
    draw = np.random.Generator(np.random.PCG64(seed)).permutation(len(items))[:held_out].tolist()
    few = set(draw) if 0 < held_out < len(items) else set()
    looked_at = set(np.linspace(0, len(items) - 1, min(len(items), _MOST_LOOKED_AT)).round().astype(int).tolist())
    size = (len(_GRID) + 1, len(names) - 1, len(names))
    totals = {part: torch.zeros(size, dtype=torch.long) for part in ('few', 'others')}
    counts, tags = [], []
    for i, (item, truth) in enumerate(progress(items, 'thresholds', quiet=quiet)):
        score, winner, shown = _winners(*load_scores(folder / 'scores' / f'{item["name"]}.npz', len(names)))
        labels = torch.from_numpy(decode_mask(truth)).long()
        if labels.shape != score.shape or bool(((labels >= len(names)) & (labels != ignore_index)).any()):
            raise DataError(f'{truth} has {tuple(labels.shape)} pixels and values up to {int(labels.max())}, and the '
                            f'scores of {item["name"]} have {tuple(score.shape)} and {len(names)} classes; give the '
                            f'true masks of these images.')
        totals['few' if i in few else 'others'] += count_seeds(score, winner, labels, _GRID, len(names) - 1,
                                                               ignore_index)
        if i in looked_at:
            counts.append(count_bins(score, winner, _GRID, len(names) - 1))
            tags.append(shown[None].eq(torch.arange(1, len(names))[:, None]).any(1) if item['tags'] is None else
                        torch.tensor([name in item['tags'] for name in names[1:]]))

    def curve(total: Tensor) -> Tensor:
        return iou_scores(seed_confusions(total), result.mean, percent=True)['miou'].nan_to_num(0)

    def choice(at: int, on: Tensor) -> dict:
        return dict(thr=_GRID[at], mIoU=float(on[at]), cost=float(on.max() - on[at]))

    everything = curve(totals['few'] + totals['others'])
    result.thresholds, result.curve = list(_GRID), [finite(value) for value in everything]
    result.choices['best (oracle)'] = choice(int(everything.argmax()), everything)
    made = index['made'].get('thr')
    if made is not None:
        result.choices['as written'] = choice(int(np.abs(np.asarray(_GRID) - made).argmin()), everything)
    counts, tags = torch.stack(counts), torch.stack(tags)
    if bool(tags.any()):
        for rule in RULES:
            result.choices[rule] = choice(choose_threshold(rule, counts, tags, _GRID, area_prior), everything)
    if few:
        result.choices[f'held-out {held_out}'] = choice(_middle_best(curve(totals['few'])), curve(totals['others']))


def _winners(classes: np.ndarray, scores: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Score and foreground class (from 0) of each pixel, 0 where there is none; and the classes in the file."""
    planes, shown = torch.from_numpy(scores), torch.from_numpy(classes)
    if not len(planes):
        return torch.zeros(planes.shape[1:]), torch.zeros(planes.shape[1:], dtype=torch.long), shown
    score, winner = planes.max(0)
    return score, (shown - 1)[winner], shown


def _middle_best(curve: Tensor) -> int:
    """Index of the largest value; the middle one of equals, since few images leave many."""
    best = (curve == curve.max()).nonzero().flatten()
    return int(best[(len(best) - 1) // 2])


def _write(result: EvalPseudoResult) -> None:
    write_json(result.out / 'summary.json', dict(
        images=result.images, unknown=result.unknown, mean=result.mean, mIoU=finite(result.miou),
        conventions=result.conventions, classes=result.rows, choices=result.choices, thresholds=result.thresholds,
        curve=result.curve, without_truth=result.without_truth, not_covered=result.not_covered))
    stream = io.StringIO()
    table = csv.DictWriter(stream, list(result.rows[0]))
    table.writeheader()
    table.writerows(result.rows)
    write_text(result.out / 'classes.csv', stream.getvalue())
    if result.curve:
        marks = {name: (found['thr'], found['mIoU']) for name, found in result.choices.items()}
        for kind in ('png', 'svg'):
            write_bytes(result.out / f'curve.{kind}',
                        threshold_plot(result.thresholds, [v or 0.0 for v in result.curve], marks, kind))
