"""Files that are either complete or absent: written beside their place, flushed, then renamed over it."""
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mmseg_weak.errors import ConfigError

__all__ = ['check_writable', 'write_bytes', 'write_json', 'write_text']


def check_writable(*folders: Path) -> None:
    """Make folders, outer ones first, and find out before a long work whether its results can be written.

    Raises:
        ConfigError: they cannot.
    """
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'{folders[0]} cannot be made ({error.strerror}); give another --out.') from None
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f'{folder} is not writable; change its rights or give another --out.')


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write ``data`` so that a reader (or a kill at any moment) never sees half a file.

    Args:
        path: where to write; missing folders are made.
        data: the whole content.

    Returns:
        The path written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name[:80]}.', suffix='.part')
    try:
        with os.fdopen(handle, 'wb') as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 ``text``, as :func:`write_bytes` does."""
    return write_bytes(path, text.encode('utf-8'))


def write_json(path: str | Path, value: Any) -> Path:
    """Write ``value`` as JSON, as :func:`write_bytes` does; NaN is refused, since browsers cannot read it."""
    return write_text(path, json.dumps(value, allow_nan=False, ensure_ascii=False) + '\n')


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
