"""The pictures of the report."""
from html import escape
from pathlib import Path

from mmseg_weak.visualization import voc_palette

from .report_data import Run
from .report_page import embed, table

__all__ = ['growth_section', 'pictures_section', 'worst_section']


def pictures_section(run: Run) -> str:
    """Fixed images of the newest evaluation: image, truth, prediction, confidence."""
    return _rows(run, 'fixed')


def worst_section(run: Run) -> str:
    """The images with the lowest mIoU, as pictures and as a list."""
    record = run.last
    if record is None:
        return ''
    images = sorted((image for image in record['images'] if image['mIoU'] is not None), key=lambda i: i['mIoU'])[:10]
    if not images:
        return ''
    rows = [[escape(image['img_path']), f'{100 * image["mIoU"]:.1f}'] for image in images]
    return _rows(run, 'worst') + table(['image', 'mIoU, %'], rows, 'The ten worst')


def growth_section(run: Run) -> str:
    """Pseudo labels of fixed crops at several iterations."""
    if not run.snapshots:
        return ''
    folder = run.folder / 'pseudo_snapshots'
    steps = sorted(run.snapshots)
    while len(steps) > 5:  # the first, the last and some between
        del steps[len(steps) // 2]
    names = sorted(file.stem for file in run.snapshots[steps[-1]].glob('*.png') if not file.stem.endswith('_conf'))
    html = ''
    for name in names:
        cells = [_cell(folder / 'images' / f'{name}.png', 'image', 'image')]
        if (folder / 'truth' / f'{name}.png').is_file():
            cells.append(_cell(folder / 'truth' / f'{name}.png', 'mask', 'hidden truth'))
        cells += [_cell(run.snapshots[step] / f'{name}.png', 'mask', f'iteration {step}') for step in steps]
        cells.append(_cell(run.snapshots[steps[-1]] / f'{name}_conf.png', 'conf', f'confidence, {steps[-1]}'))
        html += f'<div class="row" style="--n:{len(cells)}">{"".join(cells)}</div>'
    return (f'<p class="soft">The same crops of unlabelled images, as the network that makes the pseudo labels saw '
            f'them.</p><div class="pictures">{html}</div>{_legend(run)}') if html else ''


def _rows(run: Run, kind: str) -> str:
    record = run.last or {}
    pictures = [picture for picture in record.get('pictures', []) if picture['kind'] == kind]
    if not pictures:
        return ''
    folder, html = Path(record['folder']), ''
    for picture in pictures:
        cells = [_cell(folder / picture[part], how, label) for part, how, label in
                 (('image', 'image', 'image'), ('truth', 'mask', 'truth'), ('pred', 'mask', 'prediction'),
                  ('conf', 'conf', 'confidence')) if part in picture]
        score = '' if picture['mIoU'] is None else f', mIoU {100 * picture["mIoU"]:.1f} %'
        html += (f'<div><div class="what">{escape(Path(picture["img_path"]).name)}{score}</div>'
                 f'<div class="row" style="--n:{len(cells)}">{"".join(cells)}</div></div>')
    return f'<div class="pictures">{html}</div>{_legend(run)}'


def _cell(path: Path, kind: str, label: str) -> str:
    return f'<figure>{embed(path, kind, label)}<figcaption>{escape(label)}</figcaption></figure>'


def _legend(run: Run) -> str:
    """Colours of the classes that have pixels, and of the confidence."""
    record = run.last
    if record is None:
        return ''
    palette = record.get('palette') or voc_palette(len(run.classes))
    present = [i for i, row in enumerate(record['confusion'])
               if sum(row) or any(other[i] for other in record['confusion'])]
    swatches = ''.join(f'<span><i class="swatch" style="background:rgb({",".join(map(str, palette[i]))})"></i>'
                       f'{escape(run.classes[i])}</span>' for i in present[:40] if i < len(palette))
    ramp = 'background:linear-gradient(90deg,#1a0533,#3f3482,#28788e,#4ebe6c,#fae628);width:80px'
    return (f'<div class="legendrow">{swatches}<span><i class="swatch" style="background:#fff"></i>unlabelled</span>'
            f'<span><i class="swatch" style="{ramp}"></i>confidence 0 to 1</span></div>')
