"""Weak-to-strong consistency with CutMix: what FixMatch, UniMatch and their descendants share."""
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers.mixing import draw_cutmix_masks, mix
from mmseg_weak.models.teachers.pseudo import Pseudo, consistency_losses, cutmix_pseudo, pseudo_from_logits
from mmseg_weak.models.utils import eval_mode

from .semi import SemiSegmentor

__all__ = ['Branches', 'WeakToStrongSegmentor']


@dataclass
class Branches:
    """What one forward of labelled, weak and strong images gives.

    sup_logits: (B,C,h,w) of labelled images, at head resolution; sup_feats: their features.
    weak_logits, partner_logits: (B,C,H,W) without gradient; valid, partner_valid: (B,H,W) bool.
    logits: branch name ('s1', 's2', 'fp', ...) to (B,C,H,W); masks: the same names to the CutMix mask or None.
    """
    sup_logits: Tensor
    sup_feats: list[Tensor]
    weak_logits: Tensor
    valid: Tensor
    partner_logits: Tensor
    partner_valid: Tensor
    logits: dict[str, Tensor]
    masks: dict[str, Tensor | None]

    def targets(self, weak_logits: Tensor | None = None, partner_logits: Tensor | None = None
                ) -> tuple[Pseudo, dict[str, Pseudo]]:
        """Pseudo labels: of the weak view, and of every branch after pasting; from other logits where given."""
        own = pseudo_from_logits(self.weak_logits if weak_logits is None else weak_logits, self.valid)
        partner = pseudo_from_logits(self.partner_logits if partner_logits is None else partner_logits,
                                     self.partner_valid)
        return own, {name: own if mask is None else cutmix_pseudo(own, partner, mask)
                     for name, mask in self.masks.items()}


class WeakToStrongSegmentor(SemiSegmentor):
    """Base of the methods whose student labels its own weak views and learns them from strong ones.

    Args:
        segmentor, data_preprocessor: see :class:`SemiSegmentor`.
        views: names of the preprocessor's strong views, one branch each.
        conf_thr: probability from which a pseudo label counts; short for a ``FixedThreshold``.
        threshold: config of another :class:`ThresholdPolicy` (without num_classes) in place of ``conf_thr``.
        cutmix: ``prob``, ``area_ratio``, ``aspect`` of :func:`cutmix_box`.
        feature_dropout: channel dropout probability of the feature-perturbed branch; None has no such branch.
        dropout_levels: indices of the features that are perturbed.
        weighting: 'pixelwise', 'pixelratio' or 'pixelavg', see :func:`weight_by_confidence`.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, views: Sequence[str] = ('strong1',),
                 conf_thr: float = 0.95, threshold: dict | None = None, cutmix: dict | None = None,
                 feature_dropout: float | None = None, dropout_levels: Sequence[int] = (0, -1),
                 weighting: str = 'pixelwise', **kwargs) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, **kwargs)
        if threshold is not None and threshold.get('type') == 'FixedThreshold' and 'conf_thr' not in threshold:
            threshold = dict(threshold, conf_thr=conf_thr)
        self.threshold = MODELS.build(dict(threshold or dict(type='FixedThreshold', conf_thr=conf_thr),
                                           num_classes=self.num_classes))
        self.views = list(views)
        self.cutmix = dict(cutmix or {})
        self.feature_dropout, self.dropout_levels = feature_dropout, list(dropout_levels)
        self.weighting = weighting

    def forward_branches(self, inputs: dict[str, Tensor]) -> Branches:
        """Run all passes of a step: partner (eval mode, no gradient), labelled + weak, strong views.

        The own weak view is labelled by the *train-mode* pass that it shares with the labelled images, the partner by
        eval mode, as released.
        """
        sup, weak, valid = self.need(inputs, 'sup', 'unsup', 'unsup_valid')
        partner, partner_valid = self.need(inputs, 'partner', 'partner_valid')
        size = weak.shape[-2:]
        with torch.no_grad(), eval_mode(self.student):
            partner_logits = self.logits(partner)
        strong, masks = [], {}
        for i, view in enumerate(self.views, 1):
            own, other = self.need(inputs, f'unsup_{view}', f'partner_{view}')
            mask = draw_cutmix_masks(len(own), size, own.device, **self.cutmix)
            strong.append(mix(own, other, mask))
            masks[f's{i}'] = mask
        feats = self.features(torch.cat([sup, weak]))
        count, logits = len(sup), {}
        if self.feature_dropout is None:
            clean = self.decode(feats)
        else:
            clean, dropped = self.decode(self.perturb(feats)).chunk(2)
            logits['fp'] = self.upsample(dropped[count:], size)
            masks['fp'] = None
        with torch.no_grad():
            weak_logits = self.upsample(clean[count:].detach(), size)
        parts = self.logits(torch.cat(strong)).chunk(len(strong))
        logits.update({f's{i}': part for i, part in enumerate(parts, 1)})
        return Branches(clean[:count], [f[:count] for f in feats], weak_logits, valid, partner_logits, partner_valid,
                        logits, masks)

    def perturb(self, feats: list[Tensor]) -> list[Tensor]:
        """Append a copy of the features with whole channels dropped, (B,C,h,w) -> (2B,C,h,w) at every level.

        Raises:
            ConfigError: the backbone gives no such level.
        """
        for level in self.dropout_levels:
            if not -len(feats) <= level < len(feats):
                raise ConfigError(f'model.dropout_levels names feature {level} and the backbone gives {len(feats)} '
                                  'levels; name levels that it has.')
        chosen = {level % len(feats) for level in self.dropout_levels}
        return [torch.cat([f, F.dropout2d(f, self.feature_dropout) if i in chosen else f])
                for i, f in enumerate(feats)]

    def consistency(self, branches: Branches, own: Pseudo, targets: dict[str, Pseudo]) -> dict[str, Tensor]:
        """The confidence-weighted loss of every branch; the threshold learns from the unmixed labels, once."""
        kept = self.threshold(own.conf, own.labels, own.valid)
        self.monitor.update(own.labels, own.conf, kept, own.valid)
        return consistency_losses({name: (logits, targets[name]) for name, logits in branches.logits.items()},
                                  conf_thr=self.pixel_threshold, mode=self.weighting)

    def pixel_threshold(self, pseudo: Pseudo) -> Tensor:
        """The policy's threshold for these pseudo labels; nothing is learnt."""
        return self.threshold.threshold(pseudo.conf, pseudo.labels, pseudo.valid)

    def statistics(self, own: Pseudo) -> dict[str, Tensor]:
        """Curves for the log: share of valid pixels that are trusted, mean confidence."""
        total = own.valid.sum().clamp_min(1)
        kept = (own.conf >= self.pixel_threshold(own)) & own.valid
        return dict(kept_ratio=kept.sum() / total, mean_conf=(own.conf * own.valid).sum() / total)
