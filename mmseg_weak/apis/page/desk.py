"""What the page asks for, without the web: pictures that are kept, their masks for names, their score maps."""
import io
import secrets
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from mmseg_weak.apis.open_vocab import OpenVocabInferencer, OpenVocabPrediction, as_names
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.models.clip import ClassNames, KeptFeatures
from mmseg_weak.visualization import mask_png
from mmseg_weak.visualization.palette import voc_palette

__all__ = ['KINDS', 'LIMITS', 'Desk', 'Limits', 'decode_upload', 'page_names', 'page_palette']

KINDS = {'image/png': 'PNG', 'image/jpeg': 'JPEG', 'image/webp': 'WEBP'}
_BRIGHT = ((230, 57, 70), (42, 157, 143), (255, 183, 3), (69, 123, 255), (155, 93, 229), (112, 193, 77), (0, 187, 249),
           (241, 91, 181), (181, 101, 29), (251, 133, 0), (140, 153, 174), (0, 109, 119))
_SCORED = 1 << 26  # numbers of all score maps together


@dataclass(frozen=True)
class Limits:
    """What the page takes.

    Attributes:
        upload_bytes: of a picture file.
        pixels: of a picture, known before it is decoded.
        shown_px: pixels of the picture on the page; larger ones are reduced, and only a mask to download has all.
        pictures: that are kept.
        names: at once.
        text: characters of names and background together.
    """
    upload_bytes: int = 20_000_000
    pixels: int = 40_000_000
    shown_px: int = 1_000_000
    pictures: int = 4
    names: int = 1000
    text: int = 20_000


LIMITS = Limits()


@dataclass
class Picture:
    """A picture of the page: the file as it came, and what is kept of it."""
    data: bytes
    size: tuple[int, int]  # (H, W) of the file, upright
    shown: tuple[int, int]  # (H, W) on the page
    kept: KeptFeatures


def decode_upload(data: bytes, limits: Limits = LIMITS) -> np.ndarray:
    """A picture from the bytes of a PNG, JPEG or WebP file.

    Returns:
        (H, W, 3) uint8, BGR, upright.

    Raises:
        DataError: it is too large, of another kind, cut off or broken.
    """
    if len(data) > limits.upload_bytes:
        raise DataError(f'The picture has {len(data) / 1e6:.1f} MB; this page takes up to '
                        f'{limits.upload_bytes / 1e6:.0f} MB. `mmseg-weak predict` has no limit.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(data), formats=tuple(KINDS.values())) as picture:
                width, height = picture.size
                if width * height > limits.pixels:  # before anything is decoded
                    raise DataError(f'The picture has {width}x{height} pixels; this page takes up to '
                                    f'{limits.pixels / 1e6:.0f} million. `mmseg-weak predict` has no limit.')
                if picture.mode.startswith('I'):  # 16 bits
                    grey = np.asarray(picture.convert('I')) >> 8
                    picture = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
                rgb = np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        why = 'it is no PNG, JPEG or WebP file' if 'cannot identify' in str(error) else str(error)
        raise DataError(f'The picture cannot be read: {why}.') from None
    return np.ascontiguousarray(rgb[..., ::-1])


def page_names(names: str, background: str = '', limits: Limits = LIMITS) -> ClassNames:
    """Names as they were typed: 'horse; rider', or one class a line, where semicolons part its names. Never a file.

    Args:
        names: the text.
        background: words of a class 0, with semicolons; without them a single name is compared with everyday words.
        limits: of their number and length.

    Raises:
        DataError: nothing was typed, too much was, a name is empty or there twice.
    """
    if len(names) + len(background) > limits.text:
        raise DataError(f'{len(names) + len(background)} characters were typed; this page takes {limits.text}. '
                        '`mmseg-weak predict --text FILE.txt` has no limit.')
    lines = [line for line in names.splitlines() if line.strip()]
    parts = lines if len(lines) > 1 else names.strip().rstrip(';').split(';')
    if not names.strip():
        raise DataError('No names were typed; name at least one thing to look for.')
    words = [part for part in background.replace('\n', ';').split(';') if part.strip()]
    typed = sum(part.count(';') + 1 for part in parts) + len(words)
    if typed > limits.names:
        raise DataError(f'{typed} names were typed; this page takes {limits.names} at once. `mmseg-weak predict --text '
                        'FILE.txt` has no limit.')
    return as_names(parts, words or None)


def page_palette(classes: Sequence[str]) -> list[list[int]]:
    """A colour a class: black for the background alone, bright ones for the first dozen of the others, then VOC's."""
    own = len(classes) - (classes[0] == 'background')
    colours = [list(colour) for colour in _BRIGHT[:own]] + voc_palette(1 + max(0, own - len(_BRIGHT)))[1:]
    return colours if own == len(classes) else [[0, 0, 0], *colours]


class Desk:
    """Pictures that are kept for the page, and their answers; one call at a time reaches the networks.

    Args:
        inferencer: what finds names.
        limits: see :class:`Limits`.
    """

    def __init__(self, inferencer: OpenVocabInferencer, limits: Limits = LIMITS) -> None:
        self.inferencer, self.limits = inferencer, limits
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def about(self) -> dict:
        """What stands at the head of the page."""
        clip, cfg = self.inferencer.model.clip, self.inferencer.cfg
        limits = dict(upload_bytes=self.limits.upload_bytes, pixels=self.limits.pixels, kinds=list(KINDS))
        return dict(method=Path(cfg.filename or 'config').stem, tower=clip.name,
                    weights=str(cfg.model.clip.get('pretrained') or 'random'), device=str(self.inferencer.device),
                    **limits)

    def add(self, data: bytes) -> dict:
        """Take a picture and look at it: ``dict(image, width, height, shown)``."""
        bgr = decode_upload(data, self.limits)
        size = bgr.shape[:2]
        factor = min(1.0, (self.limits.shown_px / (size[0] * size[1])) ** 0.5)
        shown = tuple(max(1, int(side * factor)) for side in size)
        if shown != size:
            bgr = cv2.resize(bgr, shown[::-1], interpolation=cv2.INTER_AREA)
        with self._lock:
            key = secrets.token_urlsafe(12)
            self._pictures[key] = Picture(data, size, shown, self.inferencer.features(bgr))
            while len(self._pictures) > self.limits.pictures:
                self._pictures.popitem(last=False)
        return dict(image=key, width=size[1], height=size[0], shown=[shown[1], shown[0]])

    def picture(self, key: str) -> Picture:
        """A picture that is kept.

        Raises:
            MissingFileError: it is not.
        """
        if key not in self._pictures:
            raise MissingFileError(f'This picture is not kept any more (the last {self.limits.pictures} are); drop it '
                                   'again.')
        self._pictures.move_to_end(key)
        return self._pictures[key]

    def label(self, key: str, names: str, background: str = '') -> OpenVocabPrediction:
        """The best class of each pixel that the page shows, and how probable it is."""
        with self._lock:
            return self.inferencer.label(self.picture(key).kept, page_names(names, background, self.limits))

    def score(self, key: str, names: str, background: str = '', number: int = 0) -> np.ndarray:
        """Probability of one class, (H, W) float32, at the page's size.

        Raises:
            DataError: there is no such class, or too many for score maps.
        """
        found = page_names(names, background, self.limits)
        if not 0 <= number < len(found.classes):
            raise DataError(f'There is no class {number} among {len(found.classes)}.')
        with self._lock:
            picture = self.picture(key)
            most = _SCORED // (picture.shown[0] * picture.shown[1])
            if len(found.names) > most:
                raise DataError(f'Score maps of {len(found.names)} names do not fit into the memory that this page '
                                f'takes; up to {most} do.')
            wanted = self.inferencer.names(found)
            return self.inferencer.model.class_scores(picture.kept, wanted)[number].cpu().numpy()

    def mask(self, key: str, names: str, background: str = '', threshold: float = 0.0) -> bytes:
        """The mask as a PNG of class indices at the picture's own size, as ``mmseg-weak predict`` writes it."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f'threshold is {threshold}; give a probability in [0, 1]')
        found = page_names(names, background, self.limits)
        with self._lock:
            picture = self.picture(key)
            kept = picture.kept
            if picture.shown != picture.size:  # all pixels: seen once more
                kept = self.inferencer.features(decode_upload(picture.data, self.limits))
            prediction = self.inferencer.label(kept, found, threshold=threshold)
        return mask_png(prediction.mask, page_palette(prediction.classes))
