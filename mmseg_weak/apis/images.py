"""Image files as people have them, decoded the way training decodes them."""
import io
import warnings
from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image, ImageOps

from mmseg_weak.datasets.lists import IMAGE_SUFFIXES
from mmseg_weak.errors import DataError, MissingFileError

__all__ = ['find_images', 'read_image', 'to_bgr']



def read_image(path: str | Path, exif: bool = True) -> np.ndarray:
    """Decode an image file of any common kind.

    Grey, palette, RGBA and 16-bit files become 8-bit colour, by the decoder that the training pipelines use.

    Args:
        path: the file.
        exif: turn the image as its EXIF tag says, so that it stands as viewers show it.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is empty, cut off or no image.
    """
    try:
        data = fileio.get(str(path))
    except FileNotFoundError:
        raise MissingFileError(f'there is no image {path}; check the path') from None
    except OSError as error:
        raise DataError(f'{path} cannot be read ({error.strerror or error}); check the path and its rights') from None
    if not data:
        raise DataError(f'{path} is empty (0 bytes); copy it again')
    problem = _pil_problem(data)
    flag = cv2.IMREAD_COLOR if exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if problem is None else None
    if image is None and problem is None:
        image, problem = _decode_with_pil(data)
    if image is None:
        raise DataError(f'{path} is no readable image ({problem}); copy it again or leave it out')
    return image


def _pil_problem(data: bytes) -> str | None:
    """What is wrong with an encoded image; None if nothing. OpenCV decodes a cut-off JPEG to half a picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
    except Image.DecompressionBombError:
        return None  # merely huge
    except (OSError, SyntaxError, ValueError) as error:
        return 'not a known image format' if 'cannot identify' in str(error) else str(error)
    return None


def _decode_with_pil(data: bytes) -> tuple[np.ndarray | None, str]:
    """Kinds that OpenCV does not know, such as GIF on some builds: (image, problem)."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))[..., ::-1].copy(), ''
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return None, str(error)


def to_bgr(image: np.ndarray) -> np.ndarray:
    """Bring an array to what a network takes.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        DataError: another shape or type.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise DataError(f'an image array has shape {tuple(image.shape)}; give (H, W), (H, W, 3) in BGR order or '
                        f'(H, W, 4)')
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DataError(f'an image array has type {image.dtype}; give uint8 (0-255) or uint16')
    return np.ascontiguousarray(np.repeat(image, 3, 2) if image.shape[2] == 1 else image[..., :3])


def find_images(images: str | Path | Iterable[str | Path], leave_out: Path | None = None) -> list[tuple[Path, Path]]:
    """List the image files that files, folders and globs name.

    Args:
        images: one or several of them; folders are searched all the way down, hidden files and folders skipped.
        leave_out: a folder whose files do not count (the output, if it lies among the images).

    Returns:
        Sorted pairs of (file, its path relative to the folder that named it, the bare name for a named file).

    Raises:
        MissingFileError: something named is not there.
        DataError: nothing named holds an image.
    """
    named: Sequence = [images] if isinstance(images, (str, Path)) else list(images)
    found: dict[Path, Path] = {}
    for name in map(str, named):
        path = Path(name)
        if path.is_dir():
            files = [file for file in sorted(path.rglob('*')) if file.suffix.lower() in IMAGE_SUFFIXES
                     and file.is_file() and not any(part.startswith('.') for part in file.relative_to(path).parts)]
            pairs = [(file, file.relative_to(path)) for file in files]
        elif path.is_file():
            pairs = [(path, Path(path.name))]
        elif has_magic(name):
            files = [Path(file) for file in sorted(glob(name, recursive=True))]
            pairs = [(file, Path(file.name)) for file in files
                     if file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES]
        else:
            raise MissingFileError(f'there is no image, folder or pattern {name}; check the path')
        for file, relative in pairs:
            if leave_out is None or not file.resolve().is_relative_to(leave_out.resolve()):
                found.setdefault(file, relative)
    if not found:
        raise DataError(f'{", ".join(map(str, named)) or "nothing"} holds no image; images end in '
                        f'{", ".join(IMAGE_SUFFIXES)}')
    return list(found.items())
