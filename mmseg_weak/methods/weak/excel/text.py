"""ExCEL's text side: class texts enriched by attributes (TSE).

The bank A (n,d) are the centres of k-means over the unit embeddings of sentences that describe the classes, 20 a class,
which a language model wrote; they are an input file and none come with this project. For a class text t:

    r = A t;  the lowest tenth of r drops out;  e = softmax(r) A + t, unit length
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.prototypes import weighted_kmeans

__all__ = ['attribute_bank', 'enrich_texts']


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
