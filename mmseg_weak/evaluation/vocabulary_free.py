"""How well free words name the regions or the class of an image.

CaSED, arXiv 2404.10864; altndrr/vicss @ 5fb469d (MIT).

A predicted region has a word; a class has one or more names. What the word stands for is decided in four ways:

    hard     the class that is called so, else the background
    overlap  the class with which the region shares most pixels
    nearest  the class of this image whose name is most similar to the word
    soft     no class: the word's similarity with a class is how much of each pixel counts for it

IoU of 'overlap', 'nearest' and 'soft' is that of each image and class it shows, averaged over the images of a class,
then over classes; 'hard' adds pixels up over all images first. The background is not averaged.
"""
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS, MODELS
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.clip import ClassNames, max_over_names, named_classes

__all__ = ['MODES', 'VocabularyFreeIoU', 'VocabularyFreeTags', 'cluster_accuracy', 'overlap_classes', 'region_scores',
           'word_iou']

MODES = ('hard', 'overlap', 'nearest', 'soft')


class _Sentences:
    """Similarity of words, by the text tower of a CLIP or by Sentence-BERT."""

    def __init__(self, encoder: dict | str | None) -> None:
        self.encoder, self._kept = encoder, {}
        self._encode = None

    def _load(self) -> None:
        if self.encoder is None:
            raise ConfigError("The metric compares words by meaning and has no `encoder`; give the config's "
                              "model.clip, or 'sentence-transformers/all-mpnet-base-v2' where it is installed.")
        if isinstance(self.encoder, str):
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise ConfigError(f'encoder={self.encoder!r} needs sentence-transformers, which is not installed '
                                  f'({error}); give the config of a CLIP instead.') from error
            model = SentenceTransformer(self.encoder)
            self._encode = lambda words: torch.from_numpy(model.encode(words))
        else:
            text = MODELS.build(self.encoder).text
            self._encode = lambda words: text.encode_texts([text.templates[0].replace('{}', word) for word in words])

    def __call__(self, words: Iterable[str]) -> Tensor:
        """(n,d) unit vectors, on the CPU."""
        words = list(words)
        new = list(dict.fromkeys(word for word in words if word not in self._kept))
        if new:
            if self._encode is None:
                self._load()
            self._kept.update(zip(new, F.normalize(self._encode(new).float().cpu(), dim=1)))
        return torch.stack([self._kept[word] for word in words])


def overlap_classes(regions: np.ndarray, truth: np.ndarray, num_regions: int, num_classes: int) -> np.ndarray:
    """The class with which each region shares most pixels, ties to the lower class.

    Args:
        regions: (n,) region of each counted pixel.
        truth: (n,) class of it.

    Returns:
        (num_regions,) int64.
    """
    counts = np.bincount(regions * num_classes + truth, minlength=num_regions * num_classes)
    return counts.reshape(num_regions, num_classes).argmax(1)


def region_scores(labels: np.ndarray, truth: np.ndarray, scores: np.ndarray, classes: Iterable[int]
                  ) -> list[tuple[int, float, float]]:
    """Intersection and union of each class with pixels that count by a score.

    Args:
        labels: (n,) region of each counted pixel.
        truth: (n,) class.
        scores: (regions,classes) in [0, 1]: how much a region's pixels count for a class.
        classes: wanted.

    Returns:
        (class, intersection, union) each.
    """
    out = []
    for label in classes:
        value, mine = scores[:, label][labels], truth == label
        hit = float(value[mine].sum())
        out.append((label, hit, float(value.sum()) + float(mine.sum()) - hit))
    return out


def word_iou(one: str, other: str) -> float:
    """Share of the words of two names that both have.

    >>> word_iou('traffic light', 'light')
    0.5
    """
    first, second = (set(re.findall(r'[a-z0-9]+', text.lower())) for text in (one, other))
    return len(first & second) / max(len(first | second), 1)


def cluster_accuracy(words: Sequence[str], classes: Sequence[int]) -> float:
    """Share of images that are right when words and classes are matched one to one in the best way."""
    names, labels = sorted(set(words)), sorted(set(classes))
    counts = np.zeros((len(names), len(labels)), np.int64)
    for (word, label), count in Counter(zip(words, classes)).items():
        counts[names.index(word), labels.index(label)] = count
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / max(len(words), 1))


class _Named(BaseMetric):
    """A metric that knows the names of classes."""

    def __init__(self, encoder: dict | str | None = None, names: str | Iterable[str] | None = None,
                 background: str | Iterable[str] | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.sentences = _Sentences(encoder)
        self.names = None if names is None else named_classes(names, background)

    def classes(self) -> ClassNames:
        """Names of the dataset's classes, or those that were given."""
        shown = self.dataset_meta['classes']
        if self.names is None:
            return ClassNames(tuple(shown), tuple(name.lower() for name in shown), tuple(range(len(shown))))
        if len(self.names.classes) != len(shown):
            raise ConfigError(f'The metric has names of {len(self.names.classes)} classes and the dataset has '
                              f'{len(shown)}; name each class, the background too where there is one.')
        return self.names

    def similarities(self, words: Sequence[str]) -> Tensor:
        """(words,classes) cosines of words with the best name of a class, at least 0."""
        named = self.classes()
        cosines = self.sentences(words) @ self.sentences(named.names).T
        return max_over_names(cosines, named.owner).clamp(min=0)


def _words(sample: dict) -> list[str]:
    if 'words' not in sample:
        raise DataError(f"{sample.get('img_path', 'An image')} came without words; this metric is for models that name "
                        'what they see, such as CaSED.')
    return list(sample['words'])


@METRICS.register_module()
class VocabularyFreeIoU(_Named):
    """``hard_mIoU``, ``overlap_mIoU``, ``nearest_mIoU``, ``soft_mIoU`` in percent, see the module.

    Takes ``pred_sem_seg``, indices of the sample's metainfo ``words``, and ``gt_sem_seg``.

    Args:
        encoder: what compares words: config of an :class:`.OpenCLIP`, or the name of a model of sentence-transformers
            (published: Sentence-BERT). Without it 'nearest' and 'soft' are refused.
        modes: of the four.
        names, background: names of the classes, see :func:`.named_classes`; the dataset's by default.
        background_index: the class that is not averaged and takes unknown words; None: there is none.
        ignore_index: unknown pixels. With a background they do not count; without one they count as background, as in
            the published masks, whose 0 is unlabelled.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        ConfigError: an unknown mode, or no encoder where one is needed.
        DataError: a model that gives no words, or masks with values that are no class.
    """

    def __init__(self, encoder: dict | str | None = None, modes: Sequence[str] = MODES,
                 names: str | Iterable[str] | None = None, background: str | Iterable[str] | None = None,
                 background_index: int | None = 0, ignore_index: int = 255, **kwargs) -> None:
        super().__init__(encoder, names, background, **kwargs)
        wrong = [mode for mode in modes if mode not in MODES]
        if wrong:
            raise ConfigError(f'modes of VocabularyFreeIoU: {wrong[0]!r} is none of {", ".join(MODES)}.')
        if encoder is None and {'nearest', 'soft'} & set(modes):
            raise ConfigError("modes 'nearest' and 'soft' of VocabularyFreeIoU compare words by meaning: give "
                              "`encoder`, or modes=('hard', 'overlap').")
        self.modes, self.background_index, self.ignore_index = tuple(modes), background_index, ignore_index

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Count the pixels of each image."""
        for sample in data_samples:
            words = _words(sample)
            regions = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy().ravel()
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy().ravel().astype(np.int64)
            self.results.append(self.count(words, regions, truth, str(sample.get('img_path', 'an image'))))

    def count(self, words: Sequence[str], regions: np.ndarray, truth: np.ndarray, path: str) -> dict:
        """Counts of an image, by mode."""
        classes, nothing = len(self.dataset_meta['classes']), self.background_index
        if nothing is None:  # unlabelled pixels are a class behind the others
            nothing = classes
            truth = np.where(truth == self.ignore_index, nothing, truth)
        else:
            known = truth != self.ignore_index
            regions, truth = regions[known], truth[known]
        total = max(classes, nothing + 1)
        if len(truth) and truth.max() >= total:
            raise DataError(f'The mask of {path} holds {int(truth.max())}, and there are {classes} classes.')
        present = sorted(set(np.unique(truth).tolist()))
        shown = [label for label in present if label != nothing]
        found: dict = {}
        for mode in self.modes:
            scores = self._scores(mode, words, regions, truth, present, total, nothing)
            wanted = range(total) if mode == 'hard' else shown
            found[mode] = region_scores(regions, truth, scores, (label for label in wanted if label != nothing))
        return found

    def _scores(self, mode: str, words: Sequence[str], regions: np.ndarray, truth: np.ndarray, present: Sequence[int],
                total: int, nothing: int) -> np.ndarray:
        """(regions,classes): how much a region counts for a class."""
        if mode == 'soft':
            cosines = self.similarities(words).numpy()
            return np.pad(cosines, ((0, 0), (0, total - cosines.shape[1])))
        if mode == 'overlap':
            chosen = overlap_classes(regions, truth, len(words), total)
        elif mode == 'nearest':
            cosines = self.similarities(words).numpy()
            cosines = np.pad(cosines, ((0, 0), (0, total - cosines.shape[1])))
            absent = np.setdiff1d(np.arange(total), present)
            cosines[:, absent] = 0
            chosen = cosines.argmax(1)
        else:
            named = self.classes()
            owner = {name.lower(): label for name, label in zip(named.names, named.owner)}
            chosen = np.array([owner.get(word.lower(), nothing) for word in words])
        return np.eye(total)[chosen]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Means over classes."""
        out = {}
        for mode in self.modes:
            hits: dict[int, list[tuple[float, float]]] = {}
            for image in results:
                for label, hit, union in image[mode]:
                    hits.setdefault(label, []).append((hit, union))
            if mode == 'hard':
                sums = [np.sum(pairs, 0) for pairs in hits.values()]
                means = [hit / union for hit, union in sums if union > 0]
            else:
                means = [np.mean([hit / union for hit, union in pairs]) for pairs in hits.values()]
            out[f'{mode}_mIoU'] = 100 * float(np.mean(means)) if means else float('nan')
        return out


@METRICS.register_module()
class VocabularyFreeTags(_Named):
    """How well the first word of an image names its class: ``word_iou``, ``similarity``, ``cluster_accuracy``, percent.

    Takes the sample's metainfo ``tags`` (or ``words``) and ``gt_image_label`` with one class, over the dataset's
    classes without the background.

    Args:
        encoder, names, background: as of :class:`VocabularyFreeIoU`; without ``encoder`` there is no ``similarity``.
        **kwargs: of mmengine's ``BaseMetric``.

    Raises:
        DataError: an image without a class, or with several.
    """

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Note the first word and the class."""
        for sample in data_samples:
            label = sample.get('gt_image_label')
            tags = sample.get('tags')
            word = tags[0][0] if tags else _words(sample)[0]
            if label is None or int((label > 0).sum()) != 1:
                found = 'no tags' if label is None else f'{int((label > 0).sum())} tags'
                raise DataError(f"{sample.get('img_path', 'An image')} came with {found}; this metric wants one class "
                                'an image.')
            behind = len(self.dataset_meta['classes']) - label.numel()  # the background
            self.results.append((word, int(label.argmax()) + behind))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Means over images."""
        named = self.classes()
        by_class = [[n for n, owner in zip(named.names, named.owner) if owner == k] for k in range(len(named.classes))]
        words, labels = [word for word, _ in results], [label for _, label in results]
        overlap = np.mean([max(word_iou(word, name) for name in by_class[label]) for word, label in results])
        out = dict(word_iou=100 * float(overlap), cluster_accuracy=100 * cluster_accuracy(words, labels))
        if self.sentences.encoder is not None:
            cosines = self.similarities(words)
            out['similarity'] = 100 * float(cosines[torch.arange(len(labels)), torch.tensor(labels)].mean())
        return out
