"""The files of a folder of pseudo masks: names, records that survive a kill, the index, what `train` takes.

    DIR/masks/<name>.png     palette PNG of class indices, 255 unknown
    DIR/scores/<name>.npz    on request: ``classes`` (P,) uint8 in the image and their ``scores`` (P,H,W) float16
    DIR/index.json, .csv     one entry an image: confidence, shares, tags without a pixel, mark of the file as written
    DIR/index.html           contact sheet;  DIR/overlays/ its pictures
    DIR/dataset.py           how to train on it;  DIR/list.txt image and mask, a line a pair
    DIR/.records/            what each process has done, a line an image
"""
import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mmseg_weak.datasets.corrections import INDEX, file_mark
from mmseg_weak.datasets.headers import is_complete
from mmseg_weak.datasets.masks import decode_mask
from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.files import write_bytes, write_json, write_text

__all__ = ['Records', 'checkpoint_mark', 'load_scores', 'names_of', 'save_scores', 'settle_settings', 'write_index']

_SETTINGS = 'settings.json'
_SNIPPET = '''# {count} images with pseudo masks, for the training part of a config.
# Masks corrected in an editor are taken as they are; the log names them.
# With a config that has a {dataset} already:
#   mmseg-weak train CONFIG --cfg-options train_dataloader.dataset.dataset.folder={where}
pseudo_labels = dict(type={dataset!r}, folder={str_where!r}, min_confidence=0.0)
classes = {classes!r}
'''


def names_of(paths: Sequence[str]) -> list[str]:
    """A name for the mask of each image: its path below the folder that all share, without its suffix.

    >>> names_of(['/d/a/1.jpg', '/d/b/1.jpg', '/d/b/2.png'])
    ['a/1', 'b/1', 'b/2']
    """
    parts = [path.replace('\\', '/').split('://')[-1].split('/') for path in paths]
    folders = [part[:-1] for part in parts]
    shared = 0
    while all(len(f) > shared and f[shared] == folders[0][shared] for f in folders):
        shared += 1
    stems = ['/'.join(part[shared:]) for part in parts]
    names = [stem.rsplit('.', 1)[0] if '.' in stem.rsplit('/', 1)[-1] else stem for stem in stems]
    taken: dict[str, int] = {}
    for name in names:
        taken[name.lower()] = taken.get(name.lower(), 0) + 1
    names = [stem.replace('.', '_') if taken[name.lower()] > 1 else name for stem, name in zip(stems, names)]
    if len({name.lower() for name in names}) < len(names):
        double = next(name for i, name in enumerate(names) if name.lower() in {n.lower() for n in names[:i]})
        raise DataError(f'two images would have the mask {double}.png; name each image once, in one folder.')
    return names


class Records:
    """What was written, a line an image, appended by each process to a file of its own.

    A line is written before its mask, so a mask always has a record; a line that a kill cut off is passed over.

    Args:
        folder: of the results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / '.records'

    def read(self) -> dict[str, dict]:
        """The records of all processes by name; of several, the one whose mark the mask has, else the newest."""
        found: dict[str, list[dict]] = {}
        for path in sorted(self.place.glob('*.jsonl'), key=lambda p: (p.stat().st_mtime_ns, p.name)):
            for line in path.read_bytes().decode('utf-8', 'replace').splitlines():
                try:
                    record = json.loads(line)
                    found.setdefault(record['name'], []).append(record)
                except (ValueError, KeyError, TypeError):
                    continue
        return {name: self._of_file(name, several) for name, several in found.items()}

    def _of_file(self, name: str, several: list[dict]) -> dict:
        if len({record['mark'] for record in several}) > 1:
            mark = self.mark(name)
            several = [record for record in several if record['mark'] == mark] or several
        return several[-1]

    def mark(self, name: str) -> str | None:
        """Mark of the mask that lies there now."""
        path = self.mask(name)
        return file_mark(path.read_bytes()) if path.is_file() else None

    def mask(self, name: str) -> Path:
        """File of a mask."""
        return self.folder / 'masks' / f'{name}.png'

    def add(self, part: str, record: dict) -> None:
        """Append a record to the file of a process and bring it to the disk."""
        self.place.mkdir(exist_ok=True)
        with open(self.place / f'{part}.jsonl', 'ab+') as stream:
            if stream.tell() and stream.seek(-1, os.SEEK_END) is not None and stream.read(1) != b'\n':
                stream.write(b'\n')  # after a line that a kill cut off
            stream.write(json.dumps(record, allow_nan=False).encode() + b'\n')
            stream.flush()
            os.fsync(stream.fileno())

    def state(self, name: str, records: dict[str, dict]) -> str:
        """'done', 'corrected' (by hand, and readable), or 'todo' (missing, or half a file)."""
        path = self.mask(name)
        if name not in records or not path.is_file():
            return 'todo'
        data = path.read_bytes()
        if file_mark(data) == records[name]['mark']:
            return 'done'
        try:
            whole = is_complete(data) and list(decode_mask(str(path)).shape) == records[name]['shape']
        except DataError:
            whole = False
        return 'corrected' if whole else 'todo'

    def forget(self, keep: Sequence[str]) -> None:
        """Drop all records but those of ``keep``."""
        kept = [record for name, record in self.read().items() if name in set(keep)]
        text = ''.join(json.dumps(record) + '\n' for record in kept)
        write_text(self.place / 'kept.jsonl', text)
        for path in self.place.glob('*.jsonl'):
            if path.name != 'kept.jsonl':
                path.unlink()


def checkpoint_mark(path: str | Path | None) -> str:
    """Name of a file and a hash of it, 'none' without one: what masks were made with."""
    if path is None:
        return 'none'
    digest = hashlib.sha256()
    with open(path, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
            digest.update(block)
    return f'{Path(path).name} {digest.hexdigest()[:16]}'


def settle_settings(folder: Path, settings: dict[str, Any], overwrite: bool) -> None:
    """Write what the masks are made with, or compare with what they were made with.

    Raises:
        ConfigError: the folder holds masks that were made in another way, or by something else.
    """
    path = folder / _SETTINGS
    holds = any((folder / 'masks').rglob('*.png'))
    if holds and path.is_file() and not overwrite:
        try:
            before = json.loads(path.read_text(encoding='utf-8'))
        except ValueError:
            before = None  # not ours, or damaged: said below
        if not isinstance(before, dict):
            raise ConfigError(f'{path} cannot be read; give another --out, or --overwrite.')
        for key, value in json.loads(json.dumps(settings)).items():
            if before.get(key) != value:
                raise ConfigError(f'{folder} holds masks made with {key}={before.get(key)}, and now it is {value}; '
                                  f'give another --out, or --overwrite to make them again.')
        return
    if holds and not path.is_file():
        raise ConfigError(f'{folder}/masks holds masks that this command did not write; give another --out, so that '
                          f'nothing is lost.')
    write_json(path, settings)


def save_scores(path: Path, scores: np.ndarray, classes: Sequence[int]) -> None:
    """Write the scores of some classes.

    Args:
        scores: (C,H,W) in [0, 1], all classes.
        classes: those to write.
    """
    stream = io.BytesIO()
    kept = np.asarray(classes, np.uint8 if len(scores) <= 256 else np.uint16)
    np.savez_compressed(stream, classes=kept, scores=scores[list(classes)].astype(np.float16))
    write_bytes(path, stream.getvalue())


def load_scores(path: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The scores of a file of :func:`save_scores`.

    Returns:
        classes (P,) int64 among all; scores (P,H,W) float32.

    Raises:
        DataError: it is no such file, or it holds NaN or other classes.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            classes, scores = content['classes'].astype(np.int64), content['scores'].astype(np.float32)
        if scores.ndim != 3 or len(classes) != len(scores) or (classes >= num_classes).any():
            raise ValueError(f'classes {classes.tolist()}, scores of shape {scores.shape}')
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f'{path} is no whole score file of {num_classes} classes ({type(error).__name__}: {error}); '
                        f'delete it and its mask, and run pseudo-label again.') from error
    if np.isnan(scores).any():
        raise DataError(f'{path} holds NaN; look for a diverged network.')
    return classes, scores


def write_index(folder: Path, items: Sequence[dict], classes: Sequence[str], palette: Sequence, made: dict,
                dataset: str = 'PseudoLabelDataset') -> None:
    """Write ``index.json``, ``index.csv``, ``list.txt`` and ``dataset.py``.

    Args:
        items: one record an image, with ``name`` and ``image``.
        classes, palette: all, in the order of the masks' values.
        made: settings of the masks.
        dataset: class that reads the folder.
    """
    rows = [dict(item, mask=f'masks/{item["name"]}.png') for item in items]
    write_json(folder / INDEX, dict(classes=list(classes), palette=[list(map(int, c)) for c in palette], made=made,
                                    images=rows))
    stream = io.StringIO()
    table = csv.writer(stream)
    columns = ('image', 'mask', 'confidence', 'foreground', 'unknown', 'shown', 'tags', 'not_shown')
    table.writerow(columns)
    for row in rows:
        table.writerow([';'.join(row[key] or []) if key in ('shown', 'tags', 'not_shown') else
                        f'{row[key]:.4f}' if isinstance(row[key], float) else row[key] for key in columns])
    write_text(folder / 'index.csv', stream.getvalue())
    where = folder.resolve()
    write_text(folder / 'list.txt', ''.join(f'{row["image"]}\t{where / row["mask"]}\n' for row in rows))
    write_text(folder / 'dataset.py', _SNIPPET.format(count=len(rows), where=where, str_where=str(where),
                                                      classes=list(classes), dataset=dataset))
