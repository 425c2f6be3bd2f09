"""Consistency of a student with its teacher on the same (mixed) image: Mean Teacher, CutMix-Seg."""
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

from .common import full_precision

__all__ = ['ConsistencyLoss', 'consistency_loss', 'consistency_map']

KINDS = ('var', 'mse', 'kld', 'logits_var')


def consistency_map(student: Tensor, teacher: Tensor, kind: str = 'var') -> Tensor:
    """Distance of two predictions at every pixel, (B,C,H,W) logits twice -> (B,H,W).

    - var: sum_c (p_s - p_t)^2;  mse: the same as a mean over classes (Mean Teacher)
    - kld: sum_c p_t (log p_t - log p_s)
    - logits_var: sum_c (s - t)^2 / sqrt(C)
    """
    student, teacher = full_precision(student), full_precision(teacher)
    if kind == 'kld':
        log_teacher = teacher.log_softmax(1)
        return (log_teacher.exp() * (log_teacher - student.log_softmax(1))).sum(1)
    if kind == 'logits_var':
        return (student - teacher).square().sum(1) / student.shape[1] ** 0.5
    if kind not in KINDS:
        raise ConfigError(f"kind='{kind}' of ConsistencyLoss is none of {', '.join(KINDS)}.")
    square = (student.softmax(1) - teacher.softmax(1)).square()
    return square.sum(1) if kind == 'var' else square.mean(1)


def consistency_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None, *, kind: str = 'var',
                     conf_thr: float | Tensor = 0.97, per_pixel_conf: bool = False) -> Tensor:
    """Mean over ALL pixels (also invalid and unconfident ones) of the masked distance.

    Args:
        student, teacher: (B,C,H,W) logits on the same image; the teacher's get no gradient.
        valid: (B,H,W) bool or float, 0 outside of the source images.
        kind: see :func:`consistency_map`.
        conf_thr: probability of the teacher from which a pixel is confident; 0 trusts all.
        per_pixel_conf: mask unconfident pixels. The published default, False, multiplies the whole batch with the
            share of confident pixels (of all pixels) instead.

    Returns:
        Scalar.

    Source: Britefury/cutmix-semisup-seg @ af6183a, train_seg_semisup_mask_mt.py.
    """
    teacher = teacher.detach()
    loss_map = consistency_map(student, teacher, kind)
    confident = (full_precision(teacher).softmax(1).amax(1) >= conf_thr).to(loss_map)
    mask = confident if per_pixel_conf else confident.mean().expand_as(confident)
    if valid is not None:
        mask = mask * valid
    return torch.where(mask > 0, loss_map * mask, torch.zeros_like(loss_map)).mean()


@MODELS.register_module()
class ConsistencyLoss(nn.Module):
    """Module of :func:`consistency_loss`.

    Args:
        kind: 'var' (CutMix-Seg), 'mse' (Mean Teacher), 'kld' or 'logits_var'.
        conf_thr: probability in [0,1]. CutMix-Seg: 0.97; Mean Teacher: 0.
        per_pixel_conf: see :func:`consistency_loss`.
        loss_weight: CutMix-Seg 1, Mean Teacher 100.
    """

    def __init__(self, kind: str = 'var', conf_thr: float = 0.97, per_pixel_conf: bool = False,
                 loss_weight: float = 1.0, loss_name: str = 'loss_consistency') -> None:
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(f"kind='{kind}' of ConsistencyLoss is none of {', '.join(KINDS)}.")
        self.kind, self.conf_thr, self.per_pixel_conf = kind, conf_thr, per_pixel_conf
        self.loss_weight, self._loss_name = loss_weight, loss_name

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B,C,H,W) student and teacher logits -> scalar."""
        return self.loss_weight * consistency_loss(student, teacher, valid, kind=self.kind, conf_thr=self.conf_thr,
                                                   per_pixel_conf=self.per_pixel_conf)

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
