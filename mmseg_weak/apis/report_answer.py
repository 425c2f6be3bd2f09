"""Is the unlabelled data helping, and for which classes: the answer in words and numbers."""
from dataclasses import dataclass
from html import escape

from .report_data import Run, comparable, miou
from .report_page import bar, table

__all__ = ['Verdict', 'answer_section', 'compare', 'words']

# Seeds alone move small runs by about this much (points of IoU); smaller differences are called equal.
NOISE_MIOU = 1.0
NOISE_CLASS = 2.0


@dataclass
class Verdict:
    """A run against its supervised-only baseline.

    Attributes:
        ours: evaluation record of the run.
        theirs: evaluation record of the baseline, on the same images.
        gain: mIoU gained, in points.
        by_class: class index to IoU gained, in points; classes without pixels are not in it.
    """
    ours: dict
    theirs: dict
    gain: float
    by_class: dict[int, float]


def compare(run: Run, base: Run) -> Verdict:
    """Compare a run with a baseline on the same images.

    Raises:
        ConfigError: they were evaluated on other images or classes.
        DataError: one was never evaluated.
    """
    ours, theirs = comparable(run, base, '--against')
    gains = {i: 100 * (a - b) for i, (a, b) in enumerate(zip(ours['iou'], theirs['iou']))
             if a is not None and b is not None}
    return Verdict(ours, theirs, (miou(ours) or 0) - (miou(theirs) or 0), gains)


def words(verdict: Verdict, classes: list[str], base_name: str) -> list[str]:
    """The answer, as sentences.

    Args:
        verdict: of ``compare``.
        classes: names of the classes.
        base_name: what to call the baseline.

    Returns:
        First the answer itself, then the classes, then what to keep in mind.
    """
    gain = verdict.gain
    better = sorted((i for i, g in verdict.by_class.items() if g > NOISE_CLASS), key=lambda i: -verdict.by_class[i])
    worse = sorted((i for i, g in verdict.by_class.items() if g < -NOISE_CLASS), key=lambda i: verdict.by_class[i])
    total = len(verdict.by_class)
    if gain > NOISE_MIOU:
        first = f'Yes. With the unlabelled images mIoU is {gain:.1f} points higher than {base_name} without them.'
    elif gain < -NOISE_MIOU:
        first = f'No. With the unlabelled images mIoU is {-gain:.1f} points lower than {base_name} without them.'
    else:
        first = (f'Not measurably. mIoU differs by {gain:+.1f} points from {base_name}, which is within what another '
                 f'seed would change.')
    said = [first]

    def named(indices: list[int]) -> str:
        shown = ', '.join(f'{classes[i]} ({verdict.by_class[i]:+.1f})' for i in indices[:6])
        return shown + (f' and {len(indices) - 6} more' if len(indices) > 6 else '')

    if better:
        said.append(f'It helps {len(better)} of {total} classes: {named(better)}.')
    if worse:
        said.append(f'It hurts {len(worse)} of {total} classes: {named(worse)}.')
    if not (better or worse):
        said.append(f'No class changes by more than {NOISE_CLASS:.0f} points.')
    said.append('This is one pair of runs; train a second seed of both before you rely on a difference of less than '
                'about 2 points.')
    return said


def answer_section(run: Run, base: Run | None, top: Run | None, verdict: Verdict | None,
                   share: tuple[list[float], int] | None) -> str:
    """The section; without a baseline it says how to get one."""
    if verdict is None or base is None:
        if run.method == 'supervised only':
            return ''
        return ('<p>Nothing to compare with yet. Train the same network on the labelled images alone, then run</p>'
                f'<pre tabindex="0">mmseg-weak report {escape(str(run.folder))} --against '
                f'&lt;work_dir of the supervised run&gt;</pre>')
    said = words(verdict, run.classes, base.name)
    html = f'<p class="answer">{escape(said[0])}</p>'
    html += ''.join(f'<p>{escape(text)}</p>' for text in said[1:-1])
    warning = _other_labels(run, base)
    if warning:
        html += f'<p class="bad">{escape(warning)}</p>'
    upper = comparable(run, top, '--upper')[1] if top is not None else None
    if upper is not None:
        gap = miou(upper) - miou(verdict.theirs)
        if gap > 0.5:
            html += (f'<p>With all labels the network reaches {miou(upper):.1f} %; the unlabelled images close '
                     f'{100 * verdict.gain / gap:.0f} % of the distance from {escape(base.name)} to that.</p>')
    html += f'<p class="soft">{escape(said[-1])}</p>'
    most = max((abs(gain) for gain in verdict.by_class.values()), default=1) or 1
    rows = []
    for i in sorted(verdict.by_class, key=lambda i: -verdict.by_class[i]):
        gain = verdict.by_class[i]
        tone = 'good' if gain > NOISE_CLASS else 'bad' if gain < -NOISE_CLASS else 'soft'
        row = [escape(run.classes[i]), f'{100 * verdict.theirs["iou"][i]:.1f}', f'{100 * verdict.ours["iou"][i]:.1f}',
               f'<span class="{tone}">{gain:+.1f}</span>', bar(gain, most, diverging=True)]
        if upper is not None:
            value = upper['iou'][i]
            row.append('' if value is None else f'{100 * value:.1f}')
        if share is not None:
            row.append(f'{100 * share[0][i]:.2f} %')
        rows.append(row)
    head = ['class', 'without', 'with', 'gain', '']
    head += ['all labels'] * (upper is not None) + ['of labelled pixels'] * (share is not None)
    return html + table(head, rows, 'IoU in percent, without and with the unlabelled images')


def _other_labels(run: Run, base: Run) -> str:
    """A warning where the two runs did not have the same labelled images or iterations."""
    def labeled(cfg) -> dict:
        dataset = ((cfg or {}).get('train_dataloader') or {}).get('dataset') or {}
        dataset = dataset.get('labeled') or dataset.get('dataset') or dataset
        return {key: value for key, value in dict(dataset).items() if key not in ('pipeline', 'type', 'serialize_data')}

    if run.cfg is None or base.cfg is None:
        return ''
    if labeled(run.cfg) != labeled(base.cfg):
        return ('The configs of the two runs name different labelled data, so part of the difference may come from '
                'there.')
    lengths = [(cfg.get('train_cfg') or {}).get('max_iters') for cfg in (run.cfg, base.cfg)]
    if lengths[0] != lengths[1]:
        return (f'The two runs are of different length ({lengths[0]} and {lengths[1]} iterations), so part of the '
                f'difference may come from there.')
    return ''
