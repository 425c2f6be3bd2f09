"""Finds configs by path or name, and reads users' configs whose bases lie in another library."""
import re
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

import mmseg_weak
from mmseg_weak.errors import ConfigError, MissingFileError, near

__all__ = ['config_names', 'configs_root', 'find_config', 'load_config']

_BASE = re.compile(r'''(['"])(?P<scope>mmseg|mmseg_weak|mmpretrain|mmdet)::(?P<path>[^'"]+)\1''')
_BASES = re.compile(r'^_base_\s*=\s*(\[[^\]]*\]|\([^)]*\)|[^\n]*)', re.MULTILINE)


def _mim_configs(module: Any) -> Path:
    package = Path(module.__file__).resolve().parent
    wheel, tree = package / '.mim' / 'configs', package.parent / 'configs'
    return wheel if wheel.is_dir() and not (package.parent / 'setup.py').is_file() else tree if tree.is_dir() else wheel


def configs_root() -> Path:
    """Folder of our configs: the source tree's, or the one in the wheel (``mmseg_weak/.mim/configs``)."""
    return _mim_configs(mmseg_weak)


def config_names() -> list[str]:
    """Names of all our runnable configs, ``<method>/<file without .py>``, sorted."""
    root = configs_root()
    paths = [path.relative_to(root).with_suffix('').as_posix() for path in root.glob('*/**/*.py')]
    return sorted(name for name in paths if not name.startswith('_base_/'))


def find_config(path_or_name: Union[str, Path]) -> Path:
    """File of a config given by path, by name, or as ``mmseg::…`` / ``mmseg_weak::…``.

    Args:
        path_or_name: for example ``configs/unimatch/x.py``, ``unimatch/x``, ``x`` or ``mmseg::pspnet/x.py``.

    Raises:
        MissingFileError: a path that does not exist.
        ConfigError: a name that none of our configs has; near names are given.
    """
    text = str(path_or_name)
    if Path(text).is_file():
        return Path(text)
    match = re.fullmatch(r'(\w+)::(.+)', text)
    if match:
        return _in_library(match.group(1), match.group(2), 'the config')
    name = text[:-3] if text.endswith('.py') else text
    name = name.removeprefix('configs/')
    names = config_names()
    hits = [each for each in names if each == name] or [each for each in names if each.split('/')[-1] == name]
    if len(hits) == 1:
        return configs_root() / f'{hits[0]}.py'
    methods = {each.split('/')[0] for each in names}
    if text.endswith('.py') and ('/' in text or '\\' in text) and name.split('/')[0] not in methods:
        raise MissingFileError(f'The config {text} does not exist (looked in {Path.cwd()} and {configs_root()}); '
                               '`mmseg-weak list` shows all names.')
    leaves = {each.split('/')[-1]: each for each in names}
    hint = near(name, names) or near(name.split('/')[-1], leaves)
    raise ConfigError(f'No config is called {text!r}. {hint + " " if hint else ""}`mmseg-weak list` shows all names; '
                      'a path to a .py file works too.')


def load_config(path_or_name: Union[str, Path], overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """Read a config the way every command of ours does.

    ``_base_`` entries ``'mmseg::…'`` and ``'mmseg_weak::…'`` are replaced by the files they mean before mmengine reads
    them (the maintained forks cannot resolve them, and mmengine reads bases before our package is imported).

    Args:
        path_or_name: see :func:`find_config`.
        overrides: dotted keys and their values, as ``--cfg-options`` gives them.

    Returns:
        The config; ``filename`` is the user's file.

    Raises:
        ConfigError: the name or a base is unknown, or the file is not a config.
        MissingFileError: the file or a base is not there.
    """
    path = find_config(path_or_name)
    with tempfile.TemporaryDirectory(prefix='mmseg_weak_config_') as folder:
        readable = _with_bases_mapped(path, Path(folder), {})
        try:
            config = Config.fromfile(str(readable))
        except (SyntaxError, NameError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error
        except FileNotFoundError as error:
            raise MissingFileError(f'A base of {path} does not exist: {error}') from error
    if readable != path:
        object.__setattr__(config, '_filename', str(path))
    if overrides:
        try:
            config.merge_from_dict(dict(overrides))
        except (KeyError, TypeError, IndexError) as error:
            raise ConfigError(f'--cfg-options does not fit {path}: {error}') from error
    return config


def _in_library(scope: str, relative: str, user: str) -> Path:
    """File in the configs of an installed library."""
    try:
        module = import_module(scope)
    except ImportError as error:
        raise ConfigError(f'{user} asks for {scope}::{relative}, and the package {scope} is not installed; install it, '
                          'or copy that file beside yours.') from error
    root = _mim_configs(module)
    path = root / (relative if relative.endswith('.py') else f'{relative}.py')
    if not path.is_file():
        known = [each.relative_to(root).as_posix() for each in root.rglob('*.py')] if root.is_dir() else []
        hint = near(path.relative_to(root).as_posix(), known)
        raise MissingFileError(f'{user} asks for {scope}::{relative}, which is not in {root}. {hint}'.rstrip())
    return path


def _with_bases_mapped(path: Path, folder: Path, done: dict[Path, Path]) -> Path:
    """The file itself, or a copy (with its own bases) in which every cross-library base is a path."""
    path = path.resolve()
    if path in done:
        return done[path]
    done[path] = path
    if path.suffix != '.py':
        return path
    text = path.read_text(encoding='utf-8')
    bases = _BASES.search(text)
    if not bases:
        return path
    changed = False

    def replace(match: re.Match) -> str:
        nonlocal changed
        quote, entry = match.group(1), match.group(2)
        library = _BASE.fullmatch(match.group(0))
        if library:
            target = _in_library(library['scope'], library['path'], str(path))
        else:
            target = path.parent / entry
            if not target.is_file():
                return match.group(0)
        mapped = _with_bases_mapped(target, folder, done)
        changed = changed or bool(library) or mapped != target.resolve()
        return f'{quote}{mapped.as_posix()}{quote}'

    head = re.sub(r'''(['"])([^'"\n]+)\1''', replace, bases.group(0))
    if not changed:
        return path
    copy = folder / f'{len(done)}_{path.name}'
    copy.write_text(text[:bases.start()] + head + text[bases.end():], encoding='utf-8')
    done[path] = copy
    return copy
