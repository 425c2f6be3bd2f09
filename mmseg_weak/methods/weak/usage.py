"""USAGE: one objective for seed areas of convolutional networks and transformers. An interpretation.

Peng et al., USAGE: A Unified Seed Area Generation Paradigm for Weakly Supervised Semantic Segmentation, ICCV 2023,
arXiv 2303.07806. There is no public code (godlin-sjtu/USAGE holds a README and a figure), and the text leaves open the
temperature, the normalisation of the scores, the distance, the drop shares and the momentum. What follows is an
interpretation; its open choices are arguments.

A (B,K,h,w): maps of a student with strongly dropped channels; A~: of its EMA teacher with weakly dropped ones:

    alpha = softmax over places of A / tau        s = sum over places of alpha A
    L = L_GEN(norm(s)) + lambda d(alpha, alpha~) over present classes,   L_GEN: multi-label soft margin

tau -> infinity is the mean (every place is pushed, areas grow), tau -> 0 the maximum (areas shrink): networks whose
maps are too small want a larger tau than those whose maps are too large.
"""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors import TagSegmentor
from mmseg_weak.models.teachers.ema import EMATeacher

__all__ = ['USAGE', 'channel_drop', 'shape_distance', 'spatial_distribution', 'spatial_score']

_DISTANCES = ('kl', 'l1', 'l2')


def spatial_distribution(maps: Tensor, tau: float) -> Tensor:
    """alpha: softmax over places of maps over tau, (B,K,h,w) -> (B,K,h,w), each plane sums to 1."""
    return (maps.flatten(2) / tau).softmax(2).view_as(maps)


def spatial_score(maps: Tensor, tau: float, detach: bool = False) -> Tensor:
    """s = sum over places of alpha A, (B,K,h,w) -> (B,K).

    Args:
        detach: send no gradient through the distribution; it is what shapes the areas, so by default it gets one.
    """
    weights = spatial_distribution(maps, tau)
    return ((weights.detach() if detach else weights) * maps).sum((2, 3))


def shape_distance(student: Tensor, teacher: Tensor, present: Tensor, kind: str = 'kl') -> Tensor:
    """Distance of two spatial distributions, mean over the present classes of the batch; 0 where there is none.

    Args:
        student, teacher: (B,K,h,w), see :func:`spatial_distribution`; the teacher gets no gradient.
        present: (B,K).
        kind: 'kl' (teacher to student), 'l1' or 'l2' (summed over places).
    """
    p, q = teacher.detach().flatten(2), student.flatten(2)
    if kind == 'kl':
        each = (p * (p.clamp_min(1e-12).log() - q.clamp_min(1e-12).log())).sum(2)
    else:
        each = (p - q).abs().sum(2) if kind == 'l1' else (p - q).square().sum(2)
    present = present.to(each)
    return (each * present).sum() / present.sum().clamp_min(1)


@contextmanager
def channel_drop(network: nn.Module, layers: Sequence[str], share: float) -> Iterator[None]:
    """Drop whole channels of what some layers give, at a rate that grows with depth from share / n to share.

    Kept channels are scaled, as dropout does. Maps (B,D,h,w) and tokens (B,N,D) are told apart by their dimensions.

    Raises:
        ConfigError: the network has no such layer.
    """
    known = dict(network.named_modules())
    for name in layers:
        if name not in known:
            raise ConfigError(f'model.drop_layers names {name!r}, which the backbone does not have. '
                              f'{near(name, known)}')

    def hook(rate: float) -> Any:
        def drop(module: nn.Module, inputs: Any, output: Any) -> Any:
            if isinstance(output, (tuple, list)):
                return type(output)([drop(module, inputs, output[0]), *output[1:]])
            shape = [len(output), output.shape[1], 1, 1] if output.dim() == 4 else [len(output), 1, output.shape[-1]]
            return output * F.dropout(output.new_ones(shape), rate)
        return drop

    handles = [known[name].register_forward_hook(hook(share * (i + 1) / len(layers)))
               for i, name in enumerate(layers)] if share else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _MapNetwork(nn.Module):
    """Backbone and a 1x1 classifier: (B,3,H,W) -> (B,K,h,w)."""

    def __init__(self, backbone: dict, in_channels: int, num_tags: int, in_index: int) -> None:
        super().__init__()
        self.backbone, self.in_index = MODELS.build(backbone), in_index
        self.classifier = nn.Conv2d(in_channels, num_tags, 1, bias=False)

    def init_weights(self) -> None:
        """The backbone's own."""
        if hasattr(self.backbone, 'init_weights'):
            self.backbone.init_weights()

    def forward(self, images: Tensor) -> Tensor:
        out = self.backbone(images)
        return self.classifier(out[self.in_index] if isinstance(out, (tuple, list)) else out)


@MODELS.register_module()
class USAGE(TagSegmentor):
    """USAGE over any backbone that gives feature maps. All defaults are ours, none is published.

    Args:
        backbone: config of an mmseg, mmpretrain or timm backbone.
        in_channels: of its map ``in_index``.
        num_classes: all classes, the background among them.
        tau: temperature of the distribution.
        reg_weight: lambda.
        distance: 'kl', 'l1' or 'l2'.
        normalize: of the scores: 'none', or 'tau', divided by 1 + tau.
        detach: see :func:`spatial_score`.
        drop_layers: names of the backbone's layers whose channels are dropped, shallow first.
        strong_share, weak_share: of the student's and the teacher's channels at the deepest of them.
        momentum: the student's share of an update of the teacher.
        **kwargs: of :class:`.TagSegmentor`.
    """

    def __init__(self, backbone: dict, in_channels: int, num_classes: int, tau: float = 1.0, reg_weight: float = 1.0,
                 distance: str = 'kl', normalize: str = 'none', detach: bool = False,
                 drop_layers: Sequence[str] = (), strong_share: float = 0.3, weak_share: float = 0.05,
                 momentum: float = 0.01, in_index: int = -1, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if not tau > 0 or distance not in _DISTANCES or normalize not in ('none', 'tau'):
            raise ConfigError(f"model.tau={tau}, distance='{distance}', normalize='{normalize}' of USAGE; tau is above "
                              f"0, distance one of {', '.join(_DISTANCES)}, normalize 'none' or 'tau'.")
        if not 0 <= weak_share <= strong_share < 1:
            raise ConfigError(f'model.weak_share={weak_share}, strong_share={strong_share} of USAGE; give 0 <= weak <= '
                              'strong < 1.')
        self.student = _MapNetwork(backbone, in_channels, self.num_tags, in_index)
        self.teacher = EMATeacher(self.student, momentum)
        self.tau, self.reg_weight, self.distance, self.normalize = tau, reg_weight, distance, normalize
        self.detach, self.drop_layers = detach, tuple(drop_layers)
        self.strong_share, self.weak_share = strong_share, weak_share
        with channel_drop(self.student.backbone, self.drop_layers, 0):
            pass  # wrong names are told when the model is built

    @property
    def backbone(self) -> nn.Module:
        """The student's."""
        return self.student.backbone

    def update_teacher(self) -> None:
        """One step of the average."""
        self.teacher.update(self.student)

    def class_maps(self, images: Tensor) -> Tensor:
        """Activation maps, (B,3,H,W) -> (B,K,h,w)."""
        return self.student(images)

    def tag_logits(self, images: Tensor) -> Tensor:
        """Normalised scores, (B,3,H,W) -> (B,K)."""
        return self._score(self.student(images))

    def _score(self, maps: Tensor) -> Tensor:
        score = spatial_score(full_precision(maps), self.tau, self.detach)
        return score / (1 + self.tau) if self.normalize == 'tau' else score

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The equations above."""
        if not self.teacher.is_ready:
            raise ConfigError("The teacher of USAGE was never started: add dict(type='EMATeacherHook') to "
                              'custom_hooks.')
        tags = self.tags(data_samples)
        with channel_drop(self.student.backbone, self.drop_layers, self.strong_share):
            maps = full_precision(self.student(inputs))
        with torch.no_grad(), channel_drop(self.teacher.module.backbone, self.drop_layers, self.weak_share):
            target = spatial_distribution(full_precision(self.teacher.module(inputs)), self.tau)
        shape = shape_distance(spatial_distribution(maps, self.tau), target, tags, self.distance)
        return dict(loss_cls=F.multilabel_soft_margin_loss(self._score(maps), tags), loss_reg=self.reg_weight * shape)
