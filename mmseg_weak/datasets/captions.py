"""Captions as people have them: text files, tables, JSON."""
import csv
import io
import json
import os.path as osp
from typing import Any

from mmengine import fileio

from mmseg_weak.errors import ConfigError, DataError, MissingFileError, near

__all__ = ['CAPTION_COLUMNS', 'read_captions']

CAPTION_COLUMNS = ('caption', 'captions', 'text', 'sentence', 'title', 'description')


def read_captions(path: str, column: str | None = None) -> list[str]:
    """Captions of a file, each once, in their order; spaces are joined, empty ones left out.

    ``.txt``: one a line. ``.csv``, ``.tsv``: a column of :data:`CAPTION_COLUMNS` where there is a header, else the last
    column. ``.json``: a list of texts or of objects, or COCO's captions; ``.jsonl``: one of these a line.

    Args:
        path: the file.
        column: of a table, or key of an object.

    Raises:
        MissingFileError: there is no such file.
        ConfigError: an unknown ending, or no such column.
        DataError: no text, broken JSON, or nothing in it.

    """
    if not fileio.exists(path):
        raise MissingFileError(f'There is no file of captions {path}; give a .txt with one a line, a .csv or a .json.')
    ending = osp.splitext(path)[1].lower()
    try:
        text = fileio.get(path).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DataError(f'{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.') from None
    if ending == '.txt':
        found: list[Any] = text.splitlines()
    elif ending in ('.csv', '.tsv'):
        found = _column(text, '\t' if ending == '.tsv' else ',', column, path)
    elif ending == '.json':
        found = _objects(_parsed(text, path, 1), column, path)
    elif ending == '.jsonl':
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        found = _objects([_parsed(line, path, number) for number, line in lines], column, path)
    else:
        raise ConfigError(f'{path} ends in {ending!r}; captions come as .txt, .csv, .tsv, .json or .jsonl.')
    captions = list(dict.fromkeys(' '.join(str(caption).split()) for caption in found))
    captions = [caption for caption in captions if caption]
    if not captions:
        raise DataError(f'{path} holds no caption; write at least one.')
    return captions


def _column(text: str, separator: str, column: str | None, path: str) -> list[str]:
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if row]
    if not rows:
        return []
    header = [cell.strip().lower() for cell in rows[0]]
    wanted = (column.lower(), ) if column else CAPTION_COLUMNS
    place = next((header.index(name) for name in wanted if name in header), None)
    if place is None and column:
        raise ConfigError(f'{path} has no column {column!r}. {near(column, header)} Its first line reads '
                          f'{", ".join(rows[0][:8])}.'.replace('  ', ' '))
    if place is None:
        return [row[-1] for row in rows]
    return [row[place] for row in rows[1:] if len(row) > place]


def _parsed(text: str, path: str, line: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f'{path} is not valid JSON (line {line}: {error}); mend it.') from None


def _objects(content: Any, column: str | None, path: str) -> list[str]:
    if isinstance(content, dict):
        content = content.get('annotations', [])
    if not isinstance(content, list):
        raise DataError(f'{path} holds a {type(content).__name__}; give a list of captions, or of objects with a key '
                        f'{column or "caption"!r}.')
    found = []
    for number, item in enumerate(content):
        if isinstance(item, dict):
            key = next((k for k in ((column, ) if column else CAPTION_COLUMNS) if k in item), None)
            if key is None:
                raise DataError(f'Entry {number} of {path} has the keys {", ".join(map(str, list(item)[:6]))}, none of '
                                f'which is {column or "a caption"!r}; name the key with --column.')
            item = item[key]
        found += item if isinstance(item, list) else [item]
    return found
