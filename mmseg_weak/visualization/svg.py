"""Small charts as inline SVG: no script, no network, colours from the page's style sheet."""
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ['Series', 'line_chart', 'nice_ticks', 'number', 'sparkline']


@dataclass
class Series:
    """A curve.

    Attributes:
        name: for the legend and for screen readers.
        x: positions, ascending.
        y: values; None and NaN leave a gap.
        style: CSS class of the stroke: 'a' (this run), 'b' (compared run), 'c' (upper bound), 'd', 'faint'.
    """
    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    style: str = 'a'

    def points(self) -> list[tuple[float, float]]:
        """The finite points."""
        return [(x, y) for x, y in zip(self.x, self.y) if y is not None and math.isfinite(y)]


def number(value: float) -> str:
    """A value in at most four characters of digits, as axes and tables show it.

    >>> [number(v) for v in (0, 12000, 0.25, 3.14159, 0.00012)]
    ['0', '12k', '0.25', '3.14', '1.2e-4']
    """
    size = abs(value)
    if size >= 1e6:
        return f'{value / 1e6:g}M'
    if size >= 1e4:
        return f'{value / 1e3:g}k'
    if size and size < 1e-3:
        digits, power = f'{value:.1e}'.split('e')
        return f'{digits.removesuffix(".0")}e{int(power)}'
    return f'{value:.3g}' if size < 100 else f'{value:.0f}'


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that cover a range.

    >>> nice_ticks(0, 93)
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    span = high - low
    if not span > 0:
        span = abs(high) or 1.0
    raw = span / max(1, count)
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * factor for factor in (1, 2, 2.5, 5, 10) if base * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def line_chart(series: Sequence[Series], title: str, unit: str = '', height: int = 220, width: int = 520,
               y_range: tuple[float, float] | None = None, x_name: str = 'iteration') -> str:
    """Draw curves over the iterations.

    Args:
        series: the curves; those without a finite point are left out.
        title: heading of the chart.
        unit: of the values, as '%'.
        height: of the drawing, in its own units.
        width: of the drawing; the page scales it.
        y_range: (low, high) of the axis; by default what the values need.
        x_name: name of the x axis.

    Returns:
        An HTML ``figure``; empty where there is nothing to draw.
    """
    curves = [(one, one.points()) for one in series]
    curves = [(one, points) for one, points in curves if points]
    if not curves:
        return ''
    xs = [x for _, points in curves for x, _ in points]
    ys = [y for _, points in curves for _, y in points]
    ticks = nice_ticks(*(y_range or (min(ys), max(ys))))
    low, high = ticks[0], ticks[-1]
    x_low, x_high = min(xs), max(xs)
    if x_low == x_high:
        x_low, x_high = min(0.0, x_low), max(1.0, x_high)
    left, right, top, bottom = 48, 12, 10, 34

    def at(x: float, y: float) -> tuple[float, float]:
        return (left + (x - x_low) / (x_high - x_low) * (width - left - right),
                height - bottom - (min(max(y, low), high) - low) / (high - low) * (height - top - bottom))

    parts = []
    for tick in ticks:
        y = at(x_low, tick)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}{escape(unit)}</text>')
    x_ticks = [tick for tick in nice_ticks(x_low, x_high, 4) if x_low <= tick <= x_high]
    for tick in x_ticks:
        x = at(tick, low)[0]
        anchor = 'end' if x > width - right - 14 else 'middle'
        parts.append(f'<text x="{x:.1f}" y="{height - 16}" text-anchor="{anchor}">{number(tick)}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 1}" '
                 f'text-anchor="middle">{escape(x_name)}</text>')
    for one, points in curves:
        path = ' '.join(f'{"M" if i == 0 else "L"}{at(*p)[0]:.1f} {at(*p)[1]:.1f}' for i, p in enumerate(points))
        parts.append(f'<path class="s-{one.style}" d="{path}"/>')
        if one.style != 'faint' and len(points) <= 40:
            parts += [f'<circle class="p-{one.style}" cx="{at(*p)[0]:.1f}" cy="{at(*p)[1]:.1f}" r="3.2"><title>'
                      f'{escape(one.name)}, {escape(x_name)} {number(p[0])}: {number(p[1])}{escape(unit)}</title>'
                      f'</circle>' for p in points]
    told = '; '.join(f'{one.name} from {number(points[0][1])}{unit} to {number(points[-1][1])}{unit}'
                     for one, points in curves if one.style != 'faint')
    legend = ''.join(f'<span class="key k-{one.style}">{escape(one.name)} '
                     f'<b>{number(points[-1][1])}{escape(unit)}</b></span>'
                     for one, points in curves if one.style != 'faint')
    return (f'<figure class="chart"><figcaption>{escape(title)}<span class="legend">{legend}</span></figcaption>'
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(f"{title}: {told}", quote=True)}">'
            f'{"".join(parts)}</svg></figure>')


def sparkline(series: Sequence[Series], label: str, y_range: tuple[float, float] = (0, 100), width: int = 200,
              height: int = 44) -> str:
    """A curve the size of a word, without axes.

    Args:
        series: the curves, of one unit.
        label: what it shows, for screen readers.
        y_range: (low, high), the same for all that shall be compared.
        width: of the drawing.
        height: of the drawing.

    Returns:
        An ``svg`` element.
    """
    curves = [(one, one.points()) for one in series]
    xs = [x for _, points in curves for x, _ in points]
    if not xs:
        return ''
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    low, high = y_range
    parts = [f'<line class="grid" x1="0" x2="{width}" y1="{height - 1}" y2="{height - 1}"/>']
    for one, points in curves:
        spots = [(2 + (x - x_low) / (x_high - x_low) * (width - 6),
                  height - 3 - (min(max(y, low), high) - low) / (high - low) * (height - 6)) for x, y in points]
        if spots:
            path = ' '.join(f'{"M" if i == 0 else "L"}{x:.1f} {y:.1f}' for i, (x, y) in enumerate(spots))
            parts.append(f'<path class="s-{one.style}" d="{path}"/>'
                         f'<circle class="p-{one.style}" cx="{spots[-1][0]:.1f}" cy="{spots[-1][1]:.1f}" r="2.6"/>')
    return (f'<svg class="spark" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>')
