"""Which pixels of a pseudo label count: thresholds on its confidence.

Every policy maps confidence and class to a bool map ``kept`` (B,H,W). None of them synchronises with the device.
Those that learn keep what they learnt in buffers, so that a resumed run goes on where it was.
"""
from abc import ABCMeta, abstractmethod

import torch
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['DynamicThreshold', 'FixedThreshold', 'PerClassThreshold', 'QuantileThreshold', 'ThresholdPolicy',
           'quantile_threshold', 'sigmoid_threshold']


def sigmoid_threshold(mean_conf: Tensor, base_thr: float = 0.6, beta: float = 0.5,
                      clip: tuple[float, float] = (0.3, 0.8)) -> Tensor:
    """clip( base / (1 + exp(-beta (mean_conf - 0.5))) ), CW-BASS's dynamic threshold (card, step 4)."""
    return (base_thr * torch.sigmoid(beta * (mean_conf - 0.5))).clamp(*clip)


def quantile_threshold(values: Tensor, valid: Tensor, q: Tensor | float) -> Tensor:
    """The q-quantile (linear interpolation, as numpy's) of ``values`` where ``valid``, without a host round trip.

    Args:
        values: any shape, float. valid: same shape, bool. q: in [0, 1].

    Returns:
        Scalar tensor; +inf where nothing is valid.
    """
    flat = torch.where(valid, values, values.new_tensor(float('inf'))).flatten().float().sort().values
    last = (valid.sum() - 1).clamp_min(0)
    place = last * torch.as_tensor(q, dtype=torch.float64, device=flat.device)
    low = place.floor().long()
    high = torch.minimum(low + 1, last)
    a, b = flat[low], flat[high]
    return torch.where(valid.any(), torch.lerp(a, torch.where(high > low, b, a), (place - low).to(a)), a)


class ThresholdPolicy(nn.Module, metaclass=ABCMeta):
    """Base of the policies.

    Args:
        num_classes: classes of the pseudo labels.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    @abstractmethod
    def threshold(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> Tensor:
        """Threshold that broadcasts against ``conf`` (B,H,W); nothing is learnt here."""

    def learn(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> None:
        """Take in one batch of pseudo labels; policies without a memory have nothing to do."""

    def forward(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> Tensor:
        """conf (B,H,W) in [0,1], pseudo (B,H,W) long, valid (B,H,W) bool -> kept (B,H,W) bool; learns in train mode."""
        if self.training:
            self.learn(conf, pseudo, valid)
        return (conf >= self.threshold(conf, pseudo, valid)) & valid


@MODELS.register_module()
class FixedThreshold(ThresholdPolicy):
    """One probability for all, e.g. 0.95 (FixMatch, UniMatch)."""

    def __init__(self, num_classes: int, conf_thr: float = 0.95) -> None:
        super().__init__(num_classes)
        if not 0.0 <= conf_thr <= 1.0:
            raise ConfigError(f'conf_thr is {conf_thr}; a probability lies in [0, 1].')
        self.conf_thr = conf_thr

    def threshold(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> Tensor:
        """The constant."""
        return conf.new_tensor(self.conf_thr)


class _ClassStatistic(ThresholdPolicy):
    """A policy with one moving mean of the confidence per class, equal on all ranks."""

    def __init__(self, num_classes: int, momentum: float) -> None:
        super().__init__(num_classes)
        self.momentum = momentum
        self.register_buffer('class_conf', torch.full((num_classes,), 1.0 / num_classes))

    @torch.no_grad()
    def learn(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> None:
        """Move the mean confidence of the classes that this batch predicts."""
        weight = valid.flatten().float()
        label = pseudo.flatten()
        sums = conf.new_zeros(2, self.num_classes, dtype=torch.float32)
        sums[0].index_add_(0, label, weight * conf.flatten().float())
        sums[1].index_add_(0, label, weight)
        all_reduce(sums)
        mean = torch.where(sums[1] > 0, sums[0] / sums[1].clamp_min(1), self.class_conf)
        self.class_conf.lerp_(mean, self.momentum)


@MODELS.register_module()
class PerClassThreshold(_ClassStatistic):
    """Classes the network is less sure of get a lower bar: thr_c = conf_thr * class_conf_c / max_c class_conf_c.

    The scaling of FreeMatch's self-adaptive thresholds (Wang et al., ICLR 2023, arXiv 2205.07246) around a fixed top.
    """

    def __init__(self, num_classes: int, conf_thr: float = 0.95, momentum: float = 0.001) -> None:
        super().__init__(num_classes, momentum)
        self.conf_thr = conf_thr

    def threshold(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> Tensor:
        """(B,H,W), the bar of each pixel's class."""
        return (self.conf_thr * self.class_conf / self.class_conf.max())[pseudo].to(conf)


@MODELS.register_module()
class QuantileThreshold(ThresholdPolicy):
    """Keep the most confident share of each batch, whatever its level.

    Args:
        keep_ratio: share of valid pixels to keep, in (0, 1].
    """

    def __init__(self, num_classes: int, keep_ratio: float = 0.8) -> None:
        super().__init__(num_classes)
        if not 0.0 < keep_ratio <= 1.0:
            raise ConfigError(f'keep_ratio is {keep_ratio}; a share to keep lies in (0, 1].')
        self.keep_ratio = keep_ratio

    def threshold(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> Tensor:
        """The (1 - keep_ratio)-quantile of the batch."""
        return quantile_threshold(conf, valid, 1.0 - self.keep_ratio).to(conf)


@MODELS.register_module()
class DynamicThreshold(ThresholdPolicy):
    """A threshold that follows the batch's mean confidence, :func:`sigmoid_threshold` (CW-BASS)."""

    def __init__(self, num_classes: int, base_thr: float = 0.6, beta: float = 0.5,
                 clip: tuple[float, float] = (0.3, 0.8)) -> None:
        super().__init__(num_classes)
        self.base_thr, self.beta, self.clip = base_thr, beta, tuple(clip)

    def threshold(self, conf: Tensor, pseudo: Tensor, valid: Tensor) -> Tensor:
        """Scalar; the mean is over valid pixels."""
        mean = (conf * valid).sum() / valid.sum().clamp_min(1)
        return sigmoid_threshold(mean, self.base_thr, self.beta, self.clip)
