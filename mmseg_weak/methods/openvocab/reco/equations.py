"""ReCo's equations as plain functions; the formulas are in the package's docstring."""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError

__all__ = ['MODES', 'combine_seeds', 'context_weights', 'find_seeds', 'position_weights', 'reco_scores',
           'reference_feature', 'retrieve', 'text_attention']

MODES = ('avg', 'weighted', 'winner')


def retrieve(bank: Tensor, text: Tensor, count: int = 50) -> Tensor:
    """Indices of the pictures most similar to a text, best first: (N,d), (d,) unit vectors -> (count,) long."""
    return (bank @ text).topk(min(count, len(bank))).indices


def _attend(features: Tensor, vectors: Tensor, scale: float) -> Tensor:
    """sigma(scale cos): (n,c,h,w), (K,c) -> (n,K,h,w)."""
    return (scale * torch.einsum('kc,nchw->nkhw', F.normalize(vectors, dim=1), F.normalize(features, dim=1))).sigmoid()


def text_attention(dense: Tensor, texts: Tensor, size: tuple[int, int] | None = None, scale: float = 10.0) -> Tensor:
    """Where dense CLIP sees a text.

    Args:
        dense: (n,d,h',w') features of any length.
        texts: (K,d).
        size: of the result (bilinear); None: that of the features.
        scale: of the cosine. Paper: 10.

    Returns:
        (n,K,h,w) in (0, 1).
    """
    maps = _attend(dense, texts, scale)
    return maps if size is None else F.interpolate(maps, size, mode='bilinear', align_corners=False)


def context_weights(features: Tensor, contexts: Tensor, scale: float = 1.0) -> Tensor:
    """How much a place looks like context: (n,c,h,w), (K,c) references -> (n,K,h,w); no temperature, as published."""
    return _attend(features, contexts, scale)


def position_weights(features: Tensor, attention: Tensor | None = None, contexts: Tensor | None = None) -> Tensor:
    """m: what the text sees and no context explains.

    Args:
        features: (n,c,h,w).
        attention: (n,h,w) of :func:`text_attention`; None: everywhere 1.
        contexts: (K,c) references of context classes (tree, sky, building, road, person); None: none. For a context
            class's own reference, give those that come before it.

    Returns:
        (n,h,w).
    """
    weights = features.new_ones(len(features), *features.shape[-2:]) if attention is None else attention
    if contexts is not None and len(contexts):
        weights = weights * (1 - context_weights(features, contexts)).prod(1)
    return weights


@torch.no_grad()
def find_seeds(features: Tensor, weights: Tensor | None = None, as_published: bool = False) -> Tensor:
    """In each picture, the place that has the best matches in all pictures.

    Rows of a picture are compared at a time, so n hw x hw similarities are held, not (n hw)^2.

    Args:
        features: (n,c,h,w).
        weights: (n,h,w) of places as matches, not of seeds; None: 1.
        as_published: see the package's docstring.

    Returns:
        (n,) long, place in each picture, row by row.
    """
    count = len(features)
    unit = F.normalize(features.flatten(2), dim=1).transpose(1, 2)  # (n,M,c)
    weights = unit.new_ones(unit.shape[:2]) if weights is None else weights.flatten(1)
    seeds = []
    for rows in unit:
        best = ((rows @ unit.transpose(1, 2)) * weights[:, None]).amax(2)  # (n,M): picture, row
        if as_published:
            best = torch.stack([best[i:min(2 * i + 1, count)].amax(0) for i in range(count)])
        seeds.append(best.mean(0).argmax())
    return torch.stack(seeds)


def combine_seeds(seeds: Tensor, mode: str = 'avg') -> Tensor:
    """One vector of the seeds' features, (n,c) -> (c,) of unit length.

    Args:
        seeds: not normalised, best picture first.
        mode: 'avg'; 'weighted', by 1, 1 - 1/n, ...; 'winner', the seed most similar to all.

    Raises:
        ConfigError: another mode.
    """
    if mode not in MODES:
        raise ConfigError(f"mode='{mode}' of ReCo's reference is none of {', '.join(MODES)}.")
    if mode == 'winner':
        unit = F.normalize(seeds, dim=1)
        return unit[(unit @ unit.T).sum(1).argmax()]
    if mode == 'weighted':
        seeds = seeds * (1 - torch.arange(len(seeds), device=seeds.device) / len(seeds))[:, None]
    return F.normalize(seeds.mean(0), dim=0)


def reference_feature(features: Tensor, weights: Tensor | None = None, mode: str = 'avg', as_published: bool = False
                      ) -> tuple[Tensor, Tensor]:
    """A class's reference (c,) and its seeds' features (n,c); arguments as of the two functions before."""
    places = find_seeds(features, weights, as_published)
    seeds = features.flatten(2)[torch.arange(len(features), device=features.device), :, places]
    return combine_seeds(seeds, mode), seeds


def reco_scores(features: Tensor, references: Tensor, size: tuple[int, int], dense: Tensor | None = None,
                texts: Tensor | None = None) -> Tensor:
    """Scores of a test image.

    Args:
        features: (B,c,h,w) of the encoder.
        references: (K,c).
        size: of the image.
        dense: (B,d,h',w') of dense CLIP; None leaves the language factor out.
        texts: (K,d).

    Returns:
        (B,K,H,W) in (0, 1).
    """
    scores = F.interpolate(_attend(features, references, 1.0), size, mode='bilinear', align_corners=False)
    return scores if dense is None else scores * text_attention(dense, texts, size)
