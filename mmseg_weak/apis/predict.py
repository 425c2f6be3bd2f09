"""Label files and folders of images."""
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.files import write_bytes, write_json
from mmseg_weak.visualization import mask_png, overlay, png_bytes, voc_palette

from .images import find_images, read_image
from .progress import progress

if TYPE_CHECKING:
    from .inferencer import Prediction

__all__ = ['PredictResult', 'jpeg_bytes', 'predict', 'predict_text', 'result_names']


@dataclass
class PredictResult:
    """What a call of :func:`predict` did.

    Attributes:
        out: the output folder.
        written: masks written now.
        skipped: images whose results were there already.
        broken: unreadable images, each with one sentence.
        classes: names of the classes, in the order of the masks' values.
    """
    out: Path
    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    broken: list[tuple[Path, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


def predict(images: str | Path | Iterable[str | Path], out: str | Path, config: str | Path,
            checkpoint: str | Path, device: str | None = None, overwrite: bool = False, confidence: bool = True,
            overlays: bool = True, opacity: float = 0.5, exif: bool = True, quiet: bool = False) -> PredictResult:
    """Label images and write masks, confidences and overlays.

    ``out/masks/<name>.png`` holds class indices (palette PNG), ``out/confidence/<name>.png`` the probability of the
    class times 255, ``out/overlays/<name>.jpg`` both on the image, ``out/classes.json`` the names and colours.
    Files of one name in several folders keep their folders; those that differ in suffix alone keep the suffix.
    Images whose results are there are skipped, so an interrupted call goes on where it stopped.

    Args:
        images: files, folders (searched all the way down) and globs.
        out: folder of the results.
        config: config file or name.
        checkpoint: checkpoint file.
        device: as torch names it; the GPU where there is one, by default.
        overwrite: label again what is there.
        confidence: write confidences.
        overlays: write overlays.
        opacity: share of the mask's colour in an overlay, in [0, 1].
        exif: turn photographs as their EXIF tag says, as viewers do; masks are turned with them. Masks that shall
            train with a ``LoadImage(exif=False)`` pipeline need False.
        quiet: no progress bar.

    Returns:
        What was written, skipped and broken. Broken images never end the call, unless all are.

    Raises:
        MissingFileError: an image, config or checkpoint is not there.
        DataError: no image was named, or none can be read.
        CheckpointError: the checkpoint does not fit.
    """
    todo, result = _plan(images, out, overwrite, confidence, overlays, opacity)
    from .inferencer import SegInferencer  # the heavy part, not needed to find that nothing is there
    inferencer = SegInferencer(config, checkpoint, device=device)
    return _label(inferencer, inferencer.classes, inferencer.palette, todo, result, confidence, overlays, opacity, exif,
                  quiet)


def predict_text(images: str | Path | Iterable[str | Path], text: str | Path | Iterable[str],
                 out: str | Path = 'work_dirs/predict', method: str = 'naclip', weights: str | None = None,
                 background: str | Path | Iterable[str] | None = None, threshold: float = 0.0,
                 device: str | None = None, overwrite: bool = False, confidence: bool = True, overlays: bool = True,
                 opacity: float = 0.5, exif: bool = True, quiet: bool = False,
                 embeddings: str | Path | None = None) -> PredictResult:
    """Find what names say in images, without training; the files are those of :func:`predict`.

    Args:
        images: files, folders (searched all the way down) and globs.
        text: 'horse; rider; grass', several such texts, or a text file with one class a line; see
            :func:`.open_vocab.as_names`.
        out: folder of the results; one folder holds the masks of one list of names.
        method: of :func:`.open_vocab.open_vocab_methods`, or a config.
        weights: of CLIP, see :class:`.OpenVocabInferencer`.
        background: words of a class 0.
        threshold: pixels whose best class is less probable become class 0, 'background'.
        device, overwrite, confidence, overlays, opacity, exif, quiet: see :func:`predict`.
        embeddings: ``.npy`` file of the embeddings of ``text``, in its order, in the place of the text tower's.

    Raises:
        MissingFileError: an image, list or the weights are not there.
        DataError: no image, no names or contradicting ones, or ``out`` holds masks of other names.
        ConfigError: unknown method, or a threshold that is no probability.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f'threshold is {threshold}; give a probability in [0, 1]')
    todo, result = _plan(images, out, overwrite, confidence, overlays, opacity)
    from .open_vocab import OpenVocabInferencer, as_names
    names = as_names(text, '' if embeddings and background is None else background)
    classes = list(names.classes)
    if threshold > 0 and classes[0] != 'background':
        classes.insert(0, 'background')
    told = result.out / 'classes.json'
    if result.skipped and told.is_file():
        before = json.loads(told.read_text(encoding='utf-8')).get('classes')
        if before != classes:
            raise DataError(f'{result.out} holds masks of {", ".join(before or ["other names"])}; name another folder '
                            'for these names, or overwrite.')
    own = {} if embeddings is None else dict(embeddings=embeddings, known=names)
    inferencer = OpenVocabInferencer(method, weights, device, keep=1, **own) if todo else None
    return _label(lambda image: inferencer(image, names, threshold=threshold), classes, voc_palette(len(classes)), todo,
                  result, confidence, overlays, opacity, exif, quiet)


def _plan(images: str | Path | Iterable[str | Path], out: str | Path, overwrite: bool, confidence: bool,
          overlays: bool, opacity: float) -> tuple[list[tuple[Path, dict[str, Path]]], PredictResult]:
    """Images to label with the files to write for each, and a result that lists those that are done."""
    if not 0 <= opacity <= 1:
        raise ConfigError(f'opacity is {opacity}; give a share in [0, 1]')
    result = PredictResult(Path(out))
    kinds = ['masks'] + ['confidence'] * confidence + ['overlays'] * overlays
    todo = []
    for file, name in result_names(find_images(images, leave_out=result.out)):
        targets = {kind: result.out / kind / f'{name}{".jpg" if kind == "overlays" else ".png"}' for kind in kinds}
        if not overwrite and all(target.is_file() for target in targets.values()):
            result.skipped.append(file)
        else:
            todo.append((file, targets))
    return todo, result


def _label(label: Callable[[np.ndarray], 'Prediction'], classes: list[str], palette: list[list[int]],
           todo: list[tuple[Path, dict[str, Path]]], result: PredictResult, confidence: bool, overlays: bool,
           opacity: float, exif: bool, quiet: bool) -> PredictResult:
    """Label what is to be labelled and write it."""
    result.classes = classes
    for file, targets in progress(todo, 'predict', quiet=quiet):
        try:
            image = read_image(file, exif)
        except (DataError, OSError) as error:
            result.broken.append((file, str(error)))
            continue
        prediction = label(image)
        if confidence:
            write_bytes(targets['confidence'], png_bytes(np.rint(prediction.confidence * 255).astype(np.uint8)))
        if overlays:
            picture = overlay(image[..., ::-1], prediction.mask, palette, opacity)
            write_bytes(targets['overlays'], jpeg_bytes(picture))
        # The mask comes last: where it is, everything is.
        write_bytes(targets['masks'], mask_png(prediction.mask, palette))
        result.written.append(targets['masks'])
    if result.broken and not (result.written or result.skipped):
        raise DataError(f'none of {len(result.broken)} images could be read; the first: {result.broken[0][1]}')
    write_json(result.out / 'classes.json', dict(classes=classes, palette=palette))
    return result


def result_names(files: list[tuple[Path, Path]]) -> list[tuple[Path, str]]:
    """A name for the results of each file, unique on file systems that ignore case too."""
    taken: dict[str, int] = {}
    for _, relative in files:
        key = relative.with_suffix('').as_posix().lower()
        taken[key] = taken.get(key, 0) + 1
    names, seen = [], set()
    for file, relative in files:
        name = relative.with_suffix('').as_posix()
        if taken[name.lower()] > 1:  # a.jpg beside a.png
            name = f'{name}_{relative.suffix[1:]}'
        number, base = 1, name
        while name.lower() in seen:  # a.jpg of two folders, named one by one
            number += 1
            name = f'{base}_{number}'
        seen.add(name.lower())
        names.append((file, name))
    return names


def jpeg_bytes(picture: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint8 RGB as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'JPEG', quality=90)
    return stream.getvalue()
