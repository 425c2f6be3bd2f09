"""OVDiff as a segmentor: prototypes out of an index, scores of several feature spaces and window sizes."""
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.clip import ClassNames, KeptFeatures, max_over_names
from mmseg_weak.models.clip.index_file import Index, check_same_network, need_index, probe_picture, read_index
from mmseg_weak.models.clip.kept import BUDGET, keep_features, resize_matrix
from mmseg_weak.models.segmentors import OpenVocabSegmentor

from .equations import (
    ClassPrototypes,
    Prototypes,
    best_subset,
    gather_prototypes,
    likely_classes,
    prototype_scores,
    upsample_scores,
)

__all__ = ['OVDiff', 'OVDiffFeatures']

_COMMAND = 'mmseg-weak index ovdiff CONFIG'
_KEPT_SENTENCES = 200_000
_KEPT_BANKS = 8


class _Windows(KeptFeatures):
    """Features of windows of one size in one feature space."""

    def summed(self, bank: Prototypes, allowed: Tensor) -> Tensor:
        """Scores added up over the windows that see a pixel, (K+1,h,w)."""
        low = [upsample_scores(prototype_scores(one[None], bank, allowed[None]), one.shape[-2:])[0]
               for one in self.features]
        return self._cut_rows(lambda i: low[i], len(allowed) + 1, 0, self.size[0]) * self.hits


class OVDiffFeatures(KeptFeatures):
    """All that is kept of an image; names may change, features do not.

    Args:
        parts: windows and the number of their feature space.
        image: (3,h,w) RGB, 0 to 255, as it was cut.
        whole: (d,) unit vector of the image by CLIP.
        original: (H, W) of the image that labels are wanted for.
    """

    def __init__(self, parts: Sequence[tuple[int, _Windows]], image: Tensor, whole: Tensor,
                 original: tuple[int, int]) -> None:
        self.parts, self.image, self.whole = list(parts), image, whole
        self.size, self.original, self.features = tuple(image.shape[-2:]), tuple(original), parts[0][1].features

    def scores(self, banks: Sequence[Prototypes], allowed: Tensor) -> Tensor:
        """Mean over windows and feature spaces at the size that was cut: background and names, (K+1,h,w)."""
        total = sum(part.summed(banks[space], allowed) for space, part in self.parts)
        return total / sum(part.hits for _, part in self.parts)


@MODELS.register_module()
class OVDiff(OpenVocabSegmentor):
    """Masks by the nearest prototype; see the package.

    ``clip`` finds the classes that an image may show and, where an extractor asks for it, gives keys. A class 0
    'background' is what looks like the background of the other classes' support pictures, whatever its words; without
    one each pixel gets a class. Of ``test_cfg`` only the sides and ``window_batch`` matter.

    Args:
        extractors: configs of feature spaces, see :mod:`.extractors`.
        index: file of ``mmseg-weak index ovdiff``, read when a mask is asked for.
        stuff: names that are no countable things: they give no background and are always looked for.
        windows: sides and strides of the windows; the whole image is one, too. Paper: 448 and 336 at 224.
        prefilter: look for the classes alone that CLIP finds in the image.
        top: see :func:`.likely_classes`. Paper: 10.
        bg_thr, context: see :func:`.gather_prototypes`. Paper: 0.85.
        score_thr: scores up to it count as 0. Paper: 0.
        clip_px: side of the square that CLIP sees. Paper: 224.
        count: support pictures of a name. Paper: 32.
        support_px: side of the square that they are squeezed to. Paper: 512.
        num_parts: k-means centres of a name. Paper: 32.
        proposals: where masks of support pictures come from that have none: 'clusters' (connected parts of k-means
            clusters of the last feature space, for the published CutLER) or None (the heat map alone).
        kwargs: of :class:`.OpenVocabSegmentor`; ``refiner`` (PAMR) refines the scores of the image as it is cut.

    Raises:
        ConfigError: no feature space, two of one name, or unknown proposals.
    """

    def __init__(self, extractors: Sequence[dict], index: str | None = None, stuff: Iterable[str] = (),
                 windows: Sequence[tuple[int, int]] = ((448, 224), (336, 224)), prefilter: bool = True, top: int = 10,
                 bg_thr: float = 0.85, context: bool = True, score_thr: float = 0.0, clip_px: int = 224,
                 count: int = 32, support_px: int = 512, num_parts: int = 32, proposals: str | None = 'clusters',
                 **kwargs) -> None:
        super().__init__(**kwargs)
        self.extractors = nn.ModuleList(MODELS.build(one) for one in extractors)
        spaces = [one.name for one in self.extractors]
        if not spaces or len(set(spaces)) < len(spaces):
            raise ConfigError(f'model.extractors are {spaces}; give one feature space or more, each once.')
        if proposals not in ('clusters', None):
            raise ConfigError(f"model.proposals={proposals!r} of OVDiff; it is 'clusters' or None.")
        self.index, self.stuff, self.windows = index, frozenset(stuff), [tuple(pair) for pair in windows]
        self.prefilter, self.top, self.bg_thr, self.context = prefilter, top, bg_thr, context
        self.score_thr, self.clip_px, self.count, self.num_parts = score_thr, clip_px, count, num_parts
        self.support_px, self.proposals = support_px, proposals
        self._index: Index | None = None
        self._banks: OrderedDict[tuple[str, ...], list[Prototypes]] = OrderedDict()
        self._sentences: dict[str, Tensor] = {}

    # ---- the image's side -----------------------------------------------------------------------------------------

    def whole(self, image: Tensor) -> Tensor:
        """(3,h,w) RGB, 0 to 255 -> (d,) unit vector of the image, squeezed into a square."""
        side = (self.clip_px, self.clip_px)
        square = F.interpolate(image[None].float(), side, mode='bicubic', align_corners=False, antialias=True)
        return self.clip.encode_image(self.for_clip(square))[0]

    @torch.no_grad()
    def keep(self, images: list[Tensor], originals: list[tuple[int, int]] | None = None) -> list[KeptFeatures]:
        """See :class:`.OpenVocabSegmentor`."""
        originals = originals or [tuple(image.shape[-2:]) for image in images]
        kept = []
        for image, original in zip(images, originals):
            small, parts = self.resized(image), []
            for space, extractor in enumerate(self.extractors):
                for side, stride in (*self.windows, (None, None)):
                    parts += [(space, part) for part in keep_features(
                        small[None], lambda x, extractor=extractor: extractor(x, self.clip), side, stride, None,
                        self.test_cfg['window_batch'], kind=_Windows)]
            kept.append(OVDiffFeatures(parts, small, self.whole(small), original))
        return kept

    # ---- the names' side ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def probes(self) -> dict[str, Tensor]:
        """What each feature space says about a fixed picture; an index keeps it."""
        picture = probe_picture().to(self.clip.logit_scale.device)
        return {f'{one.name}.probe': one(picture, self.clip).mean((0, 2, 3)) for one in self.extractors}

    def read(self) -> Index:
        """The index, read once.

        Raises:
            ConfigError, MissingFileError, DataError: none is named, it is not there, it is no index of OVDiff or lacks
                a feature space.
            CheckpointError: it was made with other networks.
        """
        if self._index is None:
            path = need_index(self.index, 'model.index', _COMMAND)
            index = read_index(path, 'ovdiff', _COMMAND)
            for name, now in self.probes().items():
                if name not in index.tensors:
                    raise DataError(f'{path} has no prototypes of the feature space {name.split(".")[0]!r}; '
                                    f'`{_COMMAND} --overwrite` makes them.')
                check_same_network(index.tensors[name], now, path, f'feature extractor {name.split(".")[0]!r}',
                                   _COMMAND)
            self._index = index
        return self._index

    def banks(self, names: Sequence[str]) -> list[Prototypes]:
        """Prototypes of names in each feature space.

        Raises:
            DataError: the index has none of a name; and see :meth:`read`.
        """
        key = tuple(names)
        if key not in self._banks:
            index = self.read()
            known = {name: number for number, name in enumerate(index.texts['names'])}
            missing = [name for name in names if name not in known]
            if missing:
                raise DataError(f'{self.index} has no prototypes of {", ".join(map(repr, missing[:5]))}'
                                f'{f" and {len(missing) - 5} more" if len(missing) > 5 else ""}; add what is missing '
                                f'with `{_COMMAND} --text "{"; ".join(missing[:5])}" --out {self.index}`.')
            device, banks = self.clip.logit_scale.device, []
            for one in self.extractors:
                rows = [_split(index, f'{one.name}.{kind}') for kind in ('fg', 'bg')]
                classes = [ClassPrototypes(*(group[known[name]] for group in rows)) for name in names]
                bank = gather_prototypes(classes, [name in self.stuff for name in names], self.bg_thr, self.context)
                banks.append(Prototypes(*(part.to(device) for part in bank)))
            self._banks[key] = banks
            while len(self._banks) > _KEPT_BANKS:
                self._banks.popitem(last=False)
        self._banks.move_to_end(key)
        return self._banks[key]

    @torch.no_grad()
    def sentences(self, texts: Sequence[str]) -> Tensor:
        """(n,d) unit vectors of sentences, which are remembered: the same subsets come again."""
        new = [text for text in dict.fromkeys(texts) if text not in self._sentences]
        if new:
            if len(self._sentences) > _KEPT_SENTENCES:
                self._sentences.clear()
                new = list(dict.fromkeys(texts))
            self._sentences.update(zip(new, F.normalize(self.clip.text.encode_texts(new), dim=1).cpu()))
        return torch.stack([self._sentences[text] for text in texts]).to(self.clip.logit_scale.device)

    def allowed(self, whole: Tensor, names: Sequence[str]) -> Tensor:
        """(K,) bool: names that are looked for in an image."""
        found = torch.ones(len(names), dtype=torch.bool, device=whole.device)
        things = [number for number, name in enumerate(names) if name not in self.stuff]
        if not self.prefilter or not things:
            return found
        likely = likely_classes(self.sentences([f'a {names[i]}' for i in things]) @ whole, self.top)
        candidates = [things[i] for i in likely]
        best = best_subset(whole, [names[i] for i in candidates], self.sentences)
        found[things] = False
        found[[candidates[i] for i in best]] = True
        return found

    def _objects(self, names: ClassNames) -> tuple[bool, list[str], list[int]]:
        """Whether there is a background, the names that are looked for, and their classes."""
        background = names.classes[0] == 'background'
        pairs = [(name, owner) for name, owner in zip(names.names, names.owner) if owner or not background]
        if not pairs:
            raise DataError('OVDiff looks for objects, and only a background was named; name at least one thing.')
        return background, [name for name, _ in pairs], [owner for _, owner in pairs]

    def score_map(self, kept: OVDiffFeatures, names: ClassNames) -> Tensor:
        """(classes,h,w) scores in [-1, 1] at the size that was cut."""
        background, objects, owner = self._objects(names)
        banks = self.banks(objects)
        scores = kept.scores(banks, self.allowed(kept.whole, objects))
        classes = max_over_names(scores[1:], [n - owner[0] for n in owner], 0)
        if background:
            classes = torch.cat([scores[:1], classes])
        if self.refiner is not None:
            classes = self.refiner(classes[None], kept.image[None].float())[0]
        return classes

    # ---- labels ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def label(self, kept: OVDiffFeatures, names: ClassNames | None = None, image: Tensor | None = None,
              **settings) -> tuple[Tensor, Tensor]:
        """See :class:`.OpenVocabSegmentor`; what takes the place of a probability is the score, at least 0."""
        names = names or self.names
        low = self.score_map(kept, names)
        prob_thr = settings.get('prob_thr', self.test_cfg['prob_thr'])
        if self.crf is not None and image is not None:
            probs = self.crf(self._enlarged(low, kept.original).softmax(0)[None], image[None])[0]
            best, labels = probs.max(0)
        else:
            height, width = kept.original
            labels = torch.empty(height, width, dtype=torch.long, device=low.device)
            best = torch.empty(height, width, device=low.device)
            step = max(1, BUDGET // max(1, len(low) * width))
            for y in range(0, height, step):
                rows = slice(y, min(y + step, height))
                scores = self._enlarged(low, kept.original, rows)
                best[rows], labels[rows] = scores.masked_fill(scores <= self.score_thr, 0).max(0)
        return labels.masked_fill(best < prob_thr, 0) if prob_thr > 0 else labels, best

    @staticmethod
    def _enlarged(low: Tensor, original: tuple[int, int], rows: slice = slice(None)) -> Tensor:
        """Some rows of (K,h,w) at the original size."""
        if rows == slice(None) and tuple(low.shape[-2:]) == original:
            return low
        down = resize_matrix(original[0], low.shape[-2], rows, low.device)
        across = resize_matrix(original[1], low.shape[-1], device=low.device)
        return down @ low @ across.T

    @torch.no_grad()
    def class_scores(self, kept: OVDiffFeatures, names: ClassNames | None = None) -> Tensor:
        """(classes,H,W) scores in [-1, 1]."""
        return self._enlarged(self.score_map(kept, names or self.names), kept.original)

    def knows(self, names: ClassNames) -> bool:
        """Whether the prototypes of names are in memory."""
        return tuple(self._objects(names)[1]) in self._banks


def _split(index: Index, key: str) -> list[Tensor]:
    """Rows of each name."""
    return list(index.tensors[key].float().split(index.tensors[f'{key}_counts'].tolist()))
