"""ESOL: class maps that first grow over whole objects and then shrink to their borders. An interpretation.

Li et al., Expansion and Shrinkage of Localization for Weakly-Supervised Semantic Segmentation, NeurIPS 2022, arXiv
2209.07761; TyroneLi/ESOL_WSSS @ 45db601 holds a README and two figures, no code. What follows is an interpretation of
the abstract and of the figure of the pipeline. Stated there: two deformable convolutions, the negated loss that trains
the first one's offsets alone, the clip between, the area loss of the second, and which gradients stop. Inferred, and a
setting here: the form of the clip and of the area loss, all weights, when what is trained, a limit of the offsets.

X (B,D,h,w) are the backbone's last features, o_1, o_2 offsets that a convolution predicts, bars stand for detached:

    F_1 = relu(DCN(X; o_1, W_1))          F'_1 = min(F_1, beta max_xy F_1)             clip_responses
    F_2 = relu(DCN(F'_1; o_2, W_2))       M_k = V_k . F_2                              the class maps
    L_cls = softmargin(U F'_1) + softmargin(V F_2), both with offsets 0                trains X, W_1, W_2, U, V
    L_exp = -a softmargin(bar U F'_1) on bar X, bar W_1                                trains o_1 alone
    L_shr = softmargin(bar V F_2) + mu area(M), on bar F'_1, bar W_2                   trains o_2 alone (and V)
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors import TagSegmentor
from mmseg_weak.models.utils import progress

__all__ = ['ESOLClassifier', 'SamplingStage', 'cam_area_loss', 'clip_responses', 'negated_tag_loss']


def clip_responses(features: Tensor, share: float = 0.5) -> Tensor:
    """Let few peaks not outweigh everything: min(ReLU(F), share x maximum of the channel), (B,D,h,w).

    The form is inferred; the bound has no gradient.
    """
    features = features.relu()
    return torch.minimum(features, share * features.detach().amax((2, 3), keepdim=True))


def negated_tag_loss(logits: Tensor, tags: Tensor, factor: float = 0.01) -> Tensor:
    """L_exp: the multi-label soft margin times -``factor``, so that a sampler looks for what is not yet evidence."""
    return -factor * F.multilabel_soft_margin_loss(full_precision(logits), tags)


def cam_area_loss(maps: Tensor, tags: Tensor, eps: float = 1e-5) -> Tensor:
    """Mean over the present classes of all images of the mean of ReLU(M) / (max + eps); 0 without any.

    Args:
        maps: (B,K,h,w) raw class maps.
        tags: (B,K).
    """
    maps = full_precision(maps).relu()
    area = (maps / (maps.amax((2, 3), keepdim=True) + eps)).mean((2, 3))
    return (area * tags).sum() / tags.sum().clamp(min=1)


class SamplingStage(nn.Module):
    """A deformable convolution whose offsets start at 0.

    Args:
        in_channels, channels: of its input and output.
        kernel_size: points a side, odd.
        max_offset: pixels of the map up to which a point may move; None does not limit it.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int = 3, max_offset: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_normal_(self.weight, nonlinearity='relu')
        self.offset = nn.Conv2d(in_channels, 2 * kernel_size ** 2, kernel_size, padding=kernel_size // 2)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        self.max_offset = max_offset

    def plain(self, x: Tensor) -> Tensor:
        """With offsets of 0: (B,C,h,w) -> (B,D,h,w)."""
        return F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2).relu()

    def sampled(self, x: Tensor) -> Tensor:
        """With its offsets, (dy, dx) of each point in pixels; neither the input nor the weight gets a gradient."""
        from torchvision.ops import deform_conv2d
        with torch.autocast(x.device.type, enabled=False):
            x, weight = full_precision(x.detach()), full_precision(self.weight.detach())
            offsets = self.offset(x)
            if self.max_offset is not None:
                offsets = self.max_offset * torch.tanh(offsets / self.max_offset)
            return deform_conv2d(x, offsets, weight, padding=weight.shape[-1] // 2).relu()


@MODELS.register_module()
class ESOLClassifier(TagSegmentor):
    """A classifier with an expanding and a shrinking sampler, an interpretation of ESOL.

    Args:
        backbone: config of a backbone that gives feature maps.
        num_classes: all classes, the background among them.
        in_channels: of the map that is used.
        channels: of both deformable convolutions; ``in_channels`` by default.
        in_index: which of the backbone's maps.
        kernel_size: of both deformable convolutions.
        clip: beta, share of a channel's maximum at which it is cut.
        exp_weight: a. area_weight: mu.
        max_offset: pixels of the map up to which points may move; None does not limit them.
        phases: None trains all parts in every step, each with its own loss; two shares of the run (0.5, 0.75) train the
            classifier up to the first one, then the expansion, then the shrinkage, and each part keeps still (no
            gradient) at other times. With several processes that takes ``find_unused_parameters=True``.
        shrink_classifier: whether L_shr trains the second classifier V, too.
        **kwargs: of :class:`.TagSegmentor`.
    """

    def __init__(self, backbone: dict, num_classes: int, in_channels: int, channels: int | None = None,
                 in_index: int = -1, kernel_size: int = 3, clip: float = 0.5, exp_weight: float = 0.01,
                 area_weight: float = 0.1, max_offset: float | None = 2.0,
                 phases: tuple[float, float] | None = None, shrink_classifier: bool = False, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if not 0 < clip <= 1:
            raise ConfigError(f'model.clip is {clip}; it is a share of the maximum, above 0 and up to 1.')
        if kernel_size % 2 == 0:
            raise ConfigError(f'model.kernel_size is {kernel_size}; give an odd number.')
        if max_offset is not None and not max_offset > 0:
            raise ConfigError(f'model.max_offset is {max_offset}; give pixels above 0, or None for no limit.')
        if phases is not None and not (len(phases) == 2 and 0 <= phases[0] <= phases[1] <= 1):
            raise ConfigError(f'model.phases is {phases}; give two rising shares of the run, or None.')
        channels = channels or in_channels
        self.backbone = MODELS.build(backbone)
        self.expand = SamplingStage(in_channels, channels, kernel_size, max_offset)
        self.shrink = SamplingStage(channels, channels, kernel_size, max_offset)
        self.expand_head, self.shrink_head = (MODELS.build(dict(
            type='PooledClassifier', in_channels=channels, num_classes=self.num_tags, pooling='gap')) for _ in range(2))
        self.in_index, self.clip, self.phases = in_index, clip, phases
        self.exp_weight, self.area_weight, self.shrink_classifier = exp_weight, area_weight, shrink_classifier

    def features(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,D,h,w)."""
        out = self.backbone(images)
        return out[self.in_index] if isinstance(out, (tuple, list)) else out

    def shrunk(self, images: Tensor) -> Tensor:
        """F_2 with both samplers, (B,3,H,W) -> (B,D,h,w)."""
        return self.shrink.sampled(clip_responses(self.expand.sampled(self.features(images)), self.clip))

    def class_maps(self, images: Tensor) -> Tensor:
        """Maps of the shrinkage stage, (B,3,H,W) -> (B,K,h,w)."""
        return self.shrink_head.cam(self.shrunk(images))

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K)."""
        return self.shrink_head(self.shrunk(images))

    def parts(self) -> tuple[str, ...]:
        """What the run trains now: 'classify', 'expand', 'shrink'."""
        names = ('classify', 'expand', 'shrink')
        if self.phases is None:
            return names
        done = progress()
        return (names[sum(done >= start for start in self.phases)], )

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The algorithm box above, all of it or the phase of the run."""
        tags, parts = self.tags(data_samples), self.parts()
        with torch.set_grad_enabled('classify' in parts):
            features = self.features(inputs)
        losses = {}
        if 'classify' in parts:
            losses |= self.classify_losses(features, tags)
        if 'expand' in parts:
            losses['loss_exp'] = self.expand_loss(features, tags)
        if 'shrink' in parts:
            losses |= self.shrink_losses(features, tags)
        return losses

    def classify_losses(self, features: Tensor, tags: Tensor) -> dict[str, Tensor]:
        """Both classifiers with plain convolutions, from the backbone on."""
        first = clip_responses(self.expand.plain(features), self.clip)
        logits = [self.expand_head(first), self.shrink_head(self.shrink.plain(first))]
        one, two = (F.multilabel_soft_margin_loss(full_precision(x), tags) for x in logits)
        hit = ((logits[1].detach() > 0) == tags.bool()).float().mean() * 100
        return dict(loss_cls=one, loss_cls_shrink=two, acc_tags=hit)

    def expand_loss(self, features: Tensor, tags: Tensor) -> Tensor:
        """L_exp: it reaches the first stage's offsets alone."""
        first = clip_responses(self.expand.sampled(features), self.clip)
        logits = F.conv2d(first.mean((2, 3), keepdim=True), self.expand_head.classifier.weight.detach()).flatten(1)
        return negated_tag_loss(logits, tags, self.exp_weight)

    def shrink_losses(self, features: Tensor, tags: Tensor) -> dict[str, Tensor]:
        """L_shr: it reaches the second stage's offsets alone, and its classifier where asked."""
        with torch.no_grad():
            first = clip_responses(self.expand.sampled(features), self.clip)
        weight = self.shrink_head.classifier.weight
        maps = F.conv2d(self.shrink.sampled(first), weight if self.shrink_classifier else weight.detach())
        logits = full_precision(maps).mean((2, 3))
        return dict(loss_shr=F.multilabel_soft_margin_loss(logits, tags),
                    loss_area=self.area_weight * cam_area_loss(maps, tags))
