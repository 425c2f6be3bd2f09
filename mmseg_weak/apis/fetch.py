"""Download a checkpoint that a metafile names, and check that it is the one."""
import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError, near
from mmseg_weak.models.clip import fetch_clip

from .list_methods import ModelInfo, list_methods
from .progress import progress

__all__ = ['fetch']

_CHUNK_BYTES = 1 << 20


def fetch(name: str, out: str | Path = 'checkpoints', overwrite: bool = False, configs: str | Path | None = None,
          quiet: bool = False) -> Path:
    """Download the checkpoint of a config, if the file is not there yet.

    OpenMMLab's file names end in the first 8 (or more) hex digits of the file's SHA-256; a file whose content gives
    others is refused and removed.

    Args:
        name: the config's name, as ``list`` shows it; or ``clip:MODEL:TAG`` for weights of a CLIP by open_clip's
            names (``clip:ViT-B-16:openai``), which come to open_clip's own folder, whatever ``out`` says.
        out: folder to put it in.
        overwrite: download again what is there.
        configs: another folder of configs.
        quiet: no progress bar.

    Returns:
        The file.

    Raises:
        ConfigError: no config has this name, or its metafile names no checkpoint or one without a hash.
        MissingFileError: the address does not answer.
        CheckpointError: the download is cut off, or its content is not what its name says.
    """
    if name.startswith('clip:'):
        parts = name.split(':')
        if len(parts) != 3 or not all(parts):
            raise ConfigError(f'{name!r} names no CLIP weights; write clip:MODEL:TAG, like '
                              'clip:ViT-B-16:openai.')
        return fetch_clip(parts[1], parts[2])
    url = _model(name, configs).checkpoint
    file_name = Path(unquote(urlsplit(url).path)).name
    digits = re.search(r'[-_]([0-9a-f]{8,64})\.pth$', file_name)
    if urlsplit(url).scheme not in ('http', 'https') or not digits:
        raise ConfigError(f'the checkpoint of {name} is given as {url}; an http(s) address is needed whose file name '
                          f'ends in -<first 8 digits of its SHA-256>.pth')
    target = Path(out) / file_name
    if target.exists() and not overwrite:
        if not _sha256(target).startswith(digits[1]):
            raise CheckpointError(f'{target} is there, but its SHA-256 does not start with {digits[1]} as its name '
                                  f'says; delete it, or say overwrite')
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f'.{file_name}.', suffix='.part')
    try:
        with os.fdopen(handle, 'wb') as stream:
            digest = _download(url, stream, quiet)
            stream.flush()
            os.fsync(stream.fileno())
        if not digest.startswith(digits[1]):
            raise CheckpointError(f'{url} gave a file whose SHA-256 starts with {digest[:len(digits[1])]}, not with '
                                  f'{digits[1]} as its name says; it was not kept, try again or tell its owner')
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return target


def _model(name: str, configs: str | Path | None) -> ModelInfo:
    models = {model.name: model for method in list_methods(configs=configs) for model in method.models}
    stem = Path(name).stem if name.endswith('.py') else name
    if stem not in models:
        hint = near(stem, models)
        raise ConfigError(f'there is no config {name!r}. {hint} `mmseg-weak list` shows all'.replace('  ', ' '))
    if not models[stem].checkpoint:
        there = sorted(model.name for model in models.values() if model.checkpoint)
        say = f'there is one for {", ".join(there[:5])}' if there else 'no config has one yet'
        raise ConfigError(f'no trained checkpoint of {stem} is published ({say}); train it with '
                          f'`mmseg-weak train {stem}`')
    return models[stem]


def _download(url: str, stream, quiet: bool) -> str:
    """Copy an address into a stream; returns the SHA-256 of what came."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            length = answer.headers.get('Content-Length')
            expected = int(length) if length else None
            total = -(-expected // _CHUNK_BYTES) if expected else None
            got = 0
            for chunk in progress(iter(lambda: answer.read(_CHUNK_BYTES), b''), 'fetch (MiB)', total, quiet):
                digest.update(chunk)
                stream.write(chunk)
                got += len(chunk)
    except urllib.error.HTTPError as error:
        raise MissingFileError(f'{url} answers {error.code} ({error.reason}); check the address in the metafile'
                               ) from None
    except OSError as error:
        reason = getattr(error, 'reason', None) or error
        raise MissingFileError(f'{url} cannot be reached ({reason}); check the network and try again') from None
    if expected is not None and got != expected:
        raise CheckpointError(f'{url} broke off after {got} of {expected} bytes; try again')
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b''):
            digest.update(chunk)
    return digest.hexdigest()
