"""One page about a run: how it went, what it got wrong, whether the unlabelled images helped."""
import time
from html import escape
from pathlib import Path

import numpy as np

from mmseg_weak.files import write_text
from mmseg_weak.version import __version__
from mmseg_weak.visualization.svg import Series, line_chart

from .report_answer import Verdict, answer_section, compare
from .report_classes import balance_section, classes_section, confusion_section, pseudo_section
from .report_data import Run, comparable, labeled_share, miou, read_run
from .report_page import page, table
from .report_pictures import growth_section, pictures_section, worst_section

__all__ = ['report']


def report(work_dir: str | Path, against: str | Path | None = None, upper: str | Path | None = None,
           out: str | Path | None = None) -> Path:
    """Write a self-contained HTML page about a run.

    Args:
        work_dir: the run's folder.
        against: work_dir of a supervised-only run on the same labelled images; the page then says whether the
            unlabelled ones help, and for which classes.
        upper: work_dir of a run with all labels, the upper bound.
        out: where to write; ``<work_dir>/report.html`` by default.

    Returns:
        The page's path.

    Raises:
        MissingFileError: a folder is not there.
        DataError: a folder holds no run, or one that is compared was never evaluated.
        ConfigError: the runs were evaluated on other images or classes.
    """
    run = read_run(work_dir)
    base = read_run(against) if against is not None else None
    top = read_run(upper) if upper is not None else None
    verdict = None
    if base is not None:
        verdict = compare(run, base)
    if top is not None:
        comparable(run, top, '--upper')
    share = labeled_share(run)
    sections = [
        ('answer', 'Is the unlabelled data helping, and for which classes?',
         answer_section(run, base, top, verdict, share)),
        ('curves', 'Curves', _curves(run, base, top)),
        ('pseudo', 'Pseudo labels', pseudo_section(run)),
        ('growth', 'Pseudo labels growing', growth_section(run)),
        ('classes', 'Classes', classes_section(run, base, top, share)),
        ('confusion', 'What is taken for what', confusion_section(run)),
        ('pictures', 'Pictures', pictures_section(run)),
        ('worst', 'Worst images', worst_section(run)),
        ('balance', 'Class balance', balance_section(run, share)),
        ('settings', 'Settings', _settings(run)),
    ]
    out = Path(out) if out is not None else run.folder / 'report.html'
    complaints = run.complaints + (base.complaints if base else []) + (top.complaints if top else [])
    foot = ''.join(f'<p>{escape(text)}</p>' for text in complaints)
    foot += f'<p>Written by mmseg_weak {escape(__version__)} on {time.strftime("%Y-%m-%d %H:%M")}.</p>'
    return write_text(out, page(f'{run.name}: {run.method or "training run"}', _intro(run, base, top, verdict),
                                sections, foot))


def _intro(run: Run, base: Run | None, top: Run | None, verdict: Verdict | None) -> str:
    """The facts one wants first."""
    loss_steps = run.curve('loss')[0]
    done = max([*loss_steps, *run.evals, 0])
    most = ((run.cfg or {}).get('train_cfg') or {}).get('max_iters')
    facts = [f'{done} of {most} iterations' if most else f'{done} iterations']
    if run.last:
        facts.append(f'{len(run.last["images"])} images and {len(run.classes)} classes evaluated')
    tiles = []
    ours = miou(verdict.ours if verdict else run.last)
    if ours is not None:
        tiles.append((f'{ours:.1f}', 'mIoU of this run, %'))
    if verdict:
        sign = 'good' if verdict.gain > 0 else 'bad' if verdict.gain < 0 else ''
        tiles += [(f'{miou(verdict.theirs):.1f}', f'mIoU of {base.name}, %'),
                  (f'<span class="{sign}">{verdict.gain:+.1f}</span>', 'points gained')]
    if top is not None and miou(top.last) is not None:
        tiles.append((f'{miou(comparable(run, top, "--upper")[1]):.1f}', f'mIoU with all labels '
                                                                         f'({escape(top.name)}), %'))
    if run.evals and len(run.evals) > 1:
        best = max(run.evals, key=lambda step: miou(run.evals[step]) or 0)
        if (miou(run.evals[best]) or 0) > (miou(run.last) or 0) + 0.05:
            tiles.append((f'{miou(run.evals[best]):.1f}', f'best validation, iteration {best}, %'))
    kept = run.curve('pseudo/kept')[1]
    if kept:
        tiles.append((f'{100 * kept[-1]:.0f} %', 'of unlabelled pixels kept as pseudo labels'))
    boxes = ''.join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in tiles)
    return f'<p class="soft">{escape(" · ".join(facts))}</p>' + (f'<div class="tiles">{boxes}</div>' if boxes else '')


def _smooth(values: list[float], share: float = 0.1) -> list[float]:
    """Exponential mean, so that the trend shows under the noise."""
    smoothed, mean = [], None
    for value in values:
        if np.isfinite(value):
            mean = value if mean is None else (1 - share) * mean + share * value
        smoothed.append(mean if mean is not None else float('nan'))
    return smoothed


def _curves(run: Run, base: Run | None, top: Run | None) -> str:
    score = [Series(run.name, *run.miou_curve(), 'a')]
    if base is not None:
        score.append(Series(base.name, *base.miou_curve(), 'b'))
    if top is not None:
        score.append(Series(f'{top.name} (all labels)', *top.miou_curve(), 'c'))
    charts = [line_chart(score, 'mIoU on the validation images', '%')]
    steps, loss = run.curve('loss')
    if steps:
        shown = [Series('each log entry', steps, loss, 'faint'), Series('smoothed', steps, _smooth(loss), 'a')]
        charts.append(line_chart(shown, 'Loss'))
    parts = {key.rsplit('.', 1)[-1] if key.startswith('sup.') else key: run.curve(key) for key in sorted(run.scalars)
             if 'loss' in key and key != 'loss' and not key.startswith('pseudo/')}
    if len(parts) > 1:
        styles = ('a', 'b', 'c', 'd')
        charts.append(line_chart([Series(name, curve[0], _smooth(curve[1]), style) for (name, curve), style
                                  in zip(parts.items(), styles)], 'Parts of the loss, smoothed'))
    rate = run.curve('lr')
    charts.append(line_chart([Series('learning rate', *rate, 'a')] if rate[0] else [], 'Learning rate'))
    charts = [chart for chart in charts if chart]
    if not charts:
        return ''
    rows = [[str(step), *(_at(series, step) for series in score)] for step in
            sorted({step for series in score for step in series.x})]
    values = ''
    if rows:
        head = ['iteration', *(series.name for series in score)]
        values = f'<details><summary>mIoU as a table</summary>{table(head, rows)}</details>'
    return f'<div class="charts">{"".join(charts)}</div>{values}'


def _at(series: Series, step: float) -> str:
    value = dict(zip(series.x, series.y)).get(step)
    return '' if value is None else f'{value:.2f}'


def _settings(run: Run) -> str:
    if run.cfg is None:
        return '<p>No config lies in the work_dir.</p>'
    cfg = run.cfg
    loader = cfg.get('train_dataloader') or {}
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    network = (cfg.get('model') or {}).get('segmentor') or cfg.get('model') or {}
    head = network.get('decode_head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    sampler = loader.get('sampler') or {}
    facts = {
        'method': run.method, 'backbone': (network.get('backbone') or {}).get('type'), 'head': head.get('type'),
        'images a batch': loader.get('batch_size'), 'labelled : unlabelled': sampler.get('source_ratio'),
        'optimizer': optimizer.get('type'), 'learning rate': optimizer.get('lr'),
        'iterations': (cfg.get('train_cfg') or {}).get('max_iters'), 'seed': (cfg.get('randomness') or {}).get('seed'),
        'starts from': cfg.get('load_from') or (network.get('backbone') or {}).get('init_cfg', {}),
    }
    if isinstance(facts['starts from'], dict):
        facts['starts from'] = facts['starts from'].get('checkpoint') or 'random weights'
    if facts['labelled : unlabelled']:
        facts['labelled : unlabelled'] = ' : '.join(map(str, facts['labelled : unlabelled']))
    rows = [[escape(key), escape(str(value))] for key, value in facts.items() if value is not None]
    text = escape(cfg.pretty_text)
    return (table(['setting', 'value'], rows)
            + f'<details><summary>The whole config</summary><pre tabindex="0">{text}</pre></details>')
