"""Curves as PNG or SVG files, for papers and reports."""
import io
from collections.abc import Mapping, Sequence

__all__ = ['threshold_plot']


def threshold_plot(thresholds: Sequence[float], miou: Sequence[float], marks: Mapping[str, tuple[float, float]],
                   kind: str = 'png') -> bytes:
    """mIoU over the background threshold, with the thresholds that rules chose.

    Args:
        thresholds: ascending.
        miou: in percent, one a threshold.
        marks: (threshold, mIoU) by name; the first is the best one.
        kind: 'png' or 'svg'.

    Returns:
        The bytes of the file.
    """
    from matplotlib.figure import Figure  # only where a plot is asked for; no pyplot, so no state is shared
    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout='constrained')
    axes = figure.add_subplot()
    axes.plot(thresholds, miou, color='#1f5fd0', linewidth=2)
    for (name, (x, y)), (marker, colour) in zip(marks.items(), zip('*osD^vP', (
            '#c2570c', '#0f7a5a', '#7a3fc0', '#b3261e', '#5b6676', '#1a2230', '#0b7285'))):
        axes.plot([x], [y], marker, color=colour, markersize=12 if marker == '*' else 7,
                  label=f'{name}: {x:g} → {y:.1f}')
    axes.set_xlabel('background threshold')
    axes.set_ylabel('mIoU (%)')
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize='small')
    stream = io.BytesIO()
    figure.savefig(stream, format=kind)
    return stream.getvalue()
