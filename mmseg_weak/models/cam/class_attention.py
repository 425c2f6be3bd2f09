"""Class maps spread along a transformer's attention, each class inside of its own boxes (CLIP-ES, WeCLIP, ExCEL).

- Class-aware attention affinity (CAA): CLIP-ES, Lin et al., CVPR 2023, arXiv 2212.09506; linyq2117/CLIP-ES @ 3893f81
  (MIT).
- Attention chosen by a learnt relation (the refinement module): WeCLIP, Zhang et al., CVPR 2024, arXiv 2406.11189;
  zbf1991/WeCLIP @ 0f47db4 (no licence). ExCEL has both: zwyang6/ExCEL @ 2cd7f51 (no licence).

    A = mean of the last blocks' attention of patches to patches                       (B,hw,hw)
    T: 3 times A over its column sums, then over its row sums; T = (T + T^T) / 2; T <- T T
    M_c <- T (box_c * M_c)          box_c: every region of M_c above a share of its maximum

Maps are few and small (20 x 20), so the boxes are found on the CPU.
"""
import numpy as np
import torch
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine import pack_present, unpack_present

from .boxes import region_boxes

__all__ = ['attention_transition', 'choose_attention', 'region_mask', 'refine_by_attention', 'share_boxes']


def attention_transition(affinity: Tensor, rounds: int = 3) -> Tensor:
    """Sinkhorn's balancing, symmetry, and two steps in one: (B,n,n), at least 0 -> (B,n,n).

    Args:
        affinity: a positive factor of it does not matter.
        rounds: of dividing by the column sums and then by the row sums. Paper: 3.
    """
    for _ in range(rounds):
        affinity = affinity / affinity.sum(-2, keepdim=True)
        affinity = affinity / affinity.sum(-1, keepdim=True)
    affinity = (affinity + affinity.transpose(-2, -1)) / 2
    return affinity @ affinity


def choose_attention(attention: Tensor, relation: Tensor) -> Tensor:
    """Leave out the blocks that disagree with a relation map, and weigh the mean of the others with it.

    d_l = sum of (P - A_l); blocks with d_l at most its mean over blocks stay.

    Args:
        attention: (B,L,n,n), patches of the last L blocks.
        relation: (B,n,n), P in [0, 1].

    Returns:
        (B,n,n), without gradient to P.
    """
    relation = relation.detach()
    distance = (relation[:, None] - attention).sum((2, 3))
    kept = distance <= distance.mean(1, keepdim=True)
    kept = kept.to(attention) / kept.sum(1, keepdim=True)
    return torch.einsum('bl,blij->bij', kept, attention) * relation


def share_boxes(scores: np.ndarray, share: float) -> np.ndarray:
    """Boxes of all regions above a share of a map's maximum, as the published code finds them.

    The map is cut to 256 levels and the threshold to a whole level first. Ends are excluded, and an end at the last
    column or row is moved one back, so that these are in no box.

    Args:
        scores: (h,w) in [0, 1].
        share: in [0, 1]. CLIP-ES, WeCLIP: 0.4 (VOC), 0.7 (COCO); ExCEL: 0.79 (VOC), 0.88 (COCO).

    Returns:
        (n,4) int64, x0, y0, x1, y1; the one that the largest region has first. An empty map gives the whole of it.
    """
    levels = (scores * 255).astype(np.uint8)
    boxes = region_boxes(levels > int(share * int(levels.max()))).astype(np.int64)
    height, width = scores.shape
    if not len(boxes):
        boxes = np.array([[0, 0, width, height]])
    return np.minimum(boxes, [width, height, width - 1, height - 1])


def region_mask(maps: Tensor, share: float) -> Tensor:
    """Inside of :func:`share_boxes` of each map: (B,C,h,w) in [0, 1] -> (B,C,h,w) bool."""
    flat = maps.detach().flatten(0, 1)
    mask = torch.zeros(flat.shape, dtype=torch.bool)
    for number, scores in enumerate(flat.float().cpu().numpy()):
        for x0, y0, x1, y1 in share_boxes(scores, share).tolist():
            mask[number, y0:y1, x0:x1] = True
    return mask.view(maps.shape).to(maps.device)


@torch.no_grad()
def refine_by_attention(maps: Tensor, transition: Tensor, share: float = 0.4, present: Tensor | None = None) -> Tensor:
    """M_c <- T (box_c * M_c) for the present classes; the others come back 0.

    Args:
        maps: (B,C,h,w) in [0, 1].
        transition: (B,hw,hw), see :func:`attention_transition`.
        share: of :func:`share_boxes`.
        present: (B,C) bool. None: all.

    Returns:
        (B,C,h,w), not normalised.

    Raises:
        ConfigError: maps and transition are not of the same patches.
    """
    count = maps.shape[-2] * maps.shape[-1]
    if tuple(transition.shape) != (len(maps), count, count):
        raise ConfigError(f'Class maps of shape {tuple(maps.shape)} came with a transition of shape '
                          f'{tuple(transition.shape)}; give ({len(maps)}, {count}, {count}).')
    present = maps.new_ones(maps.shape[:2], dtype=torch.bool) if present is None else present.bool()
    packed, index, used = pack_present(maps, present)
    packed = packed * region_mask(packed, share)
    refined = packed.flatten(2) @ transition.transpose(1, 2).to(packed)
    return unpack_present(refined.view_as(packed), index, used, maps.shape[1])
