"""UniMatch: Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023.

arXiv 2208.09910; official repository LiheYoung/UniMatch @ 0324f3d (MIT).

With logits (B,C,H,W) of the weak view p_w, its CutMix partner p', the strong views p_s1, p_s2 and the weak view with
dropped features p_fp:

    (1) c = max softmax p_w,  m = argmax p_w          (no gradient)
    (2) m_j, c_j, ok_j = (m', c', ok') inside box_j, (m, c, ok) outside, j = 1, 2
    (3) L_u(p; m, c, ok) = sum( CE(p, m) [c >= tau] [ok] ) / sum [ok]
    (4) L = ( CE(p_x, y) + 1/4 L_u(p_s1; .._1) + 1/4 L_u(p_s2; .._2) + 1/2 L_u(p_fp; m, c, ok) ) / 2

p_w comes from the train-mode pass that the weak view shares with the labelled images, p' from eval mode.

Deviations: strong views are drawn on the device (``PhotometricView``); the CutMix partner is another image by default
(``MultiSourceSampler(partner='other')``), where the released distributed code pairs an image with another crop of
itself (``partner='same_image'``); a batch without a valid pixel has loss 0 instead of a division by zero.
"""
from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.segmentors import WeakToStrongSegmentor
from mmseg_weak.models.teachers.pseudo import Pseudo, consistency_losses, cutmix_pseudo, pseudo_from_logits

__all__ = ['Pseudo', 'UniMatch', 'cutmix_pseudo', 'pseudo_from_logits', 'unimatch_step_losses',
           'unimatch_unsup_losses']

unimatch_unsup_losses = consistency_losses  # Eq. (3)


def unimatch_step_losses(loss_x: Tensor, unsup: dict[str, Tensor], *, s_weight: float = 0.25,
                         fp_weight: float = 0.5) -> dict[str, Tensor]:
    """Eq. (4) as summands of the total loss.

    Args:
        loss_x: supervised loss.
        unsup: 's1', 's2' and 'fp' to the terms of eq. (3); a missing one counts nothing.
        s_weight, fp_weight: weights of each strong view and of the feature perturbation.

    Returns:
        'loss_x', 'loss_s1', ..., each with its weight and the common 1/2, so that their sum is the loss.
    """
    weights = dict(fp=fp_weight)
    return dict(loss_x=loss_x / 2, **{f'loss_{k}': v * weights.get(k, s_weight) / 2 for k, v in unsup.items()})


@MODELS.register_module()
class UniMatch(WeakToStrongSegmentor):
    """Two strong views and one feature-perturbed view learn from the weak one.

    Args:
        segmentor: any mmseg encoder-decoder.
        data_preprocessor: ``MultiBranchDataPreprocessor`` with ``partner=True`` and the ``views`` named here.
        views: the preprocessor's strong views. Paper: two.
        conf_thr, threshold, cutmix, dropout_levels, weighting: see :class:`WeakToStrongSegmentor`. tau: VOC and COCO
            0.95, Cityscapes 0. Paper drops channels of the first and the last feature level.
        feature_dropout: probability. Paper: 0.5.
        s_weight, fp_weight: see :func:`unimatch_step_losses`.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None,
                 views: Sequence[str] = ('strong1', 'strong2'), conf_thr: float = 0.95, threshold: dict | None = None,
                 cutmix: dict | None = None, feature_dropout: float = 0.5, dropout_levels: Sequence[int] = (0, -1),
                 weighting: str = 'pixelwise', s_weight: float = 0.25, fp_weight: float = 0.5, **kwargs) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, views=views, conf_thr=conf_thr,
                         threshold=threshold, cutmix=cutmix, feature_dropout=feature_dropout,
                         dropout_levels=dropout_levels, weighting=weighting, **kwargs)
        self.s_weight, self.fp_weight = s_weight, fp_weight

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The algorithm box above."""
        branches = self.forward_branches(inputs)
        own, targets = branches.targets()
        sup = self.supervised_loss(branches.sup_logits, data_samples['sup'], branches.sup_feats)
        losses = unimatch_step_losses(sum(sup.values()), self.consistency(branches, own, targets),
                                      s_weight=self.s_weight, fp_weight=self.fp_weight)
        return {**losses, **self.statistics(own)}
