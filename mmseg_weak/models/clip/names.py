"""Classes that a user names: synonyms, several backgrounds, lists in text files."""
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mmseg_weak.errors import ConfigError, DataError, MissingFileError

__all__ = ['BACKGROUND_NAMES', 'ClassNames', 'parse_classes', 'read_names']

# What stands in for the background where a benchmark has that class (SCLIP, NACLIP: VOC21 and COCO-Object; ProxyCLIP
# and Trident: the shorter list on COCO-Object).
BACKGROUND_NAMES = ('sky', 'wall', 'tree', 'wood', 'grass', 'road', 'sea', 'river', 'mountain', 'sands', 'desk', 'bed',
                    'building', 'cloud', 'lamp', 'door', 'window', 'wardrobe', 'ceiling', 'shelf', 'curtain', 'stair',
                    'floor', 'hill', 'rail', 'fence')


class ClassNames(NamedTuple):
    """Names and the classes they stand for; a class scores as high as the best of its names."""
    classes: tuple[str, ...]  # what a class is called: its first name
    names: tuple[str, ...]  # all names, class after class
    owner: tuple[int, ...]  # class of each name

    @property
    def single(self) -> bool:
        """Whether every class has one name."""
        return len(self.names) == len(self.classes)


def parse_classes(classes: str | Iterable[str], separator: str = ';', background: Iterable[str] = ()) -> ClassNames:
    """Classes from text.

    Args:
        classes: one text a class, each with one or more names; or one string, whose parts are classes of one name.
        separator: of names. The lists of SCLIP and NACLIP use ', '.
        background: names of a class 'background' that comes first; none for no such class.

    Raises:
        DataError: no class, an empty name, or a name given twice.

    >>> parse_classes(['person; child', 'sky']).owner
    (0, 0, 1)
    >>> parse_classes('horse; grass', background=['wall', 'road']).classes
    ('background', 'horse', 'grass')
    """
    if isinstance(classes, str):
        lines = classes.strip().rstrip(separator).split(separator) if classes.strip() else []
    else:
        lines = list(classes)
    background = list(background)
    groups = ([background] if background else []) + [line.split(separator) for line in lines]
    if not lines:
        raise DataError('No class names were given; name at least one thing to look for.')
    shown, names, owner, seen = [], [], [], {}
    for number, group in enumerate(groups):
        for name in (' '.join(name.split()) for name in group):
            where = f'class {number + 1} ({separator.join(group)!r})'
            if not name:
                raise DataError(f'{where} has an empty name; remove the stray {separator!r} or the empty line.')
            if name.lower() in seen:
                raise DataError(f'The name {name!r} is given twice: in {seen[name.lower()]} and in {where}; a name '
                                'stands for one class.')
            seen[name.lower()] = where
            names.append(name)
            owner.append(number)
        shown.append(' '.join(group[0].split()))
    if background:
        if 'background' in shown[1:]:
            raise DataError("A class is called 'background' and names of the background are given too; keep one.")
        shown[0] = 'background'
    return ClassNames(tuple(shown), tuple(names), tuple(owner))


def read_names(path: str | Path, separator: str = ';', background: Iterable[str] = ()) -> ClassNames:
    """Classes from a text file: one a line, its names separated; lines that begin with # and empty ones are skipped.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not UTF-8 text, or see :func:`parse_classes`.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f'The list of names {path} does not exist: give a text file with one class a line.')
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f'{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.') from None
    kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith('#')]
    if not kept:
        raise DataError(f'{path} names no class; write one a line.')
    try:
        return parse_classes(kept, separator, background)
    except ConfigError:
        raise
    except DataError as error:
        raise DataError(f'{path}: {error}') from None
