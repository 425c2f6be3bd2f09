"""The names under which the open-vocabulary repositories look for a benchmark's classes, and for its background.

wangf3014/SCLIP @ b56bd30, mc-lan/ProxyCLIP @ e7b767f, mc-lan/ClearCLIP @ ad68a40; the lists are files beside this one.
"""
from collections.abc import Iterable
from pathlib import Path

from mmseg_weak.errors import ConfigError, near

from .names import BACKGROUND_NAMES, ClassNames, parse_classes, read_names

__all__ = ['BACKGROUNDS', 'class_lists', 'common_names', 'named_classes']

_FOLDER = Path(__file__).resolve().parent / 'class_lists'
# What stands for a background class: SCLIP's, NACLIP's and ProxyCLIP's words; ProxyCLIP's shorter ones on COCO-Object;
# the word itself (ClearCLIP everywhere, all of them on Context60); the grounds of ToyWorld.
BACKGROUNDS = {
    'stuff': BACKGROUND_NAMES,
    'stuff_short': tuple(name for name in BACKGROUND_NAMES if name not in (
        'lamp', 'door', 'window', 'wardrobe', 'ceiling', 'shelf', 'curtain', 'stair', 'fence')),
    'word': ('background', ),
    'toyworld': ('meadow', 'water', 'tiles', 'sand'),
}


def class_lists() -> list[str]:
    """Names of the lists that come with this package: 'voc20', 'ade20k', ..."""
    return sorted(path.stem for path in _FOLDER.glob('*.txt'))


def named_classes(names: str | Path | Iterable[str], background: str | Iterable[str] | None = None,
                  separator: str = ';', as_published: bool = False) -> ClassNames:
    """Classes of a benchmark, a file or a person.

    Args:
        names: a list of :func:`class_lists`, a text file with one class a line, or the classes, each a text with one
            or more names.
        background: a key of :data:`BACKGROUNDS` or words; they are class 0. Words that are a class themselves are
            left out.
        separator: of a class's names.
        as_published: keep those words: 'bed' stands for the background and for a class in the lists of COCO-Object,
            so each has half of its probability and the class is never found.

    Raises:
        ConfigError: unknown background, or a text that is neither list nor file.
        DataError, MissingFileError: see :func:`.names.parse_classes` and :func:`.names.read_names`.
    """
    if isinstance(background, str):
        if background not in BACKGROUNDS:
            raise ConfigError(f'background={background!r} is no list of background words. '
                              f'{near(background, BACKGROUNDS)} Known: {", ".join(BACKGROUNDS)}; or give the words.')
        background = BACKGROUNDS[background]
    words = list(background or ())
    if isinstance(names, (str, Path)):
        file = _FOLDER / f'{names}.txt'
        if not file.is_file():
            file = Path(names)
            if not file.suffix and not file.is_file():
                raise ConfigError(f'names={str(names)!r} is no list of class names. {near(str(names), class_lists())} '
                                  f'Known: {", ".join(class_lists())}; a text file or a list of classes works too.')
        found = read_names(file, separator)
    else:
        found = parse_classes(list(names), separator)
    if not words:
        return found
    if not as_published:
        taken = {name.lower() for name in found.names}
        words = [word for word in words if word.lower() not in taken]
        if not words:
            raise ConfigError('Every word of the background is the name of a class as well; give other words.')
    return ClassNames(('background', *found.classes), (*words, *found.names),
                      (*[0] * len(words), *(owner + 1 for owner in found.owner)))


def common_names(names: str | Path | Iterable[str], background: str | Iterable[str] | None) -> tuple:
    """Names and background of the common protocol: one list a benchmark, and the same words for all methods.

    >>> common_names('voc20_expanded', 'word')
    ('voc20', 'stuff')
    >>> common_names('ade20k_spaced', None)
    ('ade20k', None)
    >>> common_names('context59', 'word')
    ('context59', 'word')
    """
    if not isinstance(names, str):
        return names, background
    names = names.removesuffix('_expanded').removesuffix('_spaced')
    if background and names in ('voc20', 'coco_object'):
        background = 'stuff'
    return names, background
