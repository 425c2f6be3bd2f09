"""Equations of SEAM: the pixel correlation module and the equivariant losses.

Wang et al., Self-supervised Equivariant Attention Mechanism for Weakly Supervised Semantic Segmentation, CVPR 2020,
arXiv 2004.04581; YudeWang/SEAM @ 3212261 (MIT), network/resnet38_SEAM.py and train_SEAM.py.

This room holds functions only, the correlation and the losses; network and training are not here. Maps are (B,C+1,h,w)
with a background plane first; ``label`` (B,C+1,1,1) is multi-hot with a 1 for the background. Two views of one image
give ``cam`` (the classifier's map) and ``refined`` (the same after the correlation) each, brought to one size.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.losses.common import full_precision

__all__ = ['adaptive_min_pooling_loss', 'correlate_pixels', 'correlation_cam', 'equivariant_cross_loss',
           'equivariant_loss', 'keep_strongest', 'max_norm', 'refresh_background', 'seam_losses', 'tag_loss']

_EPS = 1e-5


def max_norm(maps: Tensor, eps: float = _EPS) -> Tensor:
    """Stretch each plane to [0, 1]: ReLU, then ReLU(p - min - eps) / (max - min + eps), (B,C,h,w)."""
    maps = full_precision(maps).relu()
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low - eps).relu() / (high - low + eps)


def refresh_background(maps: Tensor) -> Tensor:
    """Plane 0 becomes 1 - max of the others."""
    foreground = maps[:, 1:]
    return torch.cat([1 - foreground.amax(1, keepdim=True), foreground], 1)


def keep_strongest(maps: Tensor) -> Tensor:
    """Foreground entries below their pixel's foreground maximum become 0; the background stays. (``max_onehot``)"""
    foreground = maps[:, 1:]
    strongest = foreground == foreground.amax(1, keepdim=True)
    return torch.cat([maps[:, :1], foreground * strongest], 1)


@torch.no_grad()
def correlation_cam(cam: Tensor, eps: float = _EPS) -> Tensor:
    """The map that the correlation spreads: positive, ReLU(p - eps) / (max + eps), strongest class alone, no gradient.

    Args:
        cam: (B,C+1,h,w) raw; its background plane is replaced by 1 - max of the foreground.
    """
    cam = full_precision(cam).relu()
    cam = (cam - eps).relu() / (cam.amax((2, 3), keepdim=True) + eps)
    return keep_strongest(refresh_background(cam))


def correlate_pixels(cam: Tensor, features: Tensor, weight: Tensor, eps: float = _EPS) -> Tensor:
    """Each pixel's scores become a mean over the pixels of like features (PCM).

    f = W features, of unit length; K = ReLU(f^T f), divided by its column sums; out = cam K.

    Args:
        cam: (B,C,h',w'); resized to the features (bilinear, corners aligned).
        features: (B,D,h,w), image and reduced stage features stacked.
        weight: (D',D,1,1) of the module's last convolution.

    Returns:
        (B,C,h,w).
    """
    size = features.shape[-2:]
    if cam.shape[-2:] != size:
        cam = F.interpolate(cam, size, mode='bilinear', align_corners=True)
    f = full_precision(F.conv2d(features, weight).flatten(2))
    f = f / (f.norm(dim=1, keepdim=True) + eps)
    affinity = (f.transpose(1, 2) @ f).relu()
    affinity = affinity / (affinity.sum(1, keepdim=True) + eps)
    return (full_precision(cam).flatten(2) @ affinity).view(*cam.shape[:2], *size)


def adaptive_min_pooling_loss(foreground: Tensor, fraction: float = 0.25) -> Tensor:
    """Mean of the smallest quarter of the foreground maxima, so that some background remains.

    Args:
        foreground: (B,C,h,w) of the refined map times the label, without background.
        fraction: of the pixels, rounded down. Paper: 1/4.

    Returns:
        Scalar; a sum over batch and pixels over k B.
    """
    strongest = full_precision(foreground).amax(1).flatten(1)
    count = max(int(strongest.shape[1] * fraction), 1)
    smallest = strongest.topk(count, dim=1, largest=False, sorted=False).values
    return smallest.relu().sum() / (count * len(strongest))


def tag_loss(cam: Tensor, label: Tensor) -> Tensor:
    """Soft-margin loss of the averaged foreground maps, mean over classes and images; the background has no loss."""
    scores = full_precision(cam).mean((2, 3))[:, 1:]
    return F.multilabel_soft_margin_loss(scores, label.flatten(1)[:, 1:].to(scores))


def equivariant_loss(cam1: Tensor, cam2: Tensor) -> Tensor:
    """L_er: mean absolute difference of the foreground of two normalised maps (B,C+1,h,w)."""
    return (cam1[:, 1:] - cam2[:, 1:]).abs().mean()


def equivariant_cross_loss(cam: Tensor, refined: Tensor, fraction: float = 0.2) -> Tensor:
    """L_ecr of one view: how far its refined map is from the other view's strongest classes, hardest fifth alone.

    Args:
        cam: (B,C+1,h,w) of the other view, background refreshed; no gradient.
        refined: (B,C+1,h,w).
        fraction: share of an image's entries (planes and pixels together) that count, rounded down. Paper: 0.2.

    Returns:
        Scalar, mean over these entries and the batch.
    """
    distance = (keep_strongest(cam.detach()) - refined).abs().flatten(1)
    return distance.topk(max(int(distance.shape[1] * fraction), 1), dim=1, sorted=False).values.mean()


def seam_losses(cam1: Tensor, refined1: Tensor, cam2: Tensor, refined2: Tensor, label: Tensor,
                er_fraction: float = 0.2, min_fraction: float = 0.25) -> dict[str, Tensor]:
    """All losses of two views but the one on tags (:func:`tag_loss`); train_SEAM.py.

    Args:
        cam1, refined1: (B,C+1,H,W) raw, of the image.
        cam2, refined2: (B,C+1,h,w) raw, of the smaller view (paper: 0.3 times the size); once normalised, the maps
            of view 1 are resized to it.
        label: (B,C+1,1,1) multi-hot with a 1 for the background.
        er_fraction, min_fraction: of :func:`equivariant_cross_loss` and :func:`adaptive_min_pooling_loss`.

    Returns:
        loss_rvmin1, loss_rvmin2 (mean the two), loss_er, loss_ecr1, loss_ecr2 (sum them). Paper: all of weight 1.
    """
    label = label.to(cam1)
    rvmin = [adaptive_min_pooling_loss((m * label)[:, 1:], min_fraction) for m in (refined1, refined2)]
    cam1, refined1, cam2, refined2 = (max_norm(m) for m in (cam1, refined1, cam2, refined2))
    if cam1.shape != cam2.shape:
        cam1, refined1 = (F.interpolate(m, cam2.shape[-2:], mode='bilinear', align_corners=True)
                          for m in (cam1, refined1))
    cam1, refined1, cam2, refined2 = (m * label for m in (cam1, refined1, cam2, refined2))
    loss_er = equivariant_loss(cam1, cam2)
    cam1, cam2 = refresh_background(cam1), refresh_background(cam2)
    return dict(loss_rvmin1=rvmin[0], loss_rvmin2=rvmin[1], loss_er=loss_er,
                loss_ecr1=equivariant_cross_loss(cam2, refined1, er_fraction),
                loss_ecr2=equivariant_cross_loss(cam1, refined2, er_fraction))
