"""Look at image files cheaply: size, mode, EXIF turn and whether the end of the file is there, without
decoding.
"""
import io
from typing import NamedTuple

from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from mmseg_weak.errors import DataError, MissingFileError

__all__ = ['FileInfo', 'is_complete', 'read_file', 'read_header']

_ORIENTATION = 274  # the EXIF tag
_JPEG, _PNG = b'\xff\xd8', b'\x89PNG'


class FileInfo(NamedTuple):
    """What the header of an image says.

    ``mode`` is Pillow's ('RGB', 'L', 'P', 'I;16', '1', ...); ``orientation`` the EXIF value, 1 where upright.
    """
    width: int
    height: int
    mode: str
    orientation: int


def is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end marker; decoders fill a truncated file with grey and say nothing.

    In a JPEG the last end-of-image marker must follow the last start-of-scan, so that the marker of an
    embedded thumbnail does not count. Other formats are left to the decoder.
    """
    if data.startswith(_JPEG):
        return data.rfind(b'\xff\xd9') > data.rfind(b'\xff\xda')
    if data.startswith(_PNG):
        return b'IEND' in data[-4096:]
    return len(data) > 0


def read_file(path: str, backend_args: dict | None = None) -> bytes:
    """Bytes of an image file.

    Raises:
        MissingFileError: where it is not there.
        DataError: where it is empty or cut off.
    """
    try:
        data = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise MissingFileError(
            f'{path} does not exist; check the folder or the list file that names it.'
        ) from error
    except IsADirectoryError as error:
        raise DataError(f'{path} is a folder, not an image file; remove it from the list.') from error
    if not is_complete(data):
        raise DataError(
            f'{path} is truncated ({len(data)} bytes, no end marker); copy it again or leave it out.'
        )
    return data


def read_header(path: str, backend_args: dict | None = None) -> FileInfo:
    """Size and mode of an image file; its pixels stay compressed.

    Raises:
        MissingFileError: where it is not there.
        DataError: where it is truncated or no image.
    """
    data = read_file(path, backend_args)
    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = image.getexif().get(_ORIENTATION, 1) if data.startswith(_JPEG) else 1
            return FileInfo(image.width, image.height, image.mode, int(orientation or 1))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f'{path} is not a readable image ({len(data)} bytes); save it again as JPEG or PNG, or leave '
            'it out.'
        ) from error
