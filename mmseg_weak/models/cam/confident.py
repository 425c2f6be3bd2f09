"""Seeds that two heights of the background agree on: what AffinityNet and IRNet learn from.

- IRNet: Ahn, Cho & Kwak, CVPR 2019; jiwoon-ahn/irn @ a2ece00 (MIT), step/cam_to_ir_label.py.
- AffinityNet: Ahn & Kwak, CVPR 2018; jiwoon-ahn/psa @ 9493e59 (MIT), voc12/data.py.
"""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine import Refiner

from .seeds import background_score, merge_confident

__all__ = ['ConfidentSeeds', 'confident_labels', 'present_probs']

_SURE = 0.75  # between the 1 of a sure pixel and the 0.5 of an unsure one


def confident_labels(scores: Tensor, ignore_index: int = 255) -> Tensor:
    """Labels of the scores of :class:`ConfidentSeeds`, (B,C,H,W) -> (B,H,W) long, ``ignore_index`` where unsure."""
    conf, label = scores.max(1)
    return label.masked_fill(conf < _SURE, ignore_index)


def present_probs(labels: Tensor, used: Tensor, gt_prob: float = 0.7) -> Tensor:
    """Probabilities that hard labels stand for, shared among the classes of each image alone.

    Args:
        labels: (B,H,W), each a class that is used.
        used: (B,C) bool.
        gt_prob: of the label; the rest goes to the image's other classes in equal parts.

    Returns:
        (B,C,H,W) float32; 1 where an image has one class.
    """
    count = used.sum(1).clamp(min=1)[:, None, None, None]
    rest = (1 - gt_prob) / (count - 1).clamp(min=1)
    top = torch.where(count == 1, 1.0, gt_prob)
    hit = F.one_hot(labels, used.shape[1]).permute(0, 3, 1, 2).bool()
    return torch.where(hit, top, rest) * used[:, :, None, None]


@MODELS.register_module()
class ConfidentSeeds(Refiner):
    """Class maps in, sure pixels out: 1 at an object's or the background's sure pixels, 0.5 and 0.5 between.

    Objects are where a strict background loses to them, background is where a loose one wins. With
    ``mmseg-weak pseudo-label --conf-thr 0.6`` the pixels between become 255; :func:`confident_labels` does it in a
    training step.

    Args:
        strict, loose: background of the two runs. IRNet: constant scores 0.30 and 0.05; AffinityNet: powers 4 and 32.
        background: 'constant', a score, or 'power', (1 - max)^a; a high power is a loose background.
        crf: config of a refinement of each run, IRNet and AffinityNet: ``dict(type='DenseCRF', preset='irn_label')``
            and 'psa'; None leaves it out.
        gt_prob: the refinement gets each run's labels with this trust (IRNet 0.7); None gives it the scores themselves
            (AffinityNet).
        check: see :class:`.Refiner`.
    """

    def __init__(self, strict: float = 0.30, loose: float = 0.05, background: str = 'constant',
                 crf: dict | None = None, gt_prob: float | None = 0.7, check: bool | None = None) -> None:
        super().__init__(check)
        order = loose < strict if background == 'constant' else strict < loose
        if background not in ('constant', 'power') or not order:
            raise ConfigError(f"strict={strict}, loose={loose}, background='{background}' of ConfidentSeeds; with "
                              "'constant' the loose score is the lower one, with 'power' the higher exponent.")
        self.heights, self.background, self.gt_prob = (strict, loose), background, gt_prob
        self.crf = MODELS.build(crf) if crf else None

    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """(B,C,H,W) class maps behind a background plane, which is not looked at."""
        if scores.shape[1] == 1:  # no image of the batch has a class
            return torch.ones_like(scores)
        used = torch.ones_like(scores[:, :, 0, 0], dtype=torch.bool) if used is None else used
        strict, loose = (self._labels(scores[:, 1:], image, used, height) for height in self.heights)
        merged = merge_confident(strict, loose)
        if self.background == 'power':
            merged = merged.masked_fill(loose == 0, 0)
        unsure = (merged == 255)[:, None]
        sure = F.one_hot(merged.masked_fill(merged == 255, 0), scores.shape[1]).permute(0, 3, 1, 2)
        between = F.one_hot(loose, scores.shape[1]).permute(0, 3, 1, 2)
        return torch.where(unsure, (sure + between) / 2, sure.float()).to(scores)

    def _labels(self, objects: Tensor, image: Tensor, used: Tensor, height: float) -> Tensor:
        planes = torch.cat([background_score(objects, self.background, height), objects], 1)
        absent = ~used[:, :, None, None]
        if self.crf is not None:
            if self.gt_prob is not None:
                planes = present_probs(planes.masked_fill(absent, -torch.inf).argmax(1), used, self.gt_prob)
            planes = self.crf(planes, image, used)
        return planes.masked_fill(absent, -torch.inf).argmax(1)

    def extra_repr(self) -> str:
        """Settings."""
        return f'strict={self.heights[0]}, loose={self.heights[1]}, background={self.background!r}'
