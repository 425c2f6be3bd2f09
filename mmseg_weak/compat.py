"""The only file that knows that OpenMMLab and torch releases differ.

Importing it (``mmseg_weak/__init__.py`` does so first) makes either OpenMMLab stack usable with today's torch and
safe to load files with. What it changes, and nothing else:

* ``mmcv._ext`` gets a stub where mmcv came without compiled ops; calling an op then says so.
* What mmengine itself writes into a checkpoint (log buffers, numpy scalars) may be read with ``weights_only=True``,
  through an allow-list without ``getattr``.
* mmengine's checkpoint loading always uses ``weights_only=True``; a refused or truncated file is named in one sentence;
  a downloaded one is checked against the hash in its name.
* ``mmseg::`` and ``mmseg_weak::`` lead to the distributions that are installed, so that nothing is ever pip-installed.
* A line that the forks print at import is swallowed.
"""
import contextlib
import errno
import importlib.util
import io
import os
import re
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from pickle import UnpicklingError
from typing import Any, Optional

__all__ = ['STACK', 'load_checkpoint_file', 'distribution_of']

_HOW_TO_INSTALL = (
    'install one of the two stacks: `pip install onedl-mmengine onedl-mmcv onedl-mmsegmentation onedl-mmpretrain` '
    "(maintained) or `pip install mmengine==0.10.7 mmcv-lite==2.1.0 mmsegmentation==1.2.2 mmpretrain==1.2.0 "
    "'setuptools<81'` (official); never both")


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _find_stack() -> str:
    """Which OpenMMLab stack is there.

    Raises:
        ImportError: none is, or a part of it is missing; the sentence says what to install.
    """
    missing = [name for name in ('torch', 'mmengine', 'mmcv', 'mmseg') if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'mmseg_weak needs {", ".join(missing)}, which this Python ({sys.prefix}) does not have: '
                          f'{_HOW_TO_INSTALL}.')
    if _installed('onedl-mmengine'):
        if _installed('mmengine'):
            raise ImportError('Both onedl-mmengine and mmengine are installed and overwrite each other\'s files: '
                              f'uninstall both, then {_HOW_TO_INSTALL}.')
        return 'maintained'
    return 'official'


STACK: str = _find_stack()
"""``'maintained'`` (the onedl forks) or ``'official'`` (OpenMMLab's own releases)."""

_FORK_DISTRIBUTIONS = dict(mmcv='onedl-mmcv', mmengine='onedl-mmengine', mmseg='onedl-mmsegmentation',
                           mmpretrain='onedl-mmpretrain', mmdet='onedl-mmdetection')
_OFFICIAL_DISTRIBUTIONS = dict(mmcv='mmcv', mmengine='mmengine', mmseg='mmsegmentation', mmpretrain='mmpretrain',
                               mmdet='mmdet')


def distribution_of(module: str) -> str:
    """Name under which pip knows an OpenMMLab module on this stack.

    Args:
        module: import name, for example ``'mmseg'``.
    """
    names = _FORK_DISTRIBUTIONS if STACK == 'maintained' else _OFFICIAL_DISTRIBUTIONS
    return names.get(module, module)


# ---- mmcv without compiled ops --------------------------------------------------------------------------------------

class _MissingOps(types.ModuleType):
    """Stands in for mmcv's compiled extension: every op exists, and says what is missing when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)

        def op(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(f'{name} is a compiled op of mmcv, and this mmcv was installed without its ops '
                               '(mmcv-lite, or a wheel without them): choose a model that does not use it, or install '
                               'an mmcv that was built with ops for your torch.')

        op.__name__ = op.__qualname__ = name
        return op


def _stub_mmcv_ops() -> None:
    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return
    stub = _MissingOps('mmcv._ext')
    stub.__spec__ = ModuleSpec('mmcv._ext', loader=None)  # no loader: mmcv's check_ops_exist() stays False
    sys.modules['mmcv._ext'] = stub


# ---- checkpoints ----------------------------------------------------------------------------------------------------

def _history_buffer_method(owner: Any, name: str) -> Any:
    """What ``getattr`` in a checkpoint may do: name a statistic of mmengine's ``HistoryBuffer``."""
    from mmengine.logging import HistoryBuffer
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise UnpicklingError(f'getattr({getattr(owner, "__name__", type(owner).__name__)}, {name!r}) is not among the few '
                          'that a checkpoint may ask for')


def _allow_checkpoint_types() -> None:
    """Let ``weights_only=True`` read what mmengine writes into a checkpoint beside tensors."""
    import numpy as np
    from mmengine.logging import HistoryBuffer
    from torch.serialization import add_safe_globals
    core = np._core if hasattr(np, '_core') else np.core
    allowed: list[Any] = [HistoryBuffer, np.ndarray, np.dtype]
    for prefix in ('numpy._core', 'numpy.core'):  # numpy 2 and 1 write different paths for the same functions
        allowed += [(core.multiarray._reconstruct, f'{prefix}.multiarray._reconstruct'),
                    (core.multiarray.scalar, f'{prefix}.multiarray.scalar')]
    kinds = {type(np.dtype(code)) for code in ('?', 'b', 'B', 'h', 'H', 'i', 'I', 'l', 'L', 'q', 'Q', 'e', 'f', 'd')}
    allowed += sorted(kinds, key=lambda kind: kind.__name__)
    allowed += [(_history_buffer_method, f'{module}.getattr') for module in ('builtins', '__builtin__')]
    add_safe_globals(allowed)


# what torch.load says of a file that is cut off or something else altogether
_BROKEN_FILE = ('PytorchStreamReader', 'legacy .tar', 'invalid magic', 'unexpected EOF', 'wrong byte size',
                'unpickling stack')


def load_checkpoint_file(file: Any, map_location: Any = None, weights_only: Optional[bool] = True) -> Any:
    """Read a checkpoint that may come from anyone.

    Args:
        file: path or binary file.
        map_location: as for ``torch.load``.
        weights_only: ignored, always True; kept because mmengine's own loaders pass it.

    Raises:
        CheckpointError: the file asks for code to be run, or is truncated.
    """
    import torch

    from mmseg_weak.errors import CheckpointError
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else getattr(file, 'name', 'the download')
    try:
        return torch.load(file, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        found = re.search(r'GLOBAL (\S+)|(getattr\(\w+, [^)]*\))', str(error))
        reason = f'it asks for {found.group(1) or found.group(2)}' if found else str(error).splitlines()[0][:200]
        raise CheckpointError(
            f'{name} is not a plain checkpoint and was not loaded, because reading it would run code that it brings '
            f'along ({reason}); use a file from a source you trust that holds tensors and plain values only.'
        ) from error
    except (EOFError, OSError, RuntimeError, KeyError) as error:
        if isinstance(error, EOFError) or getattr(error, 'errno', None) == errno.EINVAL or any(
                mark in str(error) for mark in _BROKEN_FILE):
            reason = (str(error).splitlines() or ['it ends too early'])[0][:120]
            raise CheckpointError(f'{name} is truncated or not a checkpoint ({reason}); delete it and use an older '
                                  'one, or download it again.') from error
        raise


class _SafeTorch(types.ModuleType):
    """``torch`` as mmengine's checkpoint module sees it: all of it, but ``load`` is ours."""

    def __init__(self) -> None:
        super().__init__('torch')
        self.load = load_checkpoint_file

    def __getattr__(self, name: str) -> Any:
        import torch
        return getattr(torch, name)


def _load_url(url: str, model_dir: Optional[str] = None, map_location: Any = None, progress: bool = True,
              check_hash: bool = True, file_name: Optional[str] = None) -> Any:
    """Download once, check the hash in the name (also of a file in the cache), and read it safely.

    Raises:
        CheckpointError: the file is not the one whose hash its name bears.
    """
    import hashlib
    from urllib.parse import urlparse

    from torch.hub import HASH_REGEX, download_url_to_file, get_dir

    from mmseg_weak.errors import CheckpointError
    folder = model_dir or os.path.join(get_dir(), 'checkpoints')
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        download_url_to_file(url, path, None, progress=progress)
    match = HASH_REGEX.search(name)
    if match and match.group(1):
        digest = hashlib.sha256()
        with open(path, 'rb') as handle:
            for block in iter(lambda: handle.read(1 << 20), b''):
                digest.update(block)
        if not digest.hexdigest().startswith(match.group(1)):
            raise CheckpointError(f'{path} (from {url}) has the SHA-256 {digest.hexdigest()[:16]}..., but its name '
                                  f'says {match.group(1)}; delete the file and download it again, or do not trust its '
                                  f'source.')
    return load_checkpoint_file(path, map_location)


def _guard_checkpoint_loading() -> None:
    from mmengine.runner import checkpoint
    checkpoint.torch = _SafeTorch()
    checkpoint.load_url = _load_url
    if hasattr(checkpoint, '_safe_torch_load'):  # the forks: on a refusal it would retry with weights_only=False
        checkpoint._safe_torch_load = load_checkpoint_file


# ---- cross-library config names -------------------------------------------------------------------------------------

def _map_packages() -> None:
    from mmengine.config.utils import MODULE2PACKAGE
    MODULE2PACKAGE['mmseg_weak'] = 'mmseg_weak'
    if STACK == 'maintained':
        for module, package in _FORK_DISTRIBUTIONS.items():
            if module in MODULE2PACKAGE:
                MODULE2PACKAGE[module] = package


def _check_versions() -> None:
    """Say in one sentence what mmseg's own version gate would answer with a bare assertion.

    Raises:
        ImportError: mmcv or setuptools do not fit the installed mmseg.
    """
    if STACK == 'official' and importlib.util.find_spec('pkg_resources') is None:
        raise ImportError("mmengine 0.10 needs pkg_resources, which setuptools dropped: pip install 'setuptools<81'.")
    try:
        import mmseg  # noqa: F401
    except AssertionError as error:
        raise ImportError(f'The installed versions do not fit together: {error} {_HOW_TO_INSTALL[0].upper()}'
                          f'{_HOW_TO_INSTALL[1:]}.') from error


def _import_datasets_quietly() -> None:
    """Import what the forks announce on stdout ('Could not import OneDL'), where a command's results belong."""
    if STACK == 'maintained' and 'mmseg.datasets' not in sys.modules:
        with contextlib.redirect_stdout(io.StringIO()):
            import mmseg.datasets  # noqa: F401


_stub_mmcv_ops()
_check_versions()
_allow_checkpoint_types()
_guard_checkpoint_loading()
_map_packages()
_import_datasets_quietly()
