"""Read a file of mxnet's weights without mxnet."""
import struct
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from mmseg_weak.errors import CheckpointError

__all__ = ['read_mxnet_params']

_FILE, _V1, _V2, _V3 = 0x112, 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = (np.float32, np.float64, np.float16, np.uint8, np.int32, np.int8, np.int64)
_MOST_DIMS = 32


def _take(stream: BinaryIO, layout: str) -> tuple:
    size = struct.calcsize(layout)
    data = stream.read(size)
    if len(data) != size:
        raise EOFError('the file ends early')
    return struct.unpack(layout, data)


def _array(stream: BinaryIO) -> Tensor:
    """One dense array; the three published forms differ in how they write the shape."""
    magic, = _take(stream, '<I')
    if magic in (_V2, _V3):
        storage, = _take(stream, '<i')
        if storage not in (0, -1):
            raise ValueError(f'an array has the storage type {storage}, which is not dense')
    if magic in (_V1, _V2, _V3):
        dims, = _take(stream, '<I')
        wide = 'q'
    else:  # the oldest form starts with the number of dimensions
        dims, wide = magic, 'I'
    if dims > _MOST_DIMS:
        raise ValueError(f'an array has {dims} dimensions')
    shape = _take(stream, f'<{dims}{wide}')
    if not shape:
        return torch.empty(0)
    _, _, kind = _take(stream, '<iii')  # device type and number, type of the values
    if not 0 <= kind < len(_TYPES):
        raise ValueError(f'an array has the unknown type {kind}')
    dtype = np.dtype(_TYPES[kind])
    size = int(np.prod(shape)) * dtype.itemsize
    data = stream.read(size)
    if len(data) != size:
        raise EOFError('the file ends early')
    return torch.from_numpy(np.frombuffer(data, dtype).reshape(shape).copy())


def read_mxnet_params(path: str) -> dict[str, Tensor]:
    """Arrays by name ('arg:...' for weights, 'aux:...' for statistics) of a ``.params`` file; no code in it is run.

    Raises:
        CheckpointError: it is no such file.
    """
    try:
        with open(path, 'rb') as stream:
            magic, _, count = _take(stream, '<QQQ')
            if magic != _FILE:
                raise ValueError(f'it starts with {magic:#x} instead of {_FILE:#x}')
            arrays = [_array(stream) for _ in range(count)]
            names = []
            for _ in range(_take(stream, '<Q')[0]):
                length, = _take(stream, '<Q')
                names.append(stream.read(length).decode())
    except (ValueError, EOFError, OverflowError, MemoryError) as error:
        raise CheckpointError(f'{path} is no file of mxnet weights: {error}.') from error
    if len(names) != len(arrays):
        raise CheckpointError(f'{path} names {len(names)} of {len(arrays)} arrays; it is damaged.')
    return dict(zip(names, arrays))
