"""Pseudo labels of single-stage methods: class maps refined online, at two heights of the background (AFA, ToCo).

rulixiang/ToCo @ e13514d, utils/camutils.py refine_cams_with_bkg_v2.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.refine.base import Refiner

from .seeds import box_mask, merge_confident, scores_to_labels

__all__ = ['refined_labels']


@torch.no_grad()
def refined_labels(cams: Tensor, images: Tensor, present: Tensor, refiner: Refiner, img_box: Tensor | None = None,
                   high_thr: float = 0.7, low_thr: float = 0.25, down_scale: float = 2,
                   ignore_index: int = 255) -> Tensor:
    """Pseudo labels for the decoder: softmax with a background plane at two heights, refined, merged.

    Args:
        cams: (B,C,H,W) in [0, 1].
        images: (B,3,H,W) RGB; its range does not matter to PAR.
        present: (B,C) tags.
        refiner: PAR of 10 iterations in the paper.
        img_box: (B,4) y0, y1, x0, x1; outside is ``ignore_index``.
        high_thr, low_thr: VOC 0.7, 0.25; COCO 0.65, 0.25.
        down_scale: refine at the size over this.

    Returns:
        (B,H,W) long: objects from the high background, background where both say so, ``ignore_index`` elsewhere.
    """
    size = tuple(cams.shape[-2:])
    small = [int(n // down_scale) for n in size]
    cams, images = (F.interpolate(_full(x), small, mode='bilinear', align_corners=False)
                    for x in (cams, images))
    kept = F.pad(present.bool(), (1, 0), value=True)
    labels = []
    for thr in (high_thr, low_thr):
        planes = torch.cat([torch.full_like(cams[:, :1], thr), cams], 1)
        planes = planes.masked_fill(~kept[:, :, None, None], -torch.inf).softmax(1)
        planes = F.interpolate(refiner(planes, images, kept), size, mode='bilinear', align_corners=False)
        labels.append(scores_to_labels(planes, present))
    merged = merge_confident(*labels, ignore_index)
    return merged if img_box is None else merged.masked_fill(~box_mask(img_box, size), ignore_index)


def _full(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
