"""Look at a person's folders and say in plain words what is there and what is wrong with which file."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmseg_weak.datasets.findings import Finding, check_images, check_pairs
from mmseg_weak.datasets.headers import read_header
from mmseg_weak.datasets.lists import Pair
from mmseg_weak.datasets.masks import colour_table
from mmseg_weak.datasets.pairs import MASK_SUFFIXES, find_pairs, list_images
from mmseg_weak.errors import WeakError

from .progress import progress

__all__ = ['DataReport', 'check_data', 'format_findings']


@dataclass
class DataReport:
    """What :func:`check_data` saw.

    Attributes:
        pairs: images with the mask found for each; ``mask`` is None where there is none.
        unlabeled: unlabelled images that can be read.
        findings: faults and remarks, worst first.
        sizes: (width, height) of the readable images -> how many.
        mask_modes: Pillow mode of the masks ('L', 'P', 'RGB', ...) -> how many.
        values: mask value -> (masks that hold it, share of all pixels); filled by the full check.
        num_classes: highest class index + 1 as seen in the masks; None before a full check.
        palette: colours of the classes where the masks are palette PNGs, else None.
    """
    pairs: list[Pair] = field(default_factory=list)
    unlabeled: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    mask_modes: dict[str, int] = field(default_factory=dict)
    values: dict[int, tuple[int, float]] = field(default_factory=dict)
    num_classes: int | None = None
    palette: list[list[int]] | None = None

    @property
    def ok(self) -> bool:
        """Whether training can start."""
        return not any(finding.fatal for finding in self.findings)

    @property
    def median_size(self) -> tuple[int, int] | None:
        """Median (width, height) of the images."""
        if not self.sizes:
            return None
        every = np.repeat(np.array(list(self.sizes)), list(self.sizes.values()), axis=0)
        width, height = np.median(every, axis=0).astype(int)
        return int(width), int(height)


def check_data(images: str | None = None,
               masks: str | None = None,
               unlabeled: str | None = None,
               list_file: str | None = None,
               unlabeled_list: str | None = None,
               data_root: str | None = None,
               classes: Sequence[str] | None = None,
               color_map: Any = None,
               full: bool = True,
               reduce_zero_label: bool = False,
               ignore_index: int = 255) -> DataReport:
    """Check folders or list files before any training; nothing is raised for faults of the data.

    Args:
        images, masks, list_file, data_root: the labelled images, as in ``FolderSegDataset``.
        unlabeled, unlabeled_list: folder or list of the unlabelled ones. Their masks are never looked at.
        classes: class names, against which the values of the masks are checked.
        color_map: colours of RGB masks, see ``FolderSegDataset``.
        full: decode every mask and check its values, not only its header.
        reduce_zero_label: whether 0 means unknown and the classes start at 1.
        ignore_index: value of unknown pixels.
    """
    report = DataReport()
    if images or list_file:
        _labelled(report, images, masks, list_file, data_root, classes, color_map, full, reduce_zero_label,
                  ignore_index)
    if unlabeled or unlabeled_list:
        _unlabelled(report, unlabeled, unlabeled_list, data_root)
    report.findings.sort(key=lambda finding: not finding.fatal)
    return report


def _note(report: DataReport, error: WeakError) -> None:
    report.findings.append(Finding('empty', str(error)))


def _labelled(report: DataReport, images: str | None, masks: str | None, list_file: str | None,
              data_root: str | None, classes: Sequence[str] | None, color_map: Any, full: bool,
              reduce_zero_label: bool, ignore_index: int) -> None:
    try:
        pairs = find_pairs(images, masks, list_file, data_root)
        table = colour_table(color_map) if color_map is not None else None
    except WeakError as error:
        _note(report, error)
        return
    report.pairs = pairs
    with_mask = [pair for pair in pairs if pair.mask]
    lacking = [pair.image for pair in pairs if not pair.mask]
    if masks and lacking:
        report.findings.append(Finding(
            'no_mask', f'{len(lacking)} of {len(pairs)} images have no mask of their stem in {masks} (first: '
            f'{lacking[0]}); they can serve as unlabelled images.', lacking, fatal=not with_mask))
    if masks and not list_file:
        used = {pair.mask for pair in with_mask}
        spare = [path for path in (f'{masks.rstrip("/")}/{name}' for name in
                                   list_images(masks, MASK_SUFFIXES + ('.jpg', '.jpeg'))) if path not in used]
        if spare:
            report.findings.append(
                Finding(
                    'unused_mask',
                    f'{len(spare)} masks in {masks} belong to no image (first: {spare[0]}).',
                    spare,
                    fatal=False,
                )
            )
    pixels, shown, total = np.zeros(256, np.int64), Counter(), 0

    def count(pair: Pair, mask: np.ndarray) -> None:
        nonlocal total
        counts = np.bincount(mask.ravel(), minlength=256)
        pixels[:] += counts
        shown.update(np.flatnonzero(counts).tolist())
        total += mask.size

    level = 'full' if full else 'headers'
    num_classes = len(classes) if classes else None
    report.findings += check_pairs(
        pairs, num_classes, level, table, reduce_zero_label, ignore_index, on_mask=count, watch=progress
    )
    _describe(report, with_mask)
    if total:
        report.values = {int(v): (shown[int(v)], float(pixels[v]) / total) for v in np.flatnonzero(pixels)}
        known = [v for v in report.values if v != ignore_index]
        report.num_classes = max(known) + 1 - reduce_zero_label if known else None
        _remark_values(report, known, classes)


def _describe(report: DataReport, pairs: Sequence[Pair]) -> None:
    sizes, modes = Counter(), Counter()
    for pair in pairs:
        for path, is_mask in ((pair.image, False), (pair.mask, True)):
            try:
                info = read_header(path)
            except WeakError:
                continue  # already among the findings
            if is_mask:
                modes[info.mode] += 1
            else:
                sizes[info.width, info.height] += 1
    report.sizes, report.mask_modes = dict(sizes), dict(modes)


def _remark_values(report: DataReport, known: Sequence[int], classes: Sequence[str] | None) -> None:
    if set(known) == {0} or (len(known) == 1):
        report.findings.append(
            Finding(
                'one_class',
                f'All masks hold the single class index {known[0]}; there is '
                'nothing to tell apart. Check that these are the right files.',
            )
        )
    if classes is None and report.num_classes and report.num_classes > 2 * len(known) + 20:
        report.findings.append(
            Finding(
                'sparse_values',
                f'The masks hold {len(known)} values up to {max(known)} ({", ".join(map(str, known[:6]))}'
                f'{", ..." if len(known) > 6 else ""}); class indices run 0, 1, 2, ... without gaps. If '
                'these are grey levels, renumber them; docs/data.md shows how.',
            )
        )


def _unlabelled(report: DataReport, folder: str | None, list_file: str | None, data_root: str | None) -> None:
    try:
        paths = [pair.image for pair in find_pairs(folder, None, list_file, data_root)]
    except WeakError as error:
        _note(report, error)
        return
    infos, found = check_images(progress(paths, 'unlabelled images'), len(paths))
    for finding in found:
        finding.text = finding.text.replace(' images ', ' unlabelled images ', 1)
        finding.fatal = not infos
    report.findings += found
    report.unlabeled = [path for path in paths if path in infos]
    labelled = {pair.image for pair in report.pairs if pair.mask}
    both = [path for path in report.unlabeled if path in labelled]
    if both:
        report.findings.append(
            Finding(
                'both',
                f'{len(both)} unlabelled images are also labelled (first: {both[0]}); '
                'leave them out of one of the two.',
                both,
                fatal=False,
            )
        )


def format_findings(report: DataReport, classes: Sequence[str] | None = None) -> str:
    """A report in plain words, for the terminal."""
    lines = []
    labelled = sum(pair.mask is not None for pair in report.pairs)
    if report.pairs:
        size = report.median_size
        about = f', typical size {size[0]}x{size[1]}' if size else ''
        lines.append(f'Labelled:   {labelled} images with masks{about}')
    if report.mask_modes:
        words = {'L': 'greyscale', 'P': 'palette', '1': '1-bit', 'RGB': 'RGB', 'RGBA': 'RGBA'}
        lines.append('Masks:      ' + ', '.join(f'{count} {words.get(mode, mode)}'
                                                for mode, count in sorted(report.mask_modes.items())))
    for value, (masks, share) in sorted(report.values.items()):
        name = classes[value] if classes and value < len(classes) else ('unknown' if value == 255 else '')
        lines.append(f'  {value:>3} {name:<20} in {masks} masks, {100 * share:.2f} % of the pixels')
    if report.unlabeled:
        lines.append(f'Unlabelled: {len(report.unlabeled)} images')
    for finding in report.findings:
        lines.append(f'{"FAULT " if finding.fatal else "Note  "} {finding.text}')
    lines.append('Everything fits; training can start.' if report.ok else
                 'Training cannot start before the faults above are mended.')
    return '\n'.join(lines)
