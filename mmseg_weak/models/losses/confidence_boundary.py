"""CW-BASS's loss: cross-entropy on pseudo labels, weighted by confidence, and once more along their boundaries."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.models.teachers.policies import sigmoid_threshold

from .common import full_precision, masked_mean, pixel_cross_entropy

__all__ = ['ConfidenceWeightedBoundaryLoss', 'confidence_weighted_boundary_loss', 'confidence_weighted_boundary_terms',
           'mean_confidence', 'sobel_boundary']


@torch.no_grad()
def sobel_boundary(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels where a class map changes, found by Sobel filters on its one-hot planes.

    A pixel is boundary where the gradient magnitude of any class is above 0. Planes are padded with zeros, so the
    outermost ring is always boundary; labels outside of [0, C) are clamped (255 counts as the last class). A lone
    pixel of another class is no boundary itself (Sobel's centre is 0), its neighbours are.

    Args:
        labels: (B,H,W) long.

    Returns:
        (B,H,W) bool.
    """
    onehot = F.one_hot(labels.clamp(0, num_classes - 1), num_classes).permute(0, 3, 1, 2)
    planes = F.pad(onehot.to(torch.int8), (1, 1, 1, 1))
    smooth_y = planes[..., :-2, :] + 2 * planes[..., 1:-1, :] + planes[..., 2:, :]
    smooth_x = planes[..., :-2] + 2 * planes[..., 1:-1] + planes[..., 2:]
    along_x = smooth_y[..., 2:] != smooth_y[..., :-2]
    along_y = smooth_x[..., 2:, :] != smooth_x[..., :-2, :]
    return (along_x | along_y).any(1)


def mean_confidence(conf: Tensor, valid: Tensor) -> Tensor:
    """Mean of (B,H,W) confidences over the valid pixels of the batch; 0 without any."""
    return masked_mean(conf, valid)


def confidence_weighted_boundary_terms(logits: Tensor, target: Tensor, conf: Tensor, boundary: Tensor, *,
                                       gamma: float = 1.0, ignore_index: int = 255) -> tuple[Tensor, Tensor]:
    """The two means of the loss, over valid pixels and over valid boundary pixels (at least 1 each).

    L_cw = sum(c^gamma e v) / max(sum v, 1),  L_bd = sum(e b v) / max(sum(b v), 1),  e = CE(logits, target).

    Args:
        logits: (B,C,H,W) of the student.
        target: (B,H,W) long pseudo labels, ``ignore_index`` below the threshold.
        conf: (B,H,W) confidence of the teacher, in [0,1].
        boundary: (B,H,W) bool.
    """
    known = target.ne(ignore_index)
    loss_map = pixel_cross_entropy(logits, target, ignore_index)
    return masked_mean(conf.detach().to(loss_map) ** gamma * loss_map, known), masked_mean(loss_map, known & boundary)


def confidence_weighted_boundary_loss(logits: Tensor, target: Tensor, conf: Tensor, boundary: Tensor, *,
                                      gamma: float = 1.0, boundary_weight: float = 0.5,
                                      ignore_index: int = 255) -> Tensor:
    """L_cw + boundary_weight L_bd, see :func:`confidence_weighted_boundary_terms`; 0 where nothing is valid."""
    weighted, edge = confidence_weighted_boundary_terms(logits, target, conf, boundary, gamma=gamma,
                                                        ignore_index=ignore_index)
    return weighted + boundary_weight * edge


@MODELS.register_module()
class ConfidenceWeightedBoundaryLoss(nn.Module):
    """From student and teacher logits to CW-BASS's unlabelled loss.

    Args:
        gamma: exponent of the confidence.
        boundary_weight: of the boundary term.
        base_thr, beta, clip: of the dynamic threshold, :func:`sigmoid_threshold`. With the paper's 0.6 and 0.5 it
            moves in [0.30, 0.34] only and hardly filters.
        fixed_thr: a probability to use instead of the dynamic threshold.
        decay_factor: constant factor on the confidence after thresholding; None (default of the release) is off. The
            release's value where it is on: 0.9.
        loss_weight: lambda_u, 1.

    Source: psychofict/CW-BASS @ 4cad82c, main.py.
    """

    def __init__(self, gamma: float = 1.0, boundary_weight: float = 0.5, base_thr: float = 0.6, beta: float = 0.5,
                 clip: tuple[float, float] = (0.3, 0.8), fixed_thr: float | None = None,
                 decay_factor: float | None = None, loss_weight: float = 1.0, ignore_index: int = 255,
                 loss_name: str = 'loss_conf_boundary') -> None:
        super().__init__()
        self.gamma, self.boundary_weight = gamma, boundary_weight
        self.base_thr, self.beta, self.clip, self.fixed_thr = base_thr, beta, tuple(clip), fixed_thr
        self.decay_factor, self.loss_weight = decay_factor, loss_weight
        self.ignore_index, self._loss_name = ignore_index, loss_name

    @torch.no_grad()
    def pseudo(self, teacher: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """What the teacher's (B,C,H,W) logits give.

        Returns:
            'conf' (B,H,W), 'argmax' (B,H,W), 'boundary' (B,H,W) bool of the *unfiltered* argmax, 'thr' scalar,
            'labels' (B,H,W) with ``ignore_index`` where conf <= thr or outside of ``valid``.
        """
        conf, argmax = full_precision(teacher).softmax(1).max(1)
        valid = torch.ones_like(argmax, dtype=torch.bool) if valid is None else valid
        thr = (sigmoid_threshold(mean_confidence(conf, valid), self.base_thr, self.beta, self.clip)
               if self.fixed_thr is None else conf.new_tensor(self.fixed_thr))
        labels = argmax.masked_fill(~(valid & (conf > thr)), self.ignore_index)
        return dict(conf=conf, argmax=argmax, boundary=sobel_boundary(argmax, teacher.shape[1]), thr=thr,
                    labels=labels)

    def from_pseudo(self, student: Tensor, pseudo: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(L_cw, L_bd) of (B,C,H,W) student logits, without weights."""
        conf = pseudo['conf'] if self.decay_factor is None else pseudo['conf'] * self.decay_factor
        return confidence_weighted_boundary_terms(student, pseudo['labels'], conf, pseudo['boundary'],
                                                  gamma=self.gamma, ignore_index=self.ignore_index)

    def total(self, weighted: Tensor, edge: Tensor) -> Tensor:
        """Both terms together, with their weights."""
        return self.loss_weight * (weighted + self.boundary_weight * edge)

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B,C,H,W) logits of student and teacher (no gradient), (B,H,W) bool valid -> scalar."""
        return self.total(*self.from_pseudo(student, self.pseudo(teacher, valid)))

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
