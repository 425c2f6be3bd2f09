"""Cross-entropy on pseudo labels, trusted by their confidence (UniMatch and its descendants)."""
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

from .common import masked_mean, pixel_cross_entropy

__all__ = ['ConfidenceWeightedCE', 'confidence_weighted_ce', 'weight_by_confidence']

MODES = ('pixelwise', 'pixelratio', 'pixelavg')


def weight_by_confidence(loss_map: Tensor, conf: Tensor, valid: Tensor, conf_thr: float | Tensor = 0.95,
                         mode: str = 'pixelwise', as_published: bool = False) -> Tensor:
    """Reduce a loss map with confidences; the denominator is always the number of valid pixels of the batch.

    - pixelwise: sum over valid pixels with conf >= conf_thr. Unconfident pixels stay in the denominator.
    - pixelratio: every image's loss times its share of confident pixels among the valid ones.
    - pixelavg: the loss summed over the *batch*, times each image's mean confidence, summed over images. (So a
      batch of B equal images has B times the loss of one; the published numbers rest on it.)

    Args:
        loss_map: (B,H,W) loss of every pixel.
        conf: (B,H,W) in [0,1].
        valid: (B,H,W) bool, False on padding.
        conf_thr: probability from which a pixel counts, or a (B,H,W) map of them.
        as_published: the release lets ignored pixels into the sums of pixelratio and pixelavg; by default they are
            left out.

    Returns:
        Scalar; 0 where nothing is valid.

    Source: wooseok-shin/SemiOVS @ c205caa, util/train_utils.py, after google-research/semivl; pixelwise is UniMatch.
    """
    if mode == 'pixelwise':
        kept = valid & (conf >= conf_thr)
        return torch.where(kept, loss_map, torch.zeros_like(loss_map)).sum() / valid.sum().clamp(min=1)
    if mode not in MODES:
        raise ConfigError(f"mode='{mode}' of ConfidenceWeightedCE is none of {', '.join(MODES)}.")
    per_image = valid.sum((1, 2)).clamp(min=1)
    if not as_published:
        loss_map = torch.where(valid, loss_map, torch.zeros_like(loss_map))
    if mode == 'pixelratio':
        share = (valid & (conf >= conf_thr)).sum((1, 2)) / per_image
        total = (loss_map.sum((1, 2)) * share).sum()
    else:
        mean_conf = torch.where(valid, conf, torch.zeros_like(conf)).sum((1, 2)) / per_image
        total = (loss_map.sum() * mean_conf).sum()
    return total / valid.sum().clamp(min=1)


def confidence_weighted_ce(logits: Tensor, target: Tensor, conf: Tensor, valid: Tensor | None = None, *,
                           conf_thr: float | Tensor = 0.95, mode: str = 'pixelwise', as_published: bool = False,
                           ignore_index: int = 255) -> Tensor:
    """Cross-entropy of (B,C,H,W) logits against pseudo labels, see :func:`weight_by_confidence`.

    Args:
        target: (B,H,W) long; ``ignore_index`` is invalid.
        conf: (B,H,W) confidence of the pseudo label.
        valid: (B,H,W) bool; None means everywhere.
    """
    known = target.ne(ignore_index)
    valid = known if valid is None else valid & known
    return weight_by_confidence(pixel_cross_entropy(logits, target, ignore_index), conf, valid, conf_thr, mode,
                                as_published)


@MODELS.register_module()
class ConfidenceWeightedCE(nn.Module):
    """Module of :func:`confidence_weighted_ce`; without ``conf`` it is the mean cross-entropy over valid pixels.

    Args:
        conf_thr: probability in [0,1] from which a pseudo label counts. UniMatch: 0.95 (VOC), 0 (Cityscapes).
        mode: 'pixelwise', 'pixelratio' or 'pixelavg'.
        as_published: see :func:`weight_by_confidence`.
    """

    def __init__(self, conf_thr: float = 0.95, mode: str = 'pixelwise', as_published: bool = False,
                 loss_weight: float = 1.0, ignore_index: int = 255, loss_name: str = 'loss_conf_ce') -> None:
        super().__init__()
        if mode not in MODES:
            raise ConfigError(
                f"mode='{mode}' of ConfidenceWeightedCE is none of {', '.join(MODES)}.")
        self.conf_thr, self.mode, self.as_published = conf_thr, mode, as_published
        self.loss_weight, self.ignore_index, self._loss_name = loss_weight, ignore_index, loss_name

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = None,
                conf: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """(B,C,H,W) logits, (B,H,W) labels -> scalar; ``weight`` (B,H,W) multiplies the loss map (mmseg's)."""
        ignore_index = self.ignore_index if ignore_index is None else ignore_index
        loss_map = pixel_cross_entropy(logits, target, ignore_index)
        loss_map = loss_map if weight is None else loss_map * weight
        known = target.ne(ignore_index)
        valid = known if valid is None else valid & known
        if conf is None:
            return self.loss_weight * masked_mean(loss_map, valid)
        return self.loss_weight * weight_by_confidence(loss_map, conf, valid, self.conf_thr, self.mode,
                                                       self.as_published)

    @property
    def loss_name(self) -> str:
        """Key under which mmseg's heads log this loss."""
        return self._loss_name
