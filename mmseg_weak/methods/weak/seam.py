"""SEAM: class maps that do not change with the scale of the image, spread over like pixels.

Wang et al., Self-supervised Equivariant Attention Mechanism for Weakly Supervised Semantic Segmentation, CVPR 2020,
arXiv 2004.04581; YudeWang/SEAM @ 3212261 (MIT), network/resnet38_SEAM.py, train_SEAM.py and infer_SEAM.py.

Maps are (B,C+1,h,w) with a background plane first; ``label`` y~ (B,C+1,1,1) is multi-hot with a 1 for the background.
Two views of one image, the second 0.3 times as large, give ``cam`` M (the classifier's map) and ``refined`` R (the same
after the correlation) each:

    R = PCM(M, image, two middle maps)                             correlate_pixels
    L_cls = mean of views ( softmargin(mean_xy M, y) + min pooling(R y~) )        tag_loss, adaptive_min_pooling_loss
    L_er = mean |M1 - M2|    over classes, both normalised and multiplied by y~        equivariant_loss
    L_ecr = sum of views top-20%-mean |strongest(M of the other view) - R|             equivariant_cross_loss
    L = L_cls + L_er + L_ecr

Seeds come from R, over scales and flips, stretched to [0, 1].

Deviation: R - min is divided by max - min + 1e-5, without the further 1e-5 that the published code subtracts first.
"""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors import TagSegmentor

__all__ = ['PixelCorrelation', 'SEAM', 'adaptive_min_pooling_loss', 'correlate_pixels', 'correlation_cam',
           'equivariant_cross_loss', 'equivariant_loss', 'keep_strongest', 'max_norm', 'refresh_background',
           'seam_losses', 'tag_loss']

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


class PixelCorrelation(nn.Module):
    """PCM: the image and two middle maps of the backbone say which pixels are alike. Layers carry published names.

    Args:
        in_channels: of the two maps. ResNet-38: 512 and 1024.
        channels: to which they are reduced.
    """

    def __init__(self, in_channels: Sequence[int] = (512, 1024), channels: Sequence[int] = (64, 128)) -> None:
        super().__init__()
        if len(in_channels) != 2 or len(channels) != 2:
            raise ConfigError(f'model.correlation has in_channels={list(in_channels)}, channels={list(channels)}; give '
                              'two each.')
        self.f8_3, self.f8_4 = (nn.Conv2d(i, c, 1, bias=False) for i, c in zip(in_channels, channels))
        self.f9 = nn.Conv2d(sum(channels) + 3, sum(channels), 1, bias=False)
        for conv in (self.f8_3, self.f8_4):
            nn.init.kaiming_normal_(conv.weight)
        nn.init.xavier_uniform_(self.f9.weight, gain=4)

    def forward(self, cam: Tensor, images: Tensor, middle: Sequence[Tensor]) -> Tensor:
        """Spread a class map; neither it nor the backbone gets a gradient.

        Args:
            cam: (B,C+1,h,w) raw.
            images: (B,3,H,W), normalised.
            middle: (B,D1,h1,w1) and (B,D2,h2,w2).

        Returns:
            (B,C+1,h,w), at least 0.
        """
        size = cam.shape[-2:]
        parts = [images, *(F.relu(conv(x.detach())) for conv, x in zip((self.f8_3, self.f8_4), middle))]
        parts = [full_precision(x) if x.shape[-2:] == size else
                 F.interpolate(full_precision(x), size, mode='bilinear', align_corners=True) for x in parts]
        with torch.autocast(cam.device.type, enabled=False):
            return correlate_pixels(correlation_cam(cam), torch.cat(parts, 1), self.f9.weight)


@MODELS.register_module()
class SEAM(TagSegmentor):
    """A classifier of whole images whose maps are made equal between two scales.

    Args:
        backbone: config of a backbone that gives feature maps.
        num_classes: all classes, the background among them.
        in_channels: of the last map.
        in_index: which maps: two for the correlation, and the last one. ResNet38d: (0, 1, 2).
        correlation: keywords of :class:`PixelCorrelation`.
        view_scale: size of the second view over that of the first. Paper: 0.3.
        dropout: of whole channels before the classifier. Paper: 0.5.
        er_weight, ecr_weight: of L_er and L_ecr. Paper: 1.
        er_fraction, min_fraction: of :func:`seam_losses`.
        **kwargs: of :class:`.TagSegmentor`; ``seed.normalize`` is 'minmax' by default.
    """

    def __init__(self, backbone: dict, num_classes: int, in_channels: int = 4096,
                 in_index: Sequence[int] = (0, 1, 2), correlation: dict | None = None, view_scale: float = 0.3,
                 dropout: float = 0.5, er_weight: float = 1.0, ecr_weight: float = 1.0, er_fraction: float = 0.2,
                 min_fraction: float = 0.25, seed: dict | None = None, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, seed={'normalize': 'minmax', **(seed or {})}, **kwargs)
        if not 0 < view_scale < 1:
            raise ConfigError(f'model.view_scale is {view_scale}; the second view is smaller, between 0 and 1.')
        if len(in_index) != 3:
            raise ConfigError(f'model.in_index is {list(in_index)}; name three maps of the backbone, the last of them '
                              'for the classifier.')
        self.backbone = MODELS.build(backbone)
        self.correlation = PixelCorrelation(**(correlation or {}))
        self.dropout = nn.Dropout2d(dropout)
        self.fc8 = nn.Conv2d(in_channels, num_classes, 1, bias=False)
        nn.init.xavier_uniform_(self.fc8.weight)
        self.in_index, self.view_scale = tuple(in_index), view_scale
        self.er_weight, self.ecr_weight = er_weight, ecr_weight
        self.er_fraction, self.min_fraction = er_fraction, min_fraction

    def both_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,H,W) -> the classifier's map and the refined one, (B,C+1,H,W) each, of the images' size."""
        features = self.backbone(images)
        first, second, last = (features[i] for i in self.in_index)
        cam = self.fc8(self.dropout(last))
        refined = self.correlation(cam, images, (first, second))
        return tuple(F.interpolate(full_precision(m), images.shape[-2:], mode='bilinear', align_corners=True)
                     for m in (cam, refined))

    def class_maps(self, images: Tensor) -> Tensor:
        """Refined maps of the classes, (B,3,H,W) -> (B,K,H,W)."""
        return self.both_maps(images)[1][:, 1:]

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K)."""
        last = self.backbone(images)[self.in_index[2]]
        return self.fc8(self.dropout(last)).mean((2, 3))[:, 1:]

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The algorithm box above; an image without tags has a background alone."""
        label = F.pad(self.tags(data_samples), (1, 0), value=1)[:, :, None, None]
        size = [max(int(n * self.view_scale), 1) for n in inputs.shape[-2:]]
        cam1, refined1 = self.both_maps(inputs)
        cam2, refined2 = self.both_maps(F.interpolate(inputs, size, mode='bilinear', align_corners=True))
        parts = seam_losses(cam1, refined1, cam2, refined2, label, self.er_fraction, self.min_fraction)
        return dict(loss_cls=(tag_loss(cam1, label) + tag_loss(cam2, label)) / 2,
                    loss_rvmin=(parts['loss_rvmin1'] + parts['loss_rvmin2']) / 2,
                    loss_er=self.er_weight * parts['loss_er'],
                    loss_ecr=self.ecr_weight * (parts['loss_ecr1'] + parts['loss_ecr2']))
