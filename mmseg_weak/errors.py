"""Errors that a user can mend, told in one sentence: what is wrong, where, what was found, what to do.

The command line exits with 2 on a :class:`WeakError` and prints the sentence alone; anything else is a bug
in the project and exits with 1.
"""
import difflib
from collections.abc import Iterable

__all__ = ['CheckpointError', 'ConfigError', 'DataError', 'MissingFileError', 'WeakError', 'near']


class WeakError(Exception):
    """Base of every error whose cause the user can mend."""


class ConfigError(WeakError, ValueError):
    """A configuration key is missing, unknown or contradicts another one."""


class DataError(WeakError, ValueError):
    """An image, mask, list file or tag file is not what its dataset expects."""


class MissingFileError(WeakError, FileNotFoundError):
    """A file or folder that a config or command names is not there."""


class CheckpointError(WeakError, RuntimeError):
    """A checkpoint is unsafe, truncated or belongs to another model."""


def near(name: str, names: Iterable[str], count: int = 3) -> str:
    """Suggest names close to a mistyped one.

    Args:
        name: what the user wrote.
        names: what exists.
        count: the most suggestions to give.

    Returns:
        ``'Did you mean a, b?'``, or an empty string where nothing is close.

    >>> near('unimach', ['unimatch', 'cps'])
    'Did you mean unimatch?'
    """
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=count, cutoff=0.5)
    by_lower = {n.lower(): n for n in names}
    return f'Did you mean {", ".join(by_lower[c] for c in close)}?' if close else ''
