"""ReCo as a segmentor: references out of an index, scores of two networks, and how a reference is made."""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.clip import ClassNames, KeptFeatures, max_over_names, middle
from mmseg_weak.models.clip.index_file import Index, check_same_network, need_index, probe_picture, read_index
from mmseg_weak.models.clip.kept import BUDGET
from mmseg_weak.models.segmentors import OpenVocabSegmentor

from .equations import MODES, position_weights, reference_feature, text_attention

__all__ = ['CONTEXTS', 'ReCo', 'ReCoFeatures', 'square']

CONTEXTS = ('tree', 'sky', 'building', 'road', 'person')
_COMMAND = 'mmseg-weak index reco CONFIG'


def square(images: Tensor, side: int) -> Tensor:
    """Short side to ``side`` (bicubic, antialiased), then its centre: (B,3,H,W) RGB, 0 to 255 -> (B,3,side,side)."""
    images = middle(images)
    height, width = images.shape[-2:]
    factor = side / min(height, width)
    size = max(round(height * factor), side), max(round(width * factor), side)
    if size != (height, width):
        images = F.interpolate(images.float(), size, mode='bicubic', align_corners=False, antialias=True)
        images = images.round_().clamp_(0, 255)
    top, left = ((n - side) // 2 for n in size)
    return images[..., top:top + side, left:left + side].float()


class _Attended(KeptFeatures):
    """sigma(scale cos) of patches."""

    def __init__(self, *args, scale: float) -> None:
        super().__init__(*args)
        self.scale = scale

    def low(self, texts: Tensor, part: slice = slice(None)) -> Tensor:
        """(n,names,h,w) in (0, 1)."""
        return (self.scale * super().low(texts, part)).sigmoid()


class ReCoFeatures(KeptFeatures):
    """What the encoder and dense CLIP see, each enlarged before they are multiplied.

    A row of ``texts`` is the embedding of a name and behind it its reference.

    Args:
        image: of the encoder.
        language: of dense CLIP; None leaves the factor out.
    """

    def __init__(self, image: _Attended, language: _Attended | None) -> None:
        self.__dict__.update(image.__dict__)
        self.image, self.language = image, language

    def bands(self, texts: Tensor, budget: int = BUDGET) -> Iterator[tuple[slice, Tensor]]:
        """Scores of names, see :meth:`.KeptFeatures.bands`."""
        width = texts.shape[1] - self.image.features.shape[1]
        shown = self.image.bands(texts[:, width:], budget)
        if self.language is None:
            yield from shown
            return
        for (rows, seen), (_, said) in zip(shown, self.language.bands(texts[:, :width], budget), strict=True):
            yield rows, seen * said

    def probs(self, cosines: Tensor, owner: Sequence[int], scale: float) -> Tensor:
        """Scores as they are, of a class its best name's; they lie in (0, 1) and do not sum to 1."""
        return max_over_names(cosines, owner, 0)


@MODELS.register_module()
class ReCo(OpenVocabSegmentor):
    """Masks of what pictures of a name have in common; see the package.

    ``clip`` is the dense CLIP. Settings ``scale`` of ``test_cfg`` does not matter: the scores have none.

    Args:
        encoder: config of the backbone whose last map is X; it sees ImageNet's normalisation. Paper: DeiT-S/16-SIN.
        index: file of ``mmseg-weak index reco``, read when a mask is asked for.
        retrieval: config of the :class:`.OpenCLIP` that compares bank and names; None: ``clip``. Used by the command
            alone. Paper: ViT-L-14-336.
        contexts: context classes in their order.
        same_as: names that take another name's reference.
        count: pictures of a name. Paper: 50.
        mode: see :func:`.combine_seeds`.
        picture_px: side of the squares that retrieved pictures are cut to. Paper: 224.
        text_scale: of the cosines with dense CLIP. Paper: 10.
        language: multiply the scores with what dense CLIP sees.
        as_published: see the package's docstring.
        kwargs: of :class:`.OpenVocabSegmentor`. ``crf`` looks at softmax(scores) over all classes.

    Raises:
        ConfigError: an unknown mode, or a refiner of cosines.
    """

    def __init__(self, encoder: dict, index: str | None = None, retrieval: dict | None = None,
                 contexts: Iterable[str] = CONTEXTS, same_as: Mapping[str, str] | None = None, count: int = 50,
                 mode: str = 'avg', picture_px: int = 224, text_scale: float = 10.0, language: bool = True,
                 as_published: bool = False, **kwargs) -> None:
        super().__init__(as_published=as_published, **kwargs)
        if mode not in MODES:
            raise ConfigError(f"model.mode={mode!r} of ReCo's reference is none of {', '.join(MODES)}.")
        if self.refiner is not None:
            raise ConfigError('model.refiner refines cosines, and ReCo multiplies sigmoids; use model.crf.')
        self.encoder = MODELS.build(encoder).requires_grad_(False).eval()
        self.encoder.init_weights()
        self.index, self.retrieval, self.contexts = index, retrieval, tuple(contexts)
        self.same_as = dict(dict(vegetation='tree') if same_as is None else same_as)
        self.count, self.mode, self.picture_px, self.text_scale = count, mode, picture_px, text_scale
        self.language, self.as_published = language, as_published
        self._references: dict[str, Tensor] | None = None

    # ---- the image's side -----------------------------------------------------------------------------------------

    def encode_shape(self, windows: Tensor) -> Tensor:
        """X: windows normalised for CLIP -> (n,c,h,w) of the encoder, not normalised."""
        maps = self.encoder(self.for_imagenet(windows))
        return maps[-1] if isinstance(maps, (list, tuple)) else maps

    def encode(self, windows: Tensor) -> Tensor:
        """Unit features of dense CLIP."""
        return self.clip.encode_dense(self.for_imagenet(windows) if self.as_published else windows)

    @torch.no_grad()
    def keep(self, images: list[Tensor], originals: list[tuple[int, int]] | None = None) -> list[KeptFeatures]:
        """See :class:`.OpenVocabSegmentor`."""
        originals = originals or [tuple(image.shape[-2:]) for image in images]
        small = [self.resized(image) for image in images]
        shown = self.keep_windows(small, originals, lambda x: F.normalize(self.encode_shape(x).float(), dim=1),
                                  lambda *args: _Attended(*args, scale=1.0))
        if not self.language:
            return [ReCoFeatures(image, None) for image in shown]
        said = self.keep_windows(small, originals, self.encode, lambda *args: _Attended(*args, scale=self.text_scale))
        return [ReCoFeatures(image, language) for image, language in zip(shown, said)]

    # ---- the names' side ------------------------------------------------------------------------------------------

    def read(self) -> Index:
        """The index.

        Raises:
            ConfigError, MissingFileError, DataError: none is named, it is not there, it is no index of ReCo.
            CheckpointError: it was made with other networks.
        """
        path = need_index(self.index, 'model.index', _COMMAND)
        index = read_index(path, 'reco', _COMMAND)
        for what, now in self.probes().items():
            check_same_network(index.tensors[what], now, path, what.replace('_', ' '), _COMMAND)
        made = index.meta['settings']
        wrong = [f'{key}={made.get(key)!r} (now {value!r})' for key, value in self.settings().items()
                 if made.get(key) != value]
        if wrong:
            raise DataError(f'{path} was made with {", ".join(wrong)}; make it anew with `{_COMMAND} --overwrite`, or '
                            'set model back.')
        return index

    @torch.no_grad()
    def probes(self) -> dict[str, Tensor]:
        """What the networks say about a fixed picture and sentence; an index keeps it."""
        picture = self.for_clip(probe_picture(self.picture_px).to(self.clip.logit_scale.device))
        return dict(encoder=self.encode_shape(picture).float().mean((0, 2, 3)),
                    dense_clip=self.clip.text.encode_texts(['a photo of a dog.'])[0])

    def settings(self) -> dict:
        """What references depend on besides networks and pictures."""
        return dict(contexts=list(self.contexts), count=self.count, mode=self.mode, picture_px=self.picture_px,
                    text_scale=self.text_scale, as_published=self.as_published)

    def references(self, names: Iterable[str]) -> Tensor:
        """(n,c) unit vectors of names.

        Raises:
            DataError: the index has none of a name; and see :meth:`read`.
        """
        if self._references is None:
            index = self.read()
            self._references = dict(zip(index.texts['names'], index.tensors['references']))
        names = [self.same_as.get(name, name) for name in names]
        missing = [name for name in names if name not in self._references]
        if missing:
            raise DataError(f'{self.index} has no reference of {", ".join(map(repr, missing[:5]))}'
                            f'{f" and {len(missing) - 5} more" if len(missing) > 5 else ""}; add what is missing with '
                            f'`{_COMMAND} --text "{"; ".join(missing[:5])}" --out {Path(self.index)}`.')
        return torch.stack([self._references[name] for name in names]).to(self.clip.logit_scale.device)

    def texts(self, names: ClassNames | None = None) -> Tensor:
        """(n,d+c): embeddings of names for dense CLIP, and behind them their references."""
        names = names or self.names
        return torch.cat([super().texts(names), self.references(names.names)], 1)

    @torch.no_grad()
    def label(self, kept: KeptFeatures, names: ClassNames | None = None, image: Tensor | None = None,
              **settings) -> tuple[Tensor, Tensor]:
        """See :class:`.OpenVocabSegmentor`; the CRF starts from softmax(scores) over all classes."""
        if self.crf is None or image is None:
            return super().label(kept, names, None, **settings)
        probs = self.crf(self.class_scores(kept, names).softmax(0)[None], image[None])[0]
        best, labels = probs.max(0)
        return labels.masked_fill(best < settings.get('prob_thr', self.test_cfg['prob_thr']), 0), best

    # ---- making references ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def reference(self, pictures: Tensor, name: str, contexts: Sequence[Tensor] = ()) -> Tensor:
        """The reference of a name, steps 4 and 5 of the method.

        Args:
            pictures: (n,3,picture_px,picture_px) RGB, 0 to 255, best first.
            name: what they should show.
            contexts: references (c,) of the context classes that count.

        Returns:
            (c,) of unit length, on the CPU.
        """
        windows = self.for_clip(pictures)
        batch = self.test_cfg['window_batch']
        features = torch.cat([self.encode_shape(part).float() for part in windows.split(batch)])
        dense = torch.cat([self.encode(part) for part in windows.split(batch)])
        text = self.clip.encode_names([name])
        seen = text_attention(dense, text, tuple(features.shape[-2:]), self.text_scale)[:, 0]
        context = torch.stack(list(contexts)).to(features) if len(contexts) else None
        weights = position_weights(features, seen, context)
        return reference_feature(features, weights, self.mode, self.as_published)[0].cpu()

    def make_references(self, names: Iterable[str], pictures: Callable[[str], Tensor],
                        known: Mapping[str, Tensor] | None = None) -> Iterator[tuple[str, Tensor]]:
        """References of names, those of the context classes first.

        Args:
            names: whose reference is wanted.
            pictures: a name's retrieved pictures, see :meth:`reference`.
            known: references that are there.

        Yields:
            a name and its reference, for each that was not known.
        """
        known = dict(known or {})
        wanted = [*self.contexts, *(self.same_as.get(name, name) for name in names)]
        for name in dict.fromkeys(wanted):
            if name not in known:
                before = self.contexts[:self.contexts.index(name)] if name in self.contexts else self.contexts
                known[name] = self.reference(pictures(name), name, [known[context] for context in before])
                yield name, known[name]
