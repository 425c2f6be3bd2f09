"""Embeddings of class names: templates, averages, a cache on disk, and a word about names that are too long."""
import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.files import write_bytes

from .names import ClassNames, parse_classes
from .prefixes import PrefixReader, reads_prefixes
from .templates import resolve_templates

__all__ = ['TextEncoder', 'average_templates', 'cut_texts', 'load_embeddings', 'max_over_names']

_BATCH = 256
_REMEMBERED = 10_000  # single names whose embeddings stay in memory


def average_templates(embeddings: Tensor) -> Tensor:
    """Each normalised, their mean, normalised: (...,T,d) -> (...,d)."""
    return F.normalize(F.normalize(embeddings, dim=-1).mean(-2), dim=-1)


def max_over_names(scores: Tensor, owner: Iterable[int], dim: int = 1) -> Tensor:
    """Scores of names -> of classes, the largest of a class's names.

    Args:
        scores: names along ``dim``.
        owner: class of each name, in order: 0, 0, 1, 2, 2, ...
        dim: of the names.

    Raises:
        DataError: the classes are not in order.
    """
    owner = list(owner)
    if any(b - a not in (0, 1) for a, b in zip([-1, *owner], owner)):
        raise DataError(f'The classes of the names are {owner[:8]}...; names are listed class after class: 0, 0, 1, 2.')
    counts = torch.bincount(torch.tensor(owner, dtype=torch.long))
    if len(counts) == len(owner):
        return scores
    first = counts.cumsum(0) - counts
    out = scores.index_select(dim, first.to(scores.device))
    for j in range(1, int(counts.max())):  # the j-th name of all classes that have so many
        classes = (counts > j).nonzero().flatten()
        names, classes = (first[classes] + j).to(scores.device), classes.to(scores.device)
        better = torch.maximum(out.index_select(dim, classes), scores.index_select(dim, names))
        out.index_copy_(dim, classes, better)
    return out


def cut_texts(tokenizer, texts: Iterable[str], length: int) -> Iterator[tuple[str, int, str]]:
    """Texts that a tower of ``length`` tokens cannot read whole: (text, its tokens, what is read of it).

    Only tokenizers that can tell are asked: open_clip's own.
    """
    if not hasattr(tokenizer, 'encode') or not hasattr(tokenizer, 'decode'):
        return
    for text in texts:
        if len(text) + 2 > length:  # a token is a character at least
            tokens = tokenizer.encode(text)
            if len(tokens) + 2 > length:
                yield text, len(tokens) + 2, tokenizer.decode(tokens[:length - 2]).strip()


class TextEncoder(nn.Module):
    """The text tower of a CLIP: names in, unit vectors out.

    Args:
        model: of open_clip; its text side is used.
        tokenizer: its tokenizer.
        name: of the model, for messages and the cache.
        templates: see :func:`.templates.resolve_templates`.
        cache_dir: folder of kept embeddings; 'default' is ``$XDG_CACHE_HOME/mmseg_weak/text``; None keeps none.

    Raises:
        ConfigError: templates of another language than the tower reads, or see :func:`.templates.resolve_templates`.
    """

    def __init__(self, model: nn.Module, tokenizer, name: str, templates: str | Iterable[str] = 'imagenet',
                 cache_dir: str | None = 'default') -> None:
        super().__init__()
        self.model = _text_only(model)
        self.tokenizer, self.name, self.templates = tokenizer, name, resolve_templates(templates)
        english = type(tokenizer).__name__ == 'SimpleTokenizer'
        if english and any(not template.isascii() or (isinstance(templates, str) and templates[:6] == 'photo-')
                           for template in self.templates):
            raise ConfigError(f'templates={templates!r} are not English, and the text tower of {name} was trained on '
                              'English; take a tower of several languages, for example xlm-roberta-base-ViT-B-32.')
        if cache_dir == 'default':
            cache_dir = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'mmseg_weak' / 'text'
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self._weights, self._reader = None, None
        self._rows: OrderedDict[tuple, Tensor] = OrderedDict()  # of single names, for lists that change by a word

    def _load_from_state_dict(self, *args) -> None:
        super()._load_from_state_dict(*args)
        self._weights = self._reader = None
        self._rows.clear()

    @property
    def context_length(self) -> int:
        """Tokens that the tower reads."""
        return int(getattr(self.tokenizer, 'context_length', None) or 77)

    def weights_hash(self) -> str:
        """Of the text tower's weights; computed once."""
        if self._weights is None:
            digest = hashlib.sha256()
            for key, value in sorted(self.model.state_dict().items()):
                digest.update(f'{key}{tuple(value.shape)}{value.dtype}'.encode())
                digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
                              if value.dim() else str(value.item()).encode())
            self._weights = digest.hexdigest()
        return self._weights

    def _activation(self) -> str:
        """Which one the tower has; the same weights say something else with another."""
        return ' '.join(sorted({type(part).__name__ for part in self.model.modules()} & {'GELU', 'QuickGELU'}))

    def _cache_file(self, names: tuple[str, ...], templates: tuple[str, ...]) -> Path | None:
        if self.cache_dir is None:
            return None
        digest = hashlib.sha256(self.weights_hash().encode())
        for part in (self.name, f'{self.context_length}', self._activation(), '\0'.join(templates), '\0'.join(names)):
            digest.update(hashlib.sha256(part.encode()).digest())
        return self.cache_dir / f'{digest.hexdigest()}.npy'

    @torch.no_grad()
    def forward(self, classes: ClassNames | Iterable[str]) -> Tensor:
        """(n,d) float32 unit vectors, one a name, on the tower's device.

        Args:
            classes: names with their classes, or names alone.

        Raises:
            DataError: see :func:`.names.parse_classes`.
        """
        if not isinstance(classes, ClassNames):
            classes = parse_classes([classes] if isinstance(classes, str) else classes)
        return self._encoded(classes.names, self.templates)

    @torch.no_grad()
    def sentences(self, texts: Iterable[str]) -> Tensor:
        """(n,d) float32 unit vectors of whole sentences, without templates; kept on disk as names are."""
        return self._encoded(tuple(texts), ('{}', ))

    def _encoded(self, names: tuple[str, ...], templates: tuple[str, ...]) -> Tensor:
        file, device = self._cache_file(names, templates), next(self.model.parameters()).device
        if file is not None and file.is_file():
            try:
                return torch.from_numpy(np.load(file, allow_pickle=False)).to(device)
            except (OSError, ValueError):
                pass  # a broken file is written anew
        new = tuple(dict.fromkeys(name for name in names if (templates, name) not in self._rows))
        step = max(1, 16 * 80 // len(templates))
        for i in range(0, len(new), step):
            some = new[i:i + step]
            with torch.autocast(device.type, enabled=False):  # what is kept is read again in full precision
                rows = average_templates(self._in_templates(some, templates)).cpu()
            self._rows.update(((templates, name), row) for name, row in zip(some, rows))
        self._report_cuts(new, templates)
        out = torch.stack([self._rows[templates, name] for name in names])
        while len(self._rows) > _REMEMBERED:
            self._rows.popitem(last=False)
        if file is not None:
            _keep(file, out.numpy())
        return out.to(device)

    def _in_templates(self, names: tuple[str, ...], templates: tuple[str, ...]) -> Tensor:
        """(n,T,d) float32 features of names in each template."""
        if not reads_prefixes(self.model, self.tokenizer):
            texts = [template.replace('{}', name) for name in names for template in templates]
            return self.encode_texts(texts).unflatten(0, (-1, len(templates)))
        device = self.model.positional_embedding.device
        if self._reader is None or self._reader.templates != templates or self._reader.device != device:
            self._reader = PrefixReader(self.model, self.tokenizer, templates)
        return self._reader(names)

    @torch.no_grad()
    def encode_texts(self, texts: list[str]) -> Tensor:
        """(n,d) float32 features of texts as they are, not normalised."""
        device = next(self.model.parameters()).device
        parts = [self.model.encode_text(self.tokenizer(texts[i:i + _BATCH]).to(device)).float()
                 for i in range(0, len(texts), _BATCH)]
        return torch.cat(parts)

    def _report_cuts(self, names: tuple[str, ...], templates: tuple[str, ...]) -> None:
        """Say once which names do not fit into the tower in their longest template."""
        longest = max(templates, key=len)
        cuts = list(cut_texts(self.tokenizer, (longest.replace('{}', name) for name in names), self.context_length))
        if cuts:
            told = '; '.join(f'{text[:80]!r} has {count} tokens, read up to {kept[-40:]!r}'
                             for text, count, kept in cuts[:5])
            more = f' and {len(cuts) - 5} more' if len(cuts) > 5 else ''
            some = '1 name is' if len(cuts) == 1 else f'{len(cuts)} names are'
            print_log(f'{some} longer than the {self.context_length} tokens that {self.name} reads: {told}{more}.',
                      'current', logging.WARNING)


def _keep(file: Path, array: np.ndarray) -> None:
    """Write an array; a folder that cannot be written costs time, not the result."""
    import io
    stream = io.BytesIO()
    np.save(stream, array)
    try:
        write_bytes(file, stream.getvalue())
    except OSError as error:
        print_log(f'Text embeddings cannot be kept in {file.parent} ({error}).', 'current', logging.WARNING)


def _text_only(model: nn.Module) -> nn.Module:
    """The model without its image tower, which lives elsewhere."""
    import copy
    kept = copy.copy(model)  # shallow: parameters are shared
    kept._modules = {name: module for name, module in model._modules.items() if name != 'visual'}
    kept._parameters = {name: value for name, value in model._parameters.items()
                        if name not in ('logit_scale', 'logit_bias')}
    return kept


def load_embeddings(path: str | Path, count: int | Iterable[int] | None = None) -> Tensor:
    """Class-name embeddings from a ``.npy`` file, one a row (or a column where that fits): another text side.

    Args:
        path: (n,d) or (d,n) float array, any scale; read without running code from it.
        count: number of classes expected, or numbers that will do.

    Returns:
        (n,d) float32 unit vectors.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no such array.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f'The embeddings {path} do not exist: give a .npy file with one row a class.')
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f'{path} cannot be read as a numpy array without running code ({error}).') from None
    if not isinstance(array, np.ndarray):
        raise DataError(f'{path} is an archive of {len(array.files)} arrays; save one of them with numpy.save.')
    if array.ndim != 2 or array.dtype.kind != 'f' or not array.size or not np.isfinite(array).all():
        raise DataError(f'{path} holds a {array.dtype} array of shape {array.shape}; give finite floats of shape '
                        '(classes, dimension).')
    array = array.astype(np.float32)  # half precision: squares of long vectors would overflow
    if count is not None:
        counts = [count] if isinstance(count, int) else list(dict.fromkeys(count))
        if array.shape[0] not in counts and array.shape[1] in counts:
            array = array.T
        if array.shape[0] not in counts:
            wanted = f'{counts[0]} classes were named' if len(counts) == 1 else (
                f'{counts[1]} classes by {counts[0]} names were named')
            raise DataError(f'{path} holds {array.shape[0]} embeddings, and {wanted}.')
    lengths = np.linalg.norm(array, axis=1)
    if not lengths.all():
        raise DataError(f'Row {int((lengths == 0).argmax())} of {path} is all zero; an embedding has a direction.')
    return F.normalize(torch.from_numpy(np.ascontiguousarray(array)), dim=-1)
