"""UniMatch V2: Pushing the Limit of Semi-Supervised Semantic Segmentation, TPAMI 2025.

arXiv 2410.10777; official repository LiheYoung/UniMatch-V2 @ f6afb4d (MIT).

Against UniMatch: an EMA teacher, one stream that joins image and feature perturbation, CutMix inside the batch.

    (1) c = max softmax t(u_w),  m = argmax t(u_w)                                  teacher in eval mode
    (2) inside box_j the strong view j, m, c and the valid area come from image B-1-i of the batch, all unmixed
    (3) p_x = s(x);  (p_s1, p_s2) = s(cat(u_s1, u_s2)) with complementary dropout on every feature level:
        mask1 = 2 Bernoulli(1/2) per image and channel, mask2 = 2 - mask1; half of the images are left whole
    (4) L = ( CE(p_x, y) + (L_s1 + L_s2) / 2 ) / 2,  L_sj as in UniMatch
    (5) EMA a = min(1 - 1/(i+1), 0.996) of parameters and buffers

Deviations: where the levels of a backbone differ in width (the paper's ViT has one), every width has a mask of its own;
views are drawn on the device; an odd batch mixes its middle image with itself, as published; no division by zero
without valid pixels.
"""
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import WeakToStrongSegmentor
from mmseg_weak.models.teachers.mixing import draw_cutmix_masks, mix
from mmseg_weak.models.teachers.pseudo import Pseudo, consistency_losses, cutmix_pseudo, pseudo_from_logits

__all__ = ['ComplementaryDropout', 'UniMatchV2', 'complementary_masks', 'drop_features', 'flip_batch',
           'unimatch_v2_step_losses']


def flip_batch(pseudo: Pseudo) -> Pseudo:
    """The CutMix partners' pseudo labels: those of image B-1-i for image i."""
    return Pseudo(pseudo.labels.flip(0), pseudo.conf.flip(0), pseudo.valid.flip(0))


def unimatch_v2_step_losses(loss_x: Tensor, unsup: dict[str, Tensor]) -> dict[str, Tensor]:
    """L = (L_x + (L_s1 + L_s2) / 2) / 2 as summands; ``unsup`` holds 's1' and 's2'."""
    return dict(loss_x=loss_x / 2, **{f'loss_{name}': value / 4 for name, value in unsup.items()})


def complementary_masks(given: Tensor, order: Tensor, share_kept: float = 0.5) -> Tensor:
    """Channel masks of two views that complement each other: mask1 = 2 Bernoulli(0.5), mask2 = 2 - mask1.

    Args:
        given: (B,D) uniforms of [0,1), one a channel and pair.
        order: (B,) uniforms; the int(B * share_kept) pairs with the smallest are left whole (both masks 1).

    Returns:
        (2B,D): the masks of all first views, then those of all second views.
    """
    first = 2.0 * (given < 0.5).to(given)
    whole = order.argsort().argsort() < int(len(order) * share_kept)
    first = torch.where(whole.to(first.device)[:, None], torch.ones_like(first), first)
    return torch.cat([first, 2 - first])


def drop_features(feats: Tensor, mask: Tensor) -> Tensor:
    """Scale the channels of (B,tokens,D) or (B,D,h,w) features by a (B,D) mask."""
    mask = mask.to(feats)
    return feats * (mask[:, None] if feats.dim() == 3 else mask[:, :, None, None])


class ComplementaryDropout(torch.nn.Module):
    """Drop channels of the features of two views so that they complement each other.

    Args:
        share_kept: part of the pairs that is left whole. Paper: 0.5.
    """

    def __init__(self, share_kept: float = 0.5) -> None:
        super().__init__()
        self.share_kept = share_kept

    def forward(self, feats: Sequence) -> list:
        """Features of all first, then all second views; a level is (2B,tokens,D), (2B,D,h,w) or a tuple of such.

        A class token (2B,D) in a tuple is dropped along.
        """
        masks: dict[int, Tensor] = {}
        order = None

        def drop(level: Tensor) -> Tensor:
            nonlocal order
            width = level.shape[-1] if level.dim() <= 3 else level.shape[1]
            if order is None:
                order = torch.rand(len(level) // 2)
            if width not in masks:
                masks[width] = complementary_masks(torch.rand(len(level) // 2, width), order,
                                                   self.share_kept).to(level.device, non_blocking=True)
            return level * masks[width].to(level) if level.dim() == 2 else drop_features(level, masks[width])
        return [tuple(drop(part) for part in level) if isinstance(level, (tuple, list)) else drop(level)
                for level in feats]


@MODELS.register_module()
class UniMatchV2(WeakToStrongSegmentor):
    """Two strong views with complementary channel dropout learn from an EMA teacher.

    Args:
        segmentor, data_preprocessor, views, conf_thr, threshold, cutmix, weighting: see
            :class:`WeakToStrongSegmentor`; two views, no partner branch.
        teacher: see :class:`EMATeacher`; default momentum 0.004, inverse warm-up, buffers averaged, eval mode.
        share_kept: part of the pairs without dropout; None switches the dropout off.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None,
                 views: Sequence[str] = ('strong1', 'strong2'), conf_thr: float = 0.95, threshold: dict | None = None,
                 cutmix: dict | None = None, weighting: str = 'pixelwise', teacher: dict | None = None,
                 share_kept: float | None = 0.5, **kwargs) -> None:
        teacher = dict(momentum=0.004, warmup='inverse', buffers='average') if teacher is None else teacher
        super().__init__(segmentor, data_preprocessor=data_preprocessor, views=views, conf_thr=conf_thr,
                         threshold=threshold, cutmix=cutmix, weighting=weighting, teacher=teacher, **kwargs)
        if len(self.views) != 2:
            raise ConfigError(f'model.views names {len(self.views)} views; UniMatchV2 complements exactly two.')
        self.dropout = None if share_kept is None else ComplementaryDropout(share_kept)

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The algorithm box above."""
        labelled, weak, valid = self.need(inputs, 'sup', 'unsup', 'unsup_valid')
        own = pseudo_from_logits(self.teacher_logits(weak), valid)
        other, strong, targets = flip_batch(own), [], []
        for view in self.need(inputs, *(f'unsup_{name}' for name in self.views)):
            mask = draw_cutmix_masks(len(weak), tuple(weak.shape[-2:]), weak.device, **self.cutmix)
            strong.append(mix(view, view.flip(0), mask))
            targets.append(cutmix_pseudo(own, other, mask))
        feats = self.features(labelled)
        sup = self.supervised_loss(self.decode(feats), data_samples['sup'], feats)
        feats = self.features(torch.cat(strong))
        feats = feats if self.dropout is None else self.dropout(feats)
        parts = self.upsample(self.decode(feats), weak.shape[-2:]).chunk(2)
        kept = self.threshold(own.conf, own.labels, own.valid)
        self.monitor.update(own.labels, own.conf, kept, own.valid)
        pairs = {f's{i}': pair for i, pair in enumerate(zip(parts, targets), 1)}
        unsup = consistency_losses(pairs, conf_thr=self.pixel_threshold, mode=self.weighting)
        return {**unimatch_v2_step_losses(sum(sup.values()), unsup), **self.statistics(own)}
