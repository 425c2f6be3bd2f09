"""OVDiff's equations as plain functions, in the order of the method."""
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.prototypes import weighted_kmeans

__all__ = ['ClassPrototypes', 'MaskChoice', 'Prototypes', 'attention_heatmap', 'best_subset', 'call_heat',
           'choose_masks', 'erode', 'fallback_masks', 'gather_prototypes', 'likely_classes', 'prototype_labels',
           'prototype_scores', 'scale_heatmap', 'support_prototypes', 'upsample_scores']


# ------------------------------------------------------------------------------------------------------- support set
def call_heat(attention: Tensor, heads: int, size: tuple[int, int] | None = None, guided: bool = True) -> Tensor:
    """What one call of cross-attention says, summed over its heads.

    Args:
        attention: softmaxed, (B*heads,hw,tokens) over a square map; with ``guided`` twice as many, the conditional half
            last, which alone counts.
        heads: of it.
        size: of the result (bicubic); None: the map's own.
        guided: classifier-free guidance.

    Returns:
        (B,tokens,h,w), at least 0.
    """
    side = round(attention.shape[1]**0.5)
    maps = attention.unflatten(0, (-1, heads))
    maps = maps[len(maps) // 2:] if guided else maps
    maps = maps.permute(0, 1, 3, 2).unflatten(3, (side, side)).flatten(0, 1)  # (B*heads,tokens,h,w)
    if size is not None and (side, side) != size:
        maps = F.interpolate(maps, size, mode='bicubic', align_corners=False)
    return maps.clamp(min=0).unflatten(0, (-1, heads)).sum(1)


def attention_heatmap(calls: Sequence[Tensor], heads: int, groups: Sequence[Sequence[int]], guided: bool = True
                      ) -> Tensor:
    """Where a diffusion model looks while it draws words.

    Args:
        calls: cross-attention of each layer and step, see :func:`call_heat`.
        heads: of each.
        groups: tokens of each name.
        guided: see there.

    Returns:
        (B,groups,h,w) of the size of the first call, at least 0.
    """
    side = round(calls[0].shape[1]**0.5)
    total = sum(call_heat(attention, heads, (side, side), guided) for attention in calls) / (heads * len(calls))
    return torch.stack([total[:, list(group)].mean(1) for group in groups], 1)


def scale_heatmap(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """(B,1,h,w) -> (B,1,H,W): to [0, 1], to the image's size, to [0, 1] again."""
    def unit(x: Tensor) -> Tensor:
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return (x - low) / (high - low).clamp(min=1e-12)
    return unit(F.interpolate(unit(heat), size, mode='bilinear', align_corners=False))


class MaskChoice(NamedTuple):
    """Object and background of a support picture."""
    weights: Tensor  # (M,) mean heat in each mask
    order: Tensor  # (M,) masks by falling weight
    fg: Tensor  # (H,W) bool
    bg: Tensor  # (H,W) bool, the last rank that wins a pixel
    cold: Tensor  # (H,W) bool, of bg where the heat is low
    eroded: Tensor  # (H,W) bool, the background that is used


def erode(mask: Tensor) -> Tensor:
    """Binary erosion by a 3x3 cross, (H,W) bool; outside of the image counts as inside."""
    padded = F.pad(mask, (1, 1, 1, 1), value=True)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def choose_masks(masks: Tensor, heat: Tensor, bg_thr: float = 0.2) -> MaskChoice:
    """Which proposal is the object and which is background.

    Args:
        masks: (M,H,W), mask 0 what is in no proposal.
        heat: (H,W) in [0, 1].
        bg_thr: background is colder. Paper: 0.2.
    """
    masks = masks.to(heat)
    weights = (masks * heat).sum((1, 2)) / masks.sum((1, 2)).clamp(min=1)
    order = weights.argsort(descending=True, stable=True)
    rank = (masks * weights[:, None, None])[order].argmax(0)
    bg = rank == rank.max()
    cold = bg & (heat < bg_thr)
    return MaskChoice(weights, order, rank == 0, bg, cold, erode(cold))


def fallback_masks(heat: Tensor, fg_thr: float = 0.5, bg_thr: float = 0.2) -> tuple[Tensor, Tensor]:
    """Object and background of a picture without proposals, (H,W) -> two (H,W) bool."""
    return heat > fg_thr, heat < bg_thr


# -------------------------------------------------------------------------------------------------------- prototypes
class ClassPrototypes(NamedTuple):
    """Rows of one class, all kinds one after another; features are not normalised."""
    fg: Tensor  # (n,C)
    bg: Tensor  # (m,C)


class Prototypes(NamedTuple):
    """Rows of all classes: all background rows, then all object rows."""
    features: Tensor  # (P,C)
    owner: Tensor  # (P,) long, class from 1 on
    label: Tensor  # (P,) long, the same, 0 for background rows


def support_prototypes(features: Tensor, masks: Tensor, parts: int = 32, seed: int = 0) -> Tensor:
    """Mean of all pixels, mean of each picture, k-means centres of all pixels.

    Args:
        features: (N,C,h,w) of the support pictures.
        masks: (N,H,W) bool; resized (bilinear) to (h,w), any cover counts as inside.
        parts: centres at most.
        seed: of k-means.

    Returns:
        (1 + pictures + parts,C); pictures with an empty mask give no row, none at all gives (0,C).
    """
    inside = F.interpolate(masks[:, None].float(), features.shape[-2:], mode='bilinear', align_corners=False)[:, 0] > 0
    pixels = [feature[:, mask].T for feature, mask in zip(features, inside) if bool(mask.any())]
    if not pixels:
        return features.new_zeros(0, features.shape[1])
    every = torch.cat(pixels)
    centres = weighted_kmeans(every, every.new_ones(len(every)), parts, num_iter=300, seed=seed)
    return torch.cat([every.mean(0, keepdim=True), torch.stack([p.mean(0) for p in pixels]), centres])


def gather_prototypes(classes: Sequence[ClassPrototypes], is_stuff: Sequence[bool], bg_thr: float = 0.85,
                      context: bool = True) -> Prototypes:
    """Prototypes of all classes.

    Args:
        classes: in order, from class 1 on.
        is_stuff: whether each is stuff (sky, grass), by a language model's answer.
        bg_thr: a background row whose cosine with a reference row is above is dropped; 0 keeps all.
        context: stuff classes give no background, and references are their object rows; else references of a class are
            the object rows of all others.
    """
    unit = [F.normalize(c.fg, dim=1) for c in classes]
    stuff = [bool(s) for s in is_stuff]
    kept, owners = [], []
    for number, one in enumerate(classes):
        if context and stuff[number]:
            continue
        rows = one.bg[one.bg.isfinite().all(1)]
        against = [u for n, u in enumerate(unit) if (stuff[n] if context else n != number)]
        if bg_thr and against and len(rows):
            near = F.normalize(rows, dim=1) @ torch.cat(against).T
            rows = rows[near.amax(1) <= bg_thr]
        kept.append(rows)
        owners.append(torch.full((len(rows), ), number + 1))
    fg_owner = torch.cat([torch.full((len(c.fg), ), n + 1) for n, c in enumerate(classes)])
    bg_owner = torch.cat([*owners, fg_owner[:0]])
    label = torch.cat([torch.zeros_like(bg_owner), fg_owner])
    features = torch.cat([*kept, *(c.fg for c in classes)])
    return Prototypes(features, torch.cat([bg_owner, fg_owner]).to(features.device), label.to(features.device))


# ------------------------------------------------------------------------------------------------------------- scores
def prototype_scores(features: Tensor, prototypes: Prototypes, allowed: Tensor, absent: float = -1.0) -> Tensor:
    """Cosine with the nearest prototype of the background and of each class.

    Args:
        features: (B,C,h,w) of any length.
        prototypes: of K classes.
        allowed: (B,K) bool; other classes' rows, object and background, count ``absent``.

    Returns:
        (B,K+1,h,w).
    """
    cosines = torch.einsum('pc,bchw->bphw', F.normalize(prototypes.features, dim=1), F.normalize(features, dim=1))
    cosines = cosines.masked_fill(~allowed[:, prototypes.owner - 1, None, None], absent)
    index = prototypes.label[None, :, None, None].expand_as(cosines)
    out = cosines.new_full((len(features), allowed.shape[1] + 1, *features.shape[-2:]), absent)
    return out.scatter_reduce(1, index, cosines, 'amax')


def upsample_scores(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """To the size of a crop (bilinear), in [-1, 1]: what is averaged over crops and feature spaces."""
    return F.interpolate(scores, size, mode='bilinear', align_corners=False).clamp(-1, 1)


def prototype_labels(scores: Tensor, thr: float = 0.0) -> Tensor:
    """(B,K+1,H,W) -> (B,H,W) long: scores up to ``thr`` count as 0, background wins a tie."""
    return scores.masked_fill(scores <= thr, 0).argmax(1)


# -------------------------------------------------------------------------------------------------------- pre-filter
def likely_classes(cosines: Tensor, top: int = 10) -> list[int]:
    """Classes that CLIP finds likely.

    Args:
        cosines: (C,) of an image with 'a {name}'; the softmax over them has no temperature (sic).
        top: at most. Where none reaches 1 / C the first ``top`` stay.
    """
    probs = cosines.softmax(0)
    best = probs.topk(min(top, len(probs)))
    kept = best.indices[best.values >= 1 / len(probs)]
    return (kept if len(kept) else best.indices).tolist()


def best_subset(image: Tensor, names: Sequence[str], encode: Callable[[Sequence[str]], Tensor]) -> list[int]:
    """The classes whose joint sentence, 'a X and a Y', fits the image best.

    Args:
        image: (d,) unit vector.
        names: of the likely classes, at most 10 or so: all 2^n - 1 subsets are tried.
        encode: sentences -> (n,d) unit vectors; keep what it gave, the same subsets come again.

    Returns:
        Indices into ``names``.
    """
    subsets = [list(s) for n in range(1, len(names) + 1) for s in combinations(range(len(names)), n)]
    sentences = [' and '.join(f'a {names[i]}' for i in subset) for subset in subsets]
    return subsets[int((encode(sentences) @ image).argmax())]
