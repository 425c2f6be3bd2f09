"""Find what names say, in any image, without training."""
import copy
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.clip import BACKGROUND_NAMES, ClassNames, KeptFeatures, parse_classes, read_names
from mmseg_weak.models.clip.weights import TOYWORLD
from mmseg_weak.models.segmentors import OpenVocabSegmentor

from .config import configs_root, load_config
from .images import read_image, to_bgr
from .inferencer import Prediction

__all__ = ['OpenVocabInferencer', 'OpenVocabPrediction', 'as_names', 'open_vocab_methods']

_LONG_TEXTS = 20_000  # texts whose encoding is announced


@dataclass
class OpenVocabPrediction(Prediction):
    """What an image shows of some names.

    Attributes:
        mask: (H, W) indices of ``classes``, at the image's own size.
        confidence: (H, W) float32, probability of that class among the names, in [0, 1].
        classes: what was looked for; 'background' first where there is one.
    """
    classes: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Share of the image that each class fills."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.classes))
        return {name: float(count) / self.mask.size for name, count in zip(self.classes, counts)}


def open_vocab_methods() -> list[str]:
    """Methods that need names alone: the files of ``configs/_base_/models/open_vocab``."""
    return sorted(path.stem for path in (configs_root() / '_base_' / 'models' / 'open_vocab').glob('*.py'))


def as_names(names: str | Path | Iterable[str] | ClassNames,
             background: str | Path | Iterable[str] | None = None) -> ClassNames:
    """Names as a person gives them.

    Args:
        names: 'horse; rider; grass' (a class each), several texts ('person; child' is one class of two names), or a
            text file with one class a line.
        background: words of a class 0, in the same ways. A single name has nothing to be compared with and gets
            everyday words of surroundings; ``''`` leaves them out.

    Raises:
        DataError, MissingFileError: no name, an empty one, one given twice, or no such file.
    """
    if isinstance(names, ClassNames):
        return names
    found = _classes(names)
    if background is None:
        if len(found.classes) > 1:
            return found
        words = [word for word in BACKGROUND_NAMES if word not in {name.lower() for name in found.names}]
    elif isinstance(background, str) and not background.strip():
        return found
    else:
        words = list(_classes(background).names)
    return parse_classes(_grouped(found), background=words)


def _grouped(names: ClassNames) -> list[str]:
    """One text a class: 'person; child'."""
    groups = [[] for _ in names.classes]
    for name, owner in zip(names.names, names.owner):
        groups[owner].append(name)
    return ['; '.join(group) for group in groups]


def _classes(names: str | Path | Iterable[str]) -> ClassNames:
    if isinstance(names, Path) or (isinstance(names, str) and names.strip().lower().endswith('.txt')):
        return read_names(names.strip() if isinstance(names, str) else names)
    return parse_classes(names)


class OpenVocabInferencer:
    """A training-free method that is ready to look for names.

    Features of the last few images are kept: other names, another threshold cost only text and a matrix product.

    Args:
        method: of :func:`open_vocab_methods`; or a config of an ``OpenVocabSegmentor``: file, name or loaded.
        weights: of CLIP: a tag of open_clip ('openai'), MODEL:TAG ('ViT-L-14:openai'), a local file, 'toyworld' for
            the tiny towers of this package, or 'random' (for tests). None: what the method's config names. Nothing is
            downloaded: ``mmseg-weak fetch clip:ViT-B-16:openai`` brings them.
        device: as torch names it; the GPU where there is one, by default.
        keep: images whose features are remembered.
        templates: sentences around names other than the method's, for example 'photo', which is 80 times quicker.
        options: dotted keys of the config and their values, for example ``{'model.test_cfg.short_side_px': 672}``.
        embeddings: ``.npy`` file of embeddings in the place of the text tower's; ``known`` says of what, and nothing
            else can be looked for.
        known: names of the rows of ``embeddings``, in order, as :func:`as_names` takes them; a background is row 0 by
            the name 'background'.

    Raises:
        ConfigError: unknown method, or see :class:`.OpenVocabSegmentor`.
        MissingFileError: the weights are not on this machine.
        CheckpointError: the weights belong to another architecture.

    Example:
        >>> inferencer = OpenVocabInferencer('naclip')  # doctest: +SKIP
        >>> inferencer('horse.jpg', 'horse; rider; grass').shares  # doctest: +SKIP
        {'horse': 0.31, 'rider': 0.08, 'grass': 0.61}
        >>> inferencer('horse.jpg', 'saddle; sky').mask.shape  # the image is not encoded again  # doctest: +SKIP
        (360, 480)
    """

    def __init__(self, method: str | Path | Config = 'naclip', weights: str | None = None, device: str | None = None,
                 keep: int = 4, templates: str | Iterable[str] | None = None, options: dict | None = None,
                 embeddings: str | Path | None = None, known: str | Path | Iterable[str] | ClassNames | None = None
                 ) -> None:
        config = _config(method, weights)
        if embeddings is not None:
            if known is None:
                raise ConfigError(f'{embeddings} was given as embeddings without `known`, the names that its rows '
                                  'stand for, in order.')
            config.model.update(names=_grouped(as_names(known, '')), background=None, embeddings=str(embeddings))
        if options:
            config.merge_from_dict(dict(options))
        if templates is not None:
            config.model.clip.templates = templates
        init_default_scope(config.get('default_scope') or 'mmseg')
        self.cfg, self.keep_images = config, keep
        if weights != 'random' and config.model.get('head') and not config.model.head.get('checkpoint'):
            raise ConfigError(f'{config.model.type} learns its head first: train {Path(config.filename or "it").stem}, '
                              "then give the checkpoint as options={'model.head.checkpoint': FILE}, or in your config")
        self.model: OpenVocabSegmentor = MODELS.build(config.model)
        self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        self.model.to(self.device).eval()
        self._kept: OrderedDict[str, KeptFeatures] = OrderedDict()

    def __call__(self, image: str | Path | np.ndarray, names: str | Path | Iterable[str] | ClassNames,
                 background: str | Path | Iterable[str] | None = None, threshold: float = 0.0) -> OpenVocabPrediction:
        """Label one image.

        Args:
            image: a file, or an array (H, W, 3) uint8 in BGR order (grey, BGRA and uint16 are taken too).
            names: see :func:`as_names`.
            background: see :func:`as_names`.
            threshold: pixels whose best class is less probable become class 0, 'background', which is added where the
                names have none.

        Raises:
            DataError: no readable image, no names, or names that contradict each other.
            ConfigError: the threshold is no probability.
        """
        return self.label(self.features(image), names, background, threshold)

    def features(self, image: str | Path | np.ndarray) -> KeptFeatures:
        """Features of an image, computed once: a file counts as new when it was written anew."""
        key = _key(image)
        if key not in self._kept:
            bgr = to_bgr(image) if isinstance(image, np.ndarray) else read_image(image)
            small = bgr
            if not self.model.sees_photograph:
                height, width = self.model.target_size(*bgr.shape[:2])
                small = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)
            tensor = torch.from_numpy(np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1))).to(self.device)
            self._kept[key], = self.model.keep([tensor], [bgr.shape[:2]])
        self._kept.move_to_end(key)
        while len(self._kept) > self.keep_images:
            self._kept.popitem(last=False)
        return self._kept[key]

    def label(self, kept: KeptFeatures, names: str | Path | Iterable[str] | ClassNames,
              background: str | Path | Iterable[str] | None = None, threshold: float = 0.0) -> OpenVocabPrediction:
        """Label by features of :meth:`features`; arguments as of :meth:`__call__`."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f'threshold is {threshold}; give a probability in [0, 1]')
        names = self.names(names, background)
        mask, confidence = self.model.label(kept, names, prob_thr=0.0, area_thr=None)
        mask, confidence, classes = mask.cpu().numpy(), confidence.cpu().numpy(), names.classes
        if threshold > 0:
            if classes[0] != 'background':
                mask, classes = mask + 1, ('background', *classes)
            mask = np.where(confidence < threshold, 0, mask)
        return OpenVocabPrediction(mask.astype(np.uint8 if len(classes) <= 256 else np.uint16), confidence, classes)

    def scores(self, image: str | Path | np.ndarray, names: str | Path | Iterable[str] | ClassNames,
               background: str | Path | Iterable[str] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Probabilities of every class, (classes, H, W) float32, and the classes; needs so much memory."""
        names = self.names(names, background)
        return self.model.class_scores(self.features(image), names).cpu().numpy(), names.classes

    def names(self, names: str | Path | Iterable[str] | ClassNames,
              background: str | Path | Iterable[str] | None = None) -> ClassNames:
        """:func:`as_names`; many texts are announced, since a tower reads some hundreds a second on a CPU."""
        names = as_names(names, '' if background is None and self.model.given is not None else background)
        if self.model.given is not None:
            return self.model.given.reduced(names)
        texts = len(names.names) * len(self.model.clip.text.templates)
        if texts > _LONG_TEXTS and not self.model.knows(names):
            print_log(f'{len(names.names)} names in {len(self.model.clip.text.templates)} templates are {texts} texts '
                      "to encode, which are kept for the next time; templates='photo' is quicker.", 'current')
        return names


def _key(image: str | Path | np.ndarray) -> str:
    if isinstance(image, np.ndarray):
        return f'{image.shape}{image.dtype}{hashlib.sha1(np.ascontiguousarray(image)).hexdigest()}'
    path = Path(image)
    if not path.is_file():
        return str(path)  # reading it will say what is wrong
    status = path.stat()
    return f'{path.resolve()} {status.st_mtime_ns} {status.st_size}'


def _config(method: str | Path | Config, weights: str | None) -> Config:
    """Config of a method with the weights that were asked for."""
    if isinstance(method, Config):
        config = copy.deepcopy(method)
    else:
        known = open_vocab_methods()
        if str(method) in known:
            config = load_config(f'{method}_toyworld' if weights == 'toyworld' else
                                 configs_root() / '_base_' / 'models' / 'open_vocab' / f'{method}.py')
        elif Path(method).suffix == '.py' or '/' in str(method) or '_' in str(method):
            config = load_config(method)
        else:
            raise ConfigError(f'there is no open-vocabulary method {str(method)!r}. {near(str(method), known)} Known: '
                              f'{", ".join(known)}; a config works too'.replace('  ', ' '))
    model = config.get('model') or {}
    if not model.get('clip') or model.get('segmentor'):
        raise ConfigError(f'{config.filename or "the config"} describes {model.get("type", "no model")}, which finds '
                          f'no names; take one of {", ".join(open_vocab_methods())}')
    use_weights(model, weights)
    return config


def use_weights(model: dict, weights: str | None) -> None:
    """Take other weights of CLIP than a config names, see :class:`OpenVocabInferencer`; 'random': of all networks."""
    if weights == 'random':
        _forget_files(model)
    elif weights == 'toyworld':
        model['clip'].update(name=TOYWORLD, pretrained='toyworld')
    elif weights is not None:
        name, colon, tag = weights.partition(':')
        model['clip'].update(dict(name=name, pretrained=tag) if colon and not Path(weights).is_file()
                             else dict(pretrained=weights))


def _forget_files(node: Any) -> None:
    """Leave the weights of every network random."""
    if isinstance(node, dict):
        for key in ('pretrained', 'checkpoint', 'init_cfg'):
            if key in node:
                node[key] = None
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            _forget_files(value)
