"""What images show, in words that nobody listed: tags and masks of CaSED."""
import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.files import write_bytes, write_json, write_text
from mmseg_weak.methods.openvocab.cased import CaSED
from mmseg_weak.visualization import mask_png, overlay, voc_palette

from .images import find_images, read_image, to_bgr
from .index_common import index_config, open_model
from .predict import jpeg_bytes, result_names
from .progress import progress

__all__ = ['FreeWords', 'FreeWordsPrediction', 'WordsResult', 'find_words']

CONFIG = 'cased_vit-l14_voc21'


@dataclass
class FreeWordsPrediction:
    """What an image shows.

    Attributes:
        mask: (H, W) indices of ``words``.
        confidence: (H, W) float32 probability of a pixel's word among its candidates.
        words: in the order of the indices.
    """
    mask: np.ndarray
    confidence: np.ndarray
    words: list[str]

    @property
    def shares(self) -> dict[str, float]:
        """Share of the image that each word fills, the largest first."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.words)) / self.mask.size
        return {self.words[i]: float(counts[i]) for i in np.argsort(-counts, kind='stable') if counts[i]}


class FreeWords:
    """CaSED, ready to name what images show.

    Args:
        index: file of ``mmseg-weak index cased``; None: the config's.
        config: of a ``CaSED`` model, file or name.
        weights: of CLIP; see :class:`.OpenVocabInferencer`.
        device: as torch names it; the GPU where there is one, by default.
        options: dotted keys of the config and their values.

    Example:
        >>> free = FreeWords('captions.safetensors')  # doctest: +SKIP
        >>> free.tags('horse.jpg')  # doctest: +SKIP
        [('horse', 0.41), ('rider', 0.22)]
        >>> free('horse.jpg').shares  # doctest: +SKIP
        {'horse': 0.52, 'grass': 0.31, 'rider': 0.17}
    """

    def __init__(self, index: str | Path | None = None, config: str | Path = CONFIG, weights: str | None = None,
                 device: str | None = None, options: Mapping[str, Any] | None = None) -> None:
        cfg = index_config(config, 'CaSED', weights, options)
        path = index or cfg.model.get('index')
        if path and not Path(path).is_file():
            raise MissingFileError(f'The index {path} does not exist; `mmseg-weak index cased {config} --captions FILE '
                                   f'--out {path}` makes it.')
        self.model: CaSED = open_model(cfg, device, index=str(path) if path else None)

    def _tensor(self, image: str | Path | np.ndarray) -> torch.Tensor:
        bgr = to_bgr(image) if isinstance(image, np.ndarray) else read_image(image)
        return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1))).to(
            self.model.clip.logit_scale.device)

    def __call__(self, image: str | Path | np.ndarray) -> FreeWordsPrediction:
        """Words of places; an image is a file, or an array (H, W, 3) uint8 in BGR order."""
        labels, probs, words = self.model.segment(self._tensor(image))
        dtype = np.uint8 if len(words) <= 256 else np.uint16
        return FreeWordsPrediction(labels.cpu().numpy().astype(dtype), probs.cpu().numpy(), words)

    def tags(self, image: str | Path | np.ndarray, top: int = 5) -> list[tuple[str, float]]:
        """The likeliest words of an image and their probabilities."""
        return self.model.tags(self._tensor(image), top)


@dataclass
class WordsResult:
    """What a call of :func:`find_words` did.

    Attributes:
        out: the folder.
        tags: image name -> words and probabilities.
        broken: images that could not be read, each with a sentence.
    """
    out: Path
    tags: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)


def find_words(images: str | Path | Iterable[str | Path], index: str | Path | None = None,
               out: str | Path = 'work_dirs/words', config: str | Path = CONFIG, weights: str | None = None,
               top: int = 3, masks: bool = True, device: str | None = None,
               cfg_options: Mapping[str, Any] | None = None, quiet: bool = False) -> WordsResult:
    """Name what images show: ``out/tags.csv`` (image and its likeliest words), and for each image ``masks/<name>.png``
    (indices), ``overlays/<name>.jpg``, ``words/<name>.json`` (the words, and the share of the image that each fills).

    Args:
        images: files, folders (searched all the way down) and globs.
        index, config, weights, device: see :class:`FreeWords`.
        out: folder of the results.
        top: tags an image.
        masks: make masks too; without them only the tags.
        cfg_options: dotted keys and values.
        quiet: no progress bar.

    Raises:
        MissingFileError, DataError: no image, no index, or none that can be read.
        ConfigError: fewer than one tag.
    """
    if top < 1:
        raise ConfigError(f'top is {top}; an image gets at least one tag.')
    result = WordsResult(Path(out))
    found = find_images(images, leave_out=result.out)
    relative = dict(found)
    free = FreeWords(index, config, weights, device, cfg_options)
    for file, name in progress(result_names(found), 'words', quiet=quiet):
        try:
            image = read_image(file)
        except DataError as error:
            result.broken.append((str(file), str(error)))
            continue
        result.tags[relative[file].as_posix()] = free.tags(image, top)
        if masks:
            seen = free(image)
            palette = voc_palette(max(len(seen.words), 2))
            write_bytes(result.out / 'overlays' / f'{name}.jpg',
                        jpeg_bytes(overlay(image[..., ::-1], seen.mask, palette, 0.5)))
            write_bytes(result.out / 'masks' / f'{name}.png', mask_png(seen.mask, palette))
            write_json(result.out / 'words' / f'{name}.json', dict(words=seen.words, shares=seen.shares))
    if not result.tags:
        raise DataError(f'none of {len(result.broken)} images could be read; the first: {result.broken[0][1]}')
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator='\n')
    rows.writerow(['image', 'tags'])
    rows.writerows([name, ';'.join(word for word, _ in tags)] for name, tags in result.tags.items())
    write_text(result.out / 'tags.csv', stream.getvalue())
    return result
