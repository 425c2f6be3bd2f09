"""A contact sheet of a folder of masks: one HTML page to browse, without script and without network."""
import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_weak.datasets.corrections import read_index
from mmseg_weak.datasets.masks import decode_image, decode_mask
from mmseg_weak.errors import DataError, MissingFileError
from mmseg_weak.files import write_bytes, write_text
from mmseg_weak.visualization import overlay, shrink, voc_palette

from .report_page import bar, page, table

__all__ = ['write_sheet']

_SIDE_PX = 240
_MOST_CLASSES = 40  # with pictures of their own


def write_sheet(folder: Path, pictures: int = 12) -> Path:
    """Write ``index.html`` and the overlays it shows.

    Args:
        folder: with an index.
        pictures: how many each part shows.

    Returns:
        The page.
    """
    index = read_index(str(folder))
    items, classes = index['images'], index['classes']
    palette = index['palette'] or voc_palette(len(classes))
    by_confidence = sorted(items, key=lambda item: item['confidence'])
    lost = [item for item in items if item['tags'] and item['not_shown']]
    spread = _spread(items, 2 * pictures)
    parts = [('spread', 'Evenly spread', spread), ('least', 'Least certain', by_confidence[:pictures]),
             ('most', 'Most certain', by_confidence[::-1][:pictures]),
             ('lost', 'A tag shows on no pixel', _spread(lost, pictures))]
    shown = _Pictures(folder, palette)
    sections = [('summary', 'Summary', _tiles(items, index['made'], lost)),
                ('classes', 'Classes', _classes(items, classes, palette))]
    sections += [(anchor, heading, shown.gallery(chosen)) for anchor, heading, chosen in parts]
    sections.append(('by-class', 'By class', _by_class(items, classes, palette, shown, min(4, pictures))))
    intro = (f'<p class="soft">{len(items)} masks in <code>{escape(str(folder / "masks"))}</code>. Each picture shows '
             f'the image and the mask on it. Correct a mask in any editor that keeps the palette; training takes the '
             f'corrected file and says so.</p>')
    made = ', '.join(f'{key} {value}' for key, value in index['made'].items() if value not in (None, [], ''))
    return write_text(folder / 'index.html', page(f'Pseudo masks: {folder.name}', intro, sections, escape(made)))


def _spread(items: Sequence[dict], count: int) -> list[dict]:
    """Evenly spaced items of a list."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(count - 1, 1))] for i in range(count)]


def _tiles(items: Sequence[dict], made: dict, lost: Sequence[dict]) -> str:
    def mean(key: str) -> str:
        return f'{100 * np.mean([item[key] for item in items]):.1f} %' if items else '-'

    empty = sum(bool(item['tags']) and not item['shown'] for item in items)
    tiles = [(f'{len(items)}', 'masks'), (mean('confidence'), 'mean confidence'), (mean('foreground'), 'foreground'),
             (mean('unknown'), 'unknown (255)'), (f'{len(lost)}', 'images with a tag on no pixel'),
             (f'{empty}', 'tagged images without any object')]
    if made.get('thr') is not None:
        tiles.insert(1, (f'{made["thr"]:g}', 'background score'))
    return '<div class="tiles">' + ''.join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>'
                                           for value, text in tiles) + '</div>'


def _swatch(colour: Sequence[int]) -> str:
    return f'<span class="swatch" style="background:rgb({",".join(map(str, colour))})"></span>'


def _classes(items: Sequence[dict], classes: Sequence[str], palette: Sequence) -> str:
    rows = []
    most = max([1, *(sum(name in item['shown'] for item in items) for name in classes)])
    for name, colour in list(zip(classes, palette))[1:]:
        tagged = [item for item in items if name in (item['tags'] or ())]
        showing = [item for item in items if name in item['shown']]
        sure = f'{np.mean([item["confidence"] for item in showing]):.2f}' if showing else '-'
        rows.append([_swatch(colour) + escape(name), str(len(tagged)) if any(i['tags'] is not None for i in items) else
                     '-', str(len(showing)), bar(len(showing), most), sure])
    return table(['class', 'images tagged', 'images showing it', '', 'mean confidence of these'], rows)


def _by_class(items: Sequence[dict], classes: Sequence[str], palette: Sequence, shown: '_Pictures', count: int) -> str:
    parts = []
    for name, colour in list(zip(classes, palette))[1:_MOST_CLASSES + 1]:
        chosen = _spread([item for item in items if name in item['shown']], count)
        if chosen:
            parts.append(f'<h3>{_swatch(colour)}{escape(name)}</h3>{shown.gallery(chosen)}')
    return ''.join(parts)


class _Pictures:
    """Pictures of images with their masks, each drawn once.

    Args:
        folder: of the masks.
        palette: colours.
    """

    def __init__(self, folder: Path, palette: Sequence) -> None:
        self.folder, self.palette = folder, palette
        self.drawn: dict[str, str] = {}

    def gallery(self, items: Sequence[dict]) -> str:
        """A grid of figures."""
        if not items:
            return ''
        figures = ''.join(f'<figure class="what">{self._draw(item)}<figcaption>{self._caption(item)}</figcaption>'
                          f'</figure>' for item in items)
        style = 'display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr))'
        return f'<div style="{style}">{figures}</div>'

    @staticmethod
    def _caption(item: dict) -> str:
        text = f'{item["name"]} · {item["confidence"]:.2f}'
        if item['shown']:
            text += f' · {", ".join(item["shown"])}'
        lost = ''
        if item['not_shown']:
            lost = f' <span class="bad">no pixel: {escape(", ".join(item["not_shown"]))}</span>'
        return f'<span style="font-weight:400">{escape(text)}{lost}</span>'

    def _draw(self, item: dict) -> str:
        if item['name'] not in self.drawn:
            try:
                image = decode_image(item['image'])[..., ::-1]
                mask = decode_mask(str(self.folder / item['mask']))
                image = np.ascontiguousarray(image)
                faint, strong = (overlay(image, mask, self.palette, share) for share in (0.25, 0.6))
                both = np.where((mask == 0)[..., None], faint, strong)
            except (DataError, MissingFileError, ValueError) as error:
                self.drawn[item['name']] = f'<span class="soft">{escape(str(error))}</span>'
                return self.drawn[item['name']]
            write_bytes(self.folder / 'overlays' / f'{item["name"]}.jpg', _jpeg(both))
            pair = np.concatenate([_fit(image), _fit(both)], 1)
            data = base64.b64encode(_jpeg(pair, 82)).decode()
            alt = f'{item["name"]}: image and mask with {", ".join(item["shown"]) or "background only"}'
            self.drawn[item['name']] = (f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alt, quote=True)}" '
                                        f'loading="lazy" style="width:100%;border-radius:6px;display:block">')
        return self.drawn[item['name']]


def _fit(picture: np.ndarray) -> np.ndarray:
    return shrink(np.ascontiguousarray(picture), _SIDE_PX)


def _jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'JPEG', quality=quality)
    return stream.getvalue()
