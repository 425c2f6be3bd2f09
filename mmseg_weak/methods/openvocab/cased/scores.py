"""Captions of an image, and scores of the words in them."""
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

__all__ = ['candidate_probs', 'distinct_captions', 'nearest_captions', 'neighbour_probs']

SCALE = 1 / 0.07  # the classifier's own, not CLIP's 100


def nearest_captions(database: Tensor, images: Tensor, count: int = 10, block: int = 1 << 20) -> Tensor:
    """Rows of a database nearest to each image, by inner product, best first.

    Args:
        database: (N,d) unit vectors; read in blocks, so it may be a file mapped into memory.
        images: (B,d) unit vectors.
        count: paper: 10.
        block: rows at a time.

    Returns:
        (B,count) long.
    """
    scores, rows = [], []
    for start in range(0, len(database), block):
        part = images @ database[start:start + block].to(images).T
        top = part.topk(min(count, part.shape[1]), dim=1)
        scores.append(top.values)
        rows.append(top.indices + start)
    best = torch.cat(scores, 1).topk(min(count, len(database)), dim=1).indices
    return torch.cat(rows, 1).gather(1, best)


def distinct_captions(embeddings: Tensor, thr: float = 0.94) -> list[int]:
    """The first of each group of captions that resemble each other, directly or by way of others.

    Args:
        embeddings: (n,d) unit vectors.
        thr: cosine from which two belong together. Paper: 0.94.
    """
    near = (embeddings @ embeddings.T >= thr).cpu().numpy()
    _, groups = connected_components(csr_array(near), directed=False)
    return sorted(np.unique(groups, return_index=True)[1].tolist())


def neighbour_probs(query: Tensor, supports: Tensor, mask: Tensor | None = None, scale: float = SCALE,
                    temperature: float = 1.0) -> Tensor:
    """softmax over words of scale cos / temperature.

    Args:
        query: (B,d), any length.
        supports: (n,d) words, any length, or (views,n,d), whose unit vectors are averaged first.
        mask: (B,n), 1 for the words of each image; the others come back 0. None: all.
        scale: 1 / 0.07.
        temperature: divides the scaled cosines.

    Returns:
        (B,n).
    """
    supports = F.normalize(supports, dim=-1)
    if supports.dim() == 3:
        supports = F.normalize(supports.mean(0), dim=-1)
    logits = scale * F.normalize(query, dim=-1) @ supports.T / temperature
    if mask is not None:
        logits = logits.masked_fill(~mask.bool(), -torch.inf)
    return logits.softmax(-1)


def candidate_probs(images: Tensor, captions: Tensor, captions_per_image: Sequence[int], words: Tensor,
                    words_per_image: Sequence[int], alpha: float = 0.7, scale: float = SCALE,
                    temperature: float = 1.0) -> Tensor:
    """Scores of each image's own words.

    Args:
        images: (B,d).
        captions: (n,d) of all images, one image after another; unfiltered.
        captions_per_image: B numbers.
        words: (m,d) likewise.
        words_per_image: B numbers.
        alpha: share of the image; the rest is its captions'. Paper: 0.7.
        scale, temperature: of :func:`neighbour_probs`.

    Returns:
        (B,m), 0 for other images' words.
    """
    means = torch.stack([F.normalize(part, dim=-1).mean(0) for part in captions.split(list(captions_per_image))])
    owner = torch.repeat_interleave(torch.as_tensor(words_per_image, device=words.device))
    mask = owner[None] == torch.arange(len(images), device=words.device)[:, None]
    seen, said = (neighbour_probs(query, words, mask, scale, temperature) for query in (images, means))
    return alpha * seen + (1 - alpha) * said
