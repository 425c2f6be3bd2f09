"""Files in which a method looks things up: arrays, lists of texts and settings, as safetensors. Nothing in them is run.

A command makes them from the user's own images or captions (``mmseg-weak index``); a config names them.
"""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import CheckpointError, ConfigError, DataError, MissingFileError
from mmseg_weak.files import write_bytes

__all__ = ['Index', 'check_same_network', 'need_index', 'probe_picture', 'read_index', 'write_index']

_HEADER = 'mmseg_weak'
_TEXT = 'text:'
_ALIKE = 0.99  # cosine of what two copies of a network say about the same picture or sentence, whatever their precision


class Index(NamedTuple):
    """What an index file holds."""
    tensors: dict[str, Tensor]
    texts: dict[str, list[str]]
    meta: dict[str, Any]


def write_index(path: str | Path, kind: str, tensors: Mapping[str, Tensor], texts: Mapping[str, Sequence[str]],
                meta: Mapping[str, Any]) -> Path:
    """Write an index, complete or not at all.

    Args:
        path: of the file.
        kind: what it is an index of; :func:`read_index` asks for it.
        tensors: arrays of any type.
        texts: lists of texts; a text holds no NUL.
        meta: settings that JSON can hold.

    Raises:
        DataError: a text holds a NUL.
    """
    from safetensors.torch import save
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    for name, lines in texts.items():
        wrong = next((line for line in lines if '\0' in line), None)
        if wrong is not None:
            raise DataError(f'{wrong[:60]!r} holds a NUL character and cannot stand in an index; mend that text.')
        data = '\0'.join(lines).encode('utf-8', 'surrogateescape')
        content[_TEXT + name] = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
    header = dict(kind=kind, meta=dict(meta), counts={name: len(lines) for name, lines in texts.items()})
    return write_bytes(path, save(content, {_HEADER: json.dumps(header)}))


def read_index(path: str | Path, kind: str, command: str) -> Index:
    """Read an index.

    Args:
        path: of the file.
        kind: that it must have.
        command: that makes such an index, for messages.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no index, or one of another kind.
    """
    from safetensors import SafetensorError, safe_open
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f'The index {path} does not exist; `{command}` makes it.')
    try:
        with safe_open(str(path), framework='pt') as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, 'null'))
            tensors = {name: file.get_tensor(name) for name in file.keys()} if header else {}
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f'{path} is not a readable index ({error}); `{command}` makes a new one.') from None
    if not header or header.get('kind') != kind:
        found = f'an index of {header.get("kind")}' if header else 'no index'
        raise DataError(f'{path} is {found}, and an index of {kind} is needed; `{command}` makes one.')
    texts = {}
    for name, count in header['counts'].items():
        data = tensors.pop(_TEXT + name).numpy().tobytes().decode('utf-8', 'surrogateescape')
        texts[name] = data.split('\0') if count else []
    return Index(tensors, texts, header['meta'])


def probe_picture(side: int = 224) -> Tensor:
    """(1,3,side,side) smooth colours from 0 to 255, always the same: what :func:`check_same_network` is asked with."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing='ij')
    waves = [torch.sin(6 * (k + 1) * x + k) * torch.cos(4 * (3 - k) * y) for k in range(3)]
    return (127.5 * (1 + torch.stack(waves)[None])).round()


def check_same_network(stored: Tensor, now: Tensor, path: str | Path, what: str, command: str) -> None:
    """Refuse an index that was made with other weights.

    Args:
        stored: what the index's network said about a fixed picture or sentence.
        now: what this one says.
        path: of the index.
        what: the network, for messages.
        command: that makes an index.

    Raises:
        CheckpointError: they differ by more than rounding.
    """
    stored, now = stored.float().flatten(), now.float().flatten().cpu()
    alike = stored.shape == now.shape and float(F.cosine_similarity(stored, now, dim=0)) > _ALIKE
    if not alike:
        raise CheckpointError(f'{path} was made with another {what} (or other weights of it) than the config has now; '
                              f'make it anew with `{command}`, or give the weights that it was made with.')


def need_index(path: str | Path | None, key: str, command: str) -> str | Path:
    """The path of an index that a config must name by now.

    Raises:
        ConfigError: it names none.
    """
    if not path:
        raise ConfigError(f'{key} is None, and this method looks things up in an index; `{command}` makes one.')
    return path

