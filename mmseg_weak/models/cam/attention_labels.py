"""Pseudo labels of WeCLIP and ExCEL: class maps along the attention, behind a background, through PAR."""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.refine import Refiner

from .class_attention import attention_transition, choose_attention, refine_by_attention
from .seeds import normalize_cam, scores_to_labels, with_background

__all__ = ['affinity_of', 'maps_to_planes', 'planes_to_labels', 'refined_class_maps']


def affinity_of(attention: Tensor, relation: Tensor | None = None) -> Tensor:
    """One affinity of the last blocks' attention (B,L,n,n): their mean, or chosen and weighed by P (B,n,n)."""
    return attention.mean(1) if relation is None else choose_attention(attention, relation)


def refined_class_maps(maps: Tensor, attention: Tensor, present: Tensor, relation: Tensor | None = None,
                       share: float = 0.79) -> Tensor:
    """Class maps spread along the attention.

    Args:
        maps: (B,K,h,w) in [0, 1].
        attention: (B,L,hw,hw) of patches, of the last L blocks.
        present: (B,K) bool; other maps come back 0.
        relation: (B,hw,hw), P in [0, 1] of the decoder's features; None before it has learnt.
        share: of :func:`.share_boxes`. WeCLIP: 0.4 (VOC), 0.7 (COCO); ExCEL: 0.79 (VOC), 0.88 (COCO).

    Returns:
        (B,K,h,w), not normalised.
    """
    maps, attention = full_precision(maps), full_precision(attention)
    relation = None if relation is None else full_precision(relation)
    with torch.autocast(maps.device.type, enabled=False):  # the maps' range is small until they are normalised
        return refine_by_attention(maps, attention_transition(affinity_of(attention, relation)), share, present)


def maps_to_planes(refined: Tensor, size: tuple[int, int], power: float = 1.0, present: Tensor | None = None) -> Tensor:
    """Each map to [0, 1], resized, behind the background (1 - max)^power: (B,K,h,w) -> (B,K+1,H,W)."""
    maps = normalize_cam(refined, 'minmax', 1e-7, present)
    maps = F.interpolate(maps, size, mode='bilinear', align_corners=False)
    return with_background(maps, 'power', power)


@torch.no_grad()
def planes_to_labels(planes: Tensor, images: Tensor, refiner: Refiner, present: Tensor) -> Tensor:
    """Refine and take the best of background and present classes; no pixel is ignored.

    Args:
        planes: (B,K+1,H,W), background first.
        images: (B,3,H,W) RGB; its range does not matter to PAR.
        refiner: PAR of 20 iterations in the paper.
        present: (B,K) bool.

    Returns:
        (B,H,W) long.
    """
    kept = F.pad(present.bool(), (1, 0), value=True)
    return scores_to_labels(refiner(planes, images, kept), present)
