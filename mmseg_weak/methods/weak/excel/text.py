"""ExCEL's text side: class texts enriched by attributes (TSE).

The bank A (n,d) are the centres of k-means over the unit embeddings of sentences that describe the classes, 20 a class
in the paper, where a language model wrote them. They are a JSON file, class -> sentences, as the authors' own are; with
this project come ToyWorld's alone. For a class text t:

    r = A t;  the lowest tenth of r drops out;  e = softmax(r) A + t, unit length
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import DataError, MissingFileError
from mmseg_weak.models.prototypes import weighted_kmeans

__all__ = ['attribute_bank', 'enrich_texts', 'read_attributes']

_FOLDER = Path(__file__).resolve().parent / 'attributes'


def read_attributes(path: str | Path, num_classes: int | None = None) -> list[str]:
    """Sentences of all classes, in the file's order.

    Args:
        path: JSON file, ``{"horse": ["a clean origami horse. it has a mane.", ...], ...}``; 'toyworld' for the one
            that comes with the package. What the classes are called there does not matter.
        num_classes: how many classes it should describe.

    Raises:
        MissingFileError: there is no such file.
        DataError: it has another form, or describes another number of classes.
    """
    file = _FOLDER / f'{path}.json'
    file = file if file.is_file() else Path(path)
    if not file.is_file():
        raise MissingFileError(f'The attributes {path} do not exist: give a JSON file of sentences that describe each '
                               'class (configs/excel/README.md tells how to make one), or model.attributes=None for '
                               'plain names.')
    try:
        found = json.loads(file.read_text(encoding='utf-8'))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f'{file} is no JSON file ({error}); write {{"class": ["sentence", ...], ...}}.') from None
    if not isinstance(found, dict) or not found:
        raise DataError(f'{file} holds a {type(found).__name__}; write {{"class": ["sentence", ...], ...}}.')
    for name, sentences in found.items():
        if (not isinstance(sentences, list) or not sentences
                or not all(isinstance(text, str) and text.strip() for text in sentences)):
            raise DataError(f'{file} has no list of sentences for {name!r}; write one sentence or more for each class.')
    if num_classes is not None and len(found) != num_classes:
        raise DataError(f'{file} describes {len(found)} classes and the model has {num_classes} beside the background; '
                        'describe each of them.')
    return [' '.join(text.split()).lower() for sentences in found.values() for text in sentences]


def attribute_bank(sentences: Tensor, count: int = 112, seed: int = 0) -> Tensor:
    """Centres of the sentences, not brought to unit length.

    Args:
        sentences: (n,d) unit embeddings of the sentences of all classes.
        count: VOC: 112; COCO: 224.
        seed: of k-means.

    Returns:
        (count,d); fewer rows where there are fewer different sentences.
    """
    return weighted_kmeans(sentences, sentences.new_ones(len(sentences)), count, num_iter=300, seed=seed)


def enrich_texts(texts: Tensor, num_classes: int, bank: Tensor, keep: float = 0.9) -> Tensor:
    """Texts of the classes with what the bank knows of them.

    Args:
        texts: (n,d) unit vectors, classes first, then background words, which stay as they are.
        num_classes: how many are classes.
        bank: (m,d), see :func:`attribute_bank`.
        keep: share of the attributes that count for a class; int((1 - keep) m) drop out. Paper: 0.9.

    Returns:
        (n,d) unit vectors.
    """
    classes, words = texts[:num_classes], texts[num_classes:]
    scores = classes @ bank.T
    dropped = int((1 - keep) * len(bank))
    if dropped:
        lowest = scores.topk(dropped, largest=False).indices
        scores = scores.scatter(1, lowest, -torch.inf)
    return F.normalize(torch.cat([scores.softmax(1) @ bank + classes, words]), dim=1)
