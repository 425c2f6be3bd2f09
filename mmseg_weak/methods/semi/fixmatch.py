"""FixMatch for segmentation, the baseline of the UniMatch paper (CVPR 2023, arXiv 2208.09910).

Idea: FixMatch, NeurIPS 2020, arXiv 2001.07685; segmentation form: LiheYoung/UniMatch @ 0324f3d, fixmatch.py (MIT).

One strong view learns from the weak one, with CutMix:

    c = max softmax p_w,  m = argmax p_w,  (m', c') from the partner in eval mode, pasted inside the box
    L = ( CE(p_x, y) + sum( CE(p_s, m_mix) [c_mix >= tau] [ok] ) / sum [ok] ) / 2

The own label comes from the train-mode pass shared with the labelled images; the strong view is forwarded alone.
Deviations: those of UniMatch (views on the device, partner another image by default, no division by zero).
"""
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.segmentors import WeakToStrongSegmentor

__all__ = ['FixMatch']


@MODELS.register_module()
class FixMatch(WeakToStrongSegmentor):
    """See the module; arguments as :class:`WeakToStrongSegmentor`, with one view and no feature branch."""

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """(L_x + mean over views of L_s) / 2."""
        branches = self.forward_branches(inputs)
        own, targets = branches.targets()
        sup = self.supervised_loss(branches.sup_logits, data_samples['sup'], branches.sup_feats)
        unsup = self.consistency(branches, own, targets)
        losses = {f'loss_{name}': value / len(unsup) / 2 for name, value in unsup.items()}
        return dict(loss_x=sum(sup.values()) / 2, **losses, **self.statistics(own))
