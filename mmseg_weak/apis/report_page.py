"""The look of the report: one HTML page without script and without network."""
import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_weak.visualization import confidence_picture

__all__ = ['bar', 'embed', 'page', 'table']

_STYLE = """
:root { color-scheme: light dark; --bg:#f6f7f9; --card:#fff; --ink:#1a2230; --soft:#5b6676; --line:#dfe3e9;
  --a:#1f5fd0; --b:#c2570c; --c:#0f7a5a; --d:#7a3fc0; --faint:#a9b9d6; --good:#0f7a5a; --bad:#b3261e; --heat:31,95,208 }
@media (prefers-color-scheme: dark) { :root { --bg:#11151c; --card:#1a202b; --ink:#e8ecf3; --soft:#9aa6b8;
  --line:#2d3645; --a:#79a8ff; --b:#ffa45c; --c:#4fd0a5; --d:#c39bff; --faint:#3e5586; --good:#4fd0a5;
  --bad:#ff8a80; --heat:121,168,255 } }
* { box-sizing: border-box }
body { margin:0; background:var(--bg); color:var(--ink); font:16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif }
main { max-width:1120px; margin:0 auto; padding:28px 20px 60px }
h1 { font-size:1.75rem; line-height:1.2; margin:0 0 4px; overflow-wrap:anywhere }
h2 { font-size:1.2rem; margin:0 0 4px } h3 { font-size:1rem; margin:18px 0 6px }
p { margin:6px 0; max-width:75ch } .soft { color:var(--soft) } small, .soft { font-size:.875rem }
section { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:20px 22px; margin:16px 0 }
nav { display:flex; flex-wrap:wrap; gap:6px 16px; margin:12px 0 0; font-size:.9rem }
a { color:var(--a) } :focus-visible { outline:3px solid var(--a); outline-offset:2px; border-radius:4px }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:12px; margin:14px 0 6px }
.tile { border:1px solid var(--line); border-radius:10px; padding:10px 14px }
.tile b { display:block; font-size:1.7rem; line-height:1.2; font-variant-numeric:tabular-nums }
.tile > span { color:var(--soft); font-size:.85rem } .answer { font-size:1.15rem; font-weight:600 }
.good { color:var(--good) } .bad { color:var(--bad) }
.charts { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(100%,430px),1fr)); gap:18px 24px }
figure { margin:0 } figcaption { font-weight:600; font-size:.95rem; display:flex; flex-wrap:wrap;
  justify-content:space-between; gap:2px 14px } .legend { font-weight:400; font-size:.85rem; color:var(--soft);
  display:flex; flex-wrap:wrap; gap:2px 12px } .legend b { color:var(--ink); font-variant-numeric:tabular-nums }
.key::before { content:""; display:inline-block; width:14px; height:3px; border-radius:2px; margin-right:5px;
  vertical-align:middle; background:currentColor } .k-a::before{color:var(--a)} .k-b::before{color:var(--b)}
.k-c::before{color:var(--c)} .k-d::before{color:var(--d)}
.chart svg { width:100%; height:auto; display:block } svg text { fill:var(--soft); font-size:12px }
svg path { fill:none; stroke-width:2; stroke-linejoin:round } .grid { stroke:var(--line); stroke-width:1 }
.s-a{stroke:var(--a)} .s-b{stroke:var(--b);stroke-dasharray:6 3} .s-c{stroke:var(--c);stroke-dasharray:2 3}
.s-d{stroke:var(--d)} .s-faint{stroke:var(--faint);stroke-width:1}
.p-a{fill:var(--a)} .p-b{fill:var(--b)} .p-c{fill:var(--c)} .p-d{fill:var(--d)}
.scroll { overflow-x:auto; max-width:100% } table { border-collapse:collapse; font-size:.9rem; margin:8px 0;
  font-variant-numeric:tabular-nums } caption { text-align:left; font-weight:600; padding:4px 0 }
th, td { padding:4px 10px; text-align:right; border-bottom:1px solid var(--line); white-space:nowrap }
th:first-child, td:first-child { text-align:left; max-width:22em; overflow:hidden; text-overflow:ellipsis }
thead th { color:var(--soft); font-weight:600 } tbody th { font-weight:500 }
.bar { display:inline-block; position:relative; width:110px; height:10px; border-radius:3px; background:var(--line);
  vertical-align:middle } .bar i { position:absolute; top:0; bottom:0; border-radius:3px; background:var(--a) }
.bar.diff i.up { background:var(--good) } .bar.diff i.down { background:var(--bad) }
.bar.diff::after { content:""; position:absolute; left:50%; top:-2px; bottom:-2px; width:1px; background:var(--soft) }
.swatch { display:inline-block; width:12px; height:12px; border-radius:3px; margin-right:6px; vertical-align:-1px;
  border:1px solid var(--line) } .legendrow { display:flex; flex-wrap:wrap; gap:4px 14px; font-size:.85rem; margin:8px 0
  }
.multiples { display:grid; grid-template-columns:repeat(auto-fill,minmax(165px,1fr)); gap:14px; margin-top:8px }
.multiple { font-size:.85rem } .multiple b { float:right; font-variant-numeric:tabular-nums }
.spark { width:100%; height:44px; display:block }
.matrix td { text-align:center; padding:3px 6px; min-width:38px } .matrix th { font-weight:500 }
.matrix thead th { writing-mode:vertical-rl; transform:rotate(180deg); text-align:left; padding:6px 2px; max-width:none
} .matrix thead th:first-child { writing-mode:horizontal-tb; transform:none; vertical-align:bottom; max-width:9em;
  white-space:normal }
.pictures { display:grid; gap:12px; margin:10px 0 } .row { display:grid; gap:8px;
  grid-template-columns:repeat(var(--n),minmax(90px,1fr)) } .row img { width:100%; display:block; border-radius:6px;
  border:1px solid var(--line); image-rendering:auto } .row figcaption { font-weight:400; font-size:.8rem;
  color:var(--soft); display:block } .what { font-size:.85rem; overflow-wrap:anywhere }
img.pixel { image-rendering:pixelated }
details summary { cursor:pointer; font-weight:600; margin:6px 0 } pre { overflow-x:auto; font-size:.8rem;
  background:var(--bg); border-radius:8px; padding:12px; line-height:1.45 }
footer { color:var(--soft); font-size:.85rem; margin-top:20px }
@media print { section { break-inside:avoid } body { background:#fff } }
"""


def page(title: str, intro: str, sections: Sequence[tuple[str, str, str]], foot: str) -> str:
    """Put sections into a page.

    Args:
        title: of the page, plain text.
        intro: HTML below the title.
        sections: (anchor, heading as plain text, HTML); those without HTML are left out.
        foot: HTML at the end.

    Returns:
        The whole document.
    """
    kept = [section for section in sections if section[2]]
    links = ''.join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in kept)
    body = ''.join(f'<section id="{anchor}"><h2>{escape(heading)}</h2>{html}</section>'
                   for anchor, heading, html in kept)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
            f'<style>{_STYLE}</style></head><body><main><header><h1>{escape(title)}</h1>{intro}'
            f'<nav aria-label="Sections">{links}</nav></header>{body}<footer>{foot}</footer></main></body></html>\n')


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = '') -> str:
    """A table; the first column names the row.

    Args:
        head: plain text.
        rows: cells as HTML.
        caption: plain text.

    Returns:
        HTML that scrolls sideways, by keyboard too, where it is too wide.
    """
    top = ''.join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = ''.join('<tr>' + ''.join(f'<th scope="row">{cell}</th>' if not i else f'<td>{cell}</td>'
                                    for i, cell in enumerate(row)) + '</tr>' for row in rows)
    title = f'<caption>{escape(caption)}</caption>' if caption else ''
    label = escape(caption or ', '.join(head), quote=True)
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>{title}<thead><tr>{top}</tr>'
            f'</thead><tbody>{body}</tbody></table></div>')


def bar(value: float | None, most: float = 100, diverging: bool = False) -> str:
    """A bar in a table cell.

    Args:
        value: its length; negative ones go left where ``diverging``.
        most: the value of a full bar.
        diverging: whether the zero is in the middle.

    Returns:
        HTML; empty for None.
    """
    if value is None:
        return ''
    share = min(abs(value) / most, 1) if most else 0
    if not diverging:
        return f'<span class="bar" aria-hidden="true"><i style="left:0;width:{100 * share:.1f}%"></i></span>'
    left = 50 if value >= 0 else 50 - 50 * share
    return (f'<span class="bar diff" aria-hidden="true"><i class="{"up" if value >= 0 else "down"}" '
            f'style="left:{left:.1f}%;width:{50 * share:.1f}%"></i></span>')


def embed(path: Path, kind: str, palette_note: str) -> str:
    """An image file as part of the page.

    Args:
        path: PNG of the run.
        kind: 'image' (a photograph), 'mask' (its own palette), or 'conf' (grey, 0-255).
        palette_note: alternative text.

    Returns:
        An ``img`` element; a sentence where the file is not there or cannot be read.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            picture = opened.copy()
    except (OSError, ValueError):
        return f'<span class="soft">{escape(path.name)} is missing</span>'
    stream, mime = io.BytesIO(), 'image/png'
    if kind == 'conf':
        picture = Image.fromarray(confidence_picture(np.asarray(picture.convert('L'), np.float32) / 255))
    if kind == 'mask':
        picture.save(stream, 'PNG', optimize=True)
    else:
        mime = 'image/jpeg'
        picture.convert('RGB').save(stream, 'JPEG', quality=88)
    data = base64.b64encode(stream.getvalue()).decode()
    small = ' class="pixel"' if max(picture.size) < 200 and kind == 'mask' else ''
    return f'<img{small} src="data:{mime};base64,{data}" alt="{escape(palette_note, quote=True)}" loading="lazy">'
