"""The sections of the report that speak of single classes."""
from html import escape

import numpy as np

from mmseg_weak.visualization.svg import Series, line_chart, sparkline

from .report_data import Run
from .report_page import bar, table

__all__ = ['balance_section', 'classes_section', 'confusion_section', 'pseudo_section']

_RARE = 6
_MATRIX = 30


def _truth_share(record: dict) -> np.ndarray:
    """Share of each class among the true pixels of an evaluation."""
    counts = np.asarray(record['confusion'], np.float64).sum(1)
    return counts / max(counts.sum(), 1)


def pseudo_section(run: Run) -> str:
    """Coverage and confidence of the pseudo labels over time, in all and by class."""
    if not run.curve('pseudo/kept')[0]:
        return ''

    def percent(key: str) -> tuple[list, list]:
        steps, values = run.curve(key)
        return steps, [100 * value for value in values]

    charts = [line_chart([Series('kept', *percent('pseudo/kept'), 'a')], 'Unlabelled pixels kept', '%',
                         y_range=(0, 100)),
              line_chart([Series('confidence', *percent('pseudo/conf'), 'a')]
                         + ([Series('accuracy of the kept (diagnose)', *percent('pseudo/acc'), 'c')]
                            if run.curve('pseudo/acc')[0] else []), 'Mean confidence', '%', y_range=(0, 100))]
    names = [key.removeprefix('pseudo/kept/') for key in run.scalars if key.startswith('pseudo/kept/')]
    order = {name: place for place, name in enumerate(run.classes)}
    names.sort(key=lambda name: order.get(name, len(order)))
    multiples, rows = '', []
    for name in names:
        parts = {what: percent(f'pseudo/{what}/{name}') for what in ('kept', 'conf', 'acc')}
        last = {what: values[-1] for what, (_, values) in parts.items() if values and np.isfinite(values[-1])}
        label = f'{name}: kept {last.get("kept", 0):.0f} %, confidence {last.get("conf", 0):.0f} % at the end'
        multiples += (f'<div class="multiple">{escape(name)}<b>{last.get("kept", 0):.0f} %</b>'
                      + sparkline([Series('confidence', *parts['conf'], 'd'), Series('kept', *parts['kept'], 'a')],
                                  label) + '</div>')
        rows.append([escape(name), *(f'{last[what]:.1f}' if what in last else '' for what in ('kept', 'conf', 'acc'))])
    head = ['class', 'kept, %', 'confidence, %', 'accuracy of the kept, %']
    if not run.curve('pseudo/acc')[0]:
        head, rows = head[:-1], [row[:-1] for row in rows]
    classes = ''
    if names:
        classes = ('<h3>By class</h3><p class="soft"><span class="key k-a">share of its pixels kept</span> '
                   '<span class="key k-d">mean confidence</span>, both from 0 to 100 %, over the run; the number is '
                   f'the share kept at the end.</p><div class="multiples">{multiples}</div>'
                   f'<details><summary>Last values as a table</summary>{table(head, rows)}</details>')
    return f'<div class="charts">{"".join(charts)}</div>{classes}'


def classes_section(run: Run, base: Run | None, top: Run | None, share: tuple[list[float], int] | None) -> str:
    """IoU of every class, and the rarest ones over time."""
    record = run.last
    if record is None:
        return '<p>No evaluation yet.</p>'
    matrix = np.asarray(record['confusion'], np.float64)
    truth, pred, hit = matrix.sum(1), matrix.sum(0), np.diag(matrix)
    parts = _truth_share(record)
    rows = []
    for i in np.argsort(-parts, kind='stable'):
        value = record['iou'][i]
        rows.append([escape(run.classes[i]), '' if value is None else f'{100 * value:.1f}',
                     bar(None if value is None else 100 * value),
                     f'{100 * hit[i] / truth[i]:.1f}' if truth[i] else 'not there',
                     f'{100 * hit[i] / pred[i]:.1f}' if pred[i] else 'never said', f'{100 * parts[i]:.2f} %'])
    html = table(['class', 'IoU, %', '', 'found, %', 'right, %', 'of all pixels'], rows,
                 f'{_when(record)}, most frequent class first')
    html += '<p class="soft">Found: share of its true pixels. Right: share of the pixels so named.</p>'
    if len(run.evals) < 2:
        return html
    frequency = np.asarray(share[0]) if share is not None else parts
    rare = [int(i) for i in np.argsort(frequency, kind='stable') if truth[i] > 0][:_RARE]
    every = {i: [Series(each.name, *each.iou_curve(i), style) for each, style in
                 ((top, 'c'), (base, 'b'), (run, 'a')) if each is not None and i < len(each.classes)] for i in rare}
    reached = [y for curves in every.values() for curve in curves for _, y in curve.points()]
    ceiling = min(100, 10 * (int(max(reached, default=0)) // 10 + 1))
    multiples = ''
    for i, curves in every.items():
        value = record['iou'][i]
        end = 0 if value is None else 100 * value
        multiples += (f'<div class="multiple">{escape(run.classes[i])}<b>{end:.1f} %</b>'
                      f'{sparkline(curves, f"{run.classes[i]}: IoU {end:.1f} % at the end", (0, ceiling))}</div>')
    keys = ''.join(f'<span class="key k-{style}">{escape(each.name)}</span> ' for each, style in
                   ((run, 'a'), (base, 'b'), (top, 'c')) if each is not None)
    return html + (f'<h3>The {len(rare)} rarest classes over the run</h3><p class="soft">IoU from 0 to {ceiling} %. '
                   f'{keys}</p>'
                   f'<div class="multiples">{multiples}</div>')


def confusion_section(run: Run) -> str:
    """The confusion matrix, each row in percent of its true class, and the largest confusions in words."""
    record = run.last
    if record is None:
        return ''
    matrix = np.asarray(record['confusion'], np.float64)
    truth = matrix.sum(1)
    shares = np.divide(matrix, truth[:, None], out=np.zeros_like(matrix), where=truth[:, None] > 0)
    shown = [int(i) for i in np.argsort(-truth, kind='stable')[:_MATRIX] if truth[i] or matrix[:, i].any()]
    off = shares.copy()
    np.fill_diagonal(off, 0)
    largest = [divmod(int(flat), len(matrix)) for flat in np.argsort(-off, axis=None)[:5]]
    said = [f'{100 * off[i, j]:.0f} % of {run.classes[i]} is taken for {run.classes[j]}' for i, j in largest
            if off[i, j] >= 0.01]
    head = ''.join(f'<th scope="col">{escape(run.classes[j])}</th>' for j in shown)
    body = ''
    for i in shown:
        cells = ''
        for j in shown:
            value = shares[i, j]
            strong = ' color:#fff;' if value > 0.62 else ''
            text = f'{100 * value:.0f}' if value >= 0.005 else ''
            cells += f'<td style="background:rgba(var(--heat),{0.9 * value:.2f});{strong}">{text}</td>'
        body += f'<tr><th scope="row">{escape(run.classes[i])}</th>{cells}</tr>'
    left_out = int((truth > 0).sum()) - len(shown)
    more = f' The {len(shown)} most frequent classes are shown.' if left_out > 0 else ''
    return ((f'<p>{escape("; ".join(said))}.</p>' if said else '')
            + f'<p class="soft">Rows: what is there. Columns: what was said, in percent of the row.{more}</p>'
            '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="matrix">'
            f'<thead><tr><th scope="col">there \\ said</th>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def balance_section(run: Run, share: tuple[list[float], int] | None) -> str:
    """Share of every class among the labelled and the evaluated pixels."""
    record = run.last
    if record is None:
        return ''
    evaluated = _truth_share(record)
    most = 100 * max(float(evaluated.max()), max(share[0]) if share else 0)
    rows = []
    for i in np.argsort(-evaluated, kind='stable'):
        row = [escape(run.classes[i])]
        if share is not None:
            row += [f'{100 * share[0][i]:.2f}', bar(100 * share[0][i], most)]
        rows.append([*row, f'{100 * evaluated[i]:.2f}', bar(100 * evaluated[i], most)])
    labelled = [f'labelled, % (crops of {share[1]} images)', ''] if share is not None else []
    return table(['class', *labelled, 'evaluated, %', ''], rows, 'Share of the pixels')


def _when(record: dict) -> str:
    return f'Iteration {record["iter"]}' if record.get('iter') is not None else 'Last evaluation'
