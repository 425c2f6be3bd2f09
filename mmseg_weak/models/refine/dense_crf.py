"""Fully connected CRF with Gaussian edges: mean field in plain torch, batched, no compiled package.

Krähenbühl & Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, NIPS 2011,
arXiv 1210.5644. Numbers agree with lucasb-eyer/pydensecrf @ 2723c7f (MIT), settings with ToCo's utils/dcrf.py @
e13514d.

- Unary: U = - log clip(p, min_prob, 1).
- Kernels: k1 = exp(- |dxy|^2 / (2 sxy^2)); k2 = exp(- |dxy|^2 / (2 sxy^2) - |drgb|^2 / (2 srgb^2)), rgb 0 to 255, the
  pixel itself included; normalised to D^-1/2 K D^-1/2 with D = K 1 + 1e-20 ('symmetric') or left alone ('none').
- Potts: equal labels are rewarded. Q = softmax(-U); num_iter times Q = softmax(-U + sum_m w_m K_m Q).
"""
import math

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError, near

from .base import Refiner
from .lattice import PermutohedralLattice

__all__ = ['CRF_PRESETS', 'DenseCRF', 'ExactFilter', 'NormalizedKernel', 'bilateral_features', 'labels_to_probs',
           'mean_field', 'position_features', 'unary_from_probs']

# Settings that the publications use (iterations are 10 in all of them).
CRF_PRESETS: dict[str, dict[str, float]] = {
    'deeplab': dict(gaussian_sxy_px=1, gaussian_weight=3, bilateral_sxy_px=67, bilateral_srgb=3, bilateral_weight=4),
    'clip_es': dict(gaussian_sxy_px=1, gaussian_weight=3, bilateral_sxy_px=67, bilateral_srgb=3, bilateral_weight=4),
    'irn_label': dict(gaussian_sxy_px=3, gaussian_weight=3, bilateral_sxy_px=50, bilateral_srgb=5,
                      bilateral_weight=10),
    'psa': dict(gaussian_sxy_px=3, gaussian_weight=3, bilateral_sxy_px=80, bilateral_srgb=13, bilateral_weight=10),
    'toco_cam': dict(gaussian_sxy_px=3, gaussian_weight=3, bilateral_sxy_px=36, bilateral_srgb=3, bilateral_weight=4),
    'toco_seg': dict(gaussian_sxy_px=1, gaussian_weight=1, bilateral_sxy_px=121, bilateral_srgb=5, bilateral_weight=4),
}
NORMALIZATIONS = ('symmetric', 'none')
FILTERS = ('lattice', 'exact')
_EXACT_LIMIT_PX = 10_000


def position_features(image: Tensor, sxy_px: float) -> Tensor:
    """(B,3,H,W) -> (B,HW,2), x and y over their standard deviation."""
    height, width = image.shape[-2:]
    y = torch.arange(height, device=image.device, dtype=image.dtype).div_(sxy_px)
    x = torch.arange(width, device=image.device, dtype=image.dtype).div_(sxy_px)
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
    return grid.view(1, -1, 2).expand(len(image), -1, -1)


def bilateral_features(image: Tensor, sxy_px: float, srgb: float) -> Tensor:
    """(B,3,H,W) -> (B,HW,5), position and colour over their standard deviations."""
    return torch.cat([position_features(image, sxy_px), image.flatten(2).transpose(1, 2) / srgb], -1)


class ExactFilter:
    """The same as :class:`PermutohedralLattice` without its error, in time and memory quadratic in the points.

    Args:
        features: (B,N,d).

    Raises:
        ConfigError: more points than fit in memory.
    """

    def __init__(self, features: Tensor) -> None:
        points = features.shape[1]
        if points > _EXACT_LIMIT_PX:
            raise ConfigError(f"filter='exact' needs a matrix of {points} x {points} pixels "
                              f"({points ** 2 * 4 / 1e9:.1f} GB an image); the limit is {_EXACT_LIMIT_PX} pixels, use "
                              f"filter='lattice' above it.")
        distance = torch.cdist(features, features, compute_mode='donot_use_mm_for_euclid_dist')
        self.kernel = distance.square_().mul_(-0.5).exp_()

    def filter(self, values: Tensor, reverse: bool = False) -> Tensor:
        """(B,N,C) -> (B,N,C), not normalised. The kernel is its own transpose: ``reverse`` changes nothing."""
        return self.kernel @ values.to(self.kernel)


class NormalizedKernel:
    """A Gaussian kernel with the normalisation that the CRF wants.

    Args:
        features: (B,N,d).
        normalization: 'symmetric', D^-1/2 K D^-1/2, or 'none', K.
        filter: 'lattice' or 'exact'.
    """

    def __init__(self, features: Tensor, normalization: str = 'symmetric', filter: str = 'lattice') -> None:
        self.filter = PermutohedralLattice(features) if filter == 'lattice' else ExactFilter(features)
        self.norm = None
        if normalization == 'symmetric':
            ones = features.new_ones(*features.shape[:2], 1)
            self.norm = self.filter.filter(ones).add_(1e-20).rsqrt_()

    def __call__(self, values: Tensor) -> Tensor:
        """(B,N,C) -> (B,N,C)."""
        if self.norm is None:
            return self.filter.filter(values)
        return self.filter.filter(values * self.norm).mul_(self.norm)


def unary_from_probs(probs: Tensor, min_prob: float = 1e-5) -> Tensor:
    """Energies - log clip(p, min_prob, 1), any shape."""
    return probs.clamp(min_prob, 1).log_().neg_()


def labels_to_probs(labels: Tensor, num_classes: int, gt_prob: float = 0.7, ignore_index: int = 255) -> Tensor:
    """Probabilities that hard labels stand for: gt_prob at the label, the rest shared by the other classes.

    Args:
        labels: (B,H,W) integers, 0 to num_classes - 1; ``ignore_index`` is unsure, 1 / num_classes each.
        gt_prob: trust in the labels, in (0, 1). IRN and AFA: 0.7.

    Returns:
        (B,num_classes,H,W) float32.
    """
    if num_classes == 1:
        return torch.ones(labels.shape, device=labels.device).unsqueeze(1)
    labels = labels.long().unsqueeze(1)
    unsure = labels == ignore_index
    probs = torch.full((len(labels), num_classes, *labels.shape[2:]), (1 - gt_prob) / (num_classes - 1),
                       device=labels.device)
    probs.scatter_(1, labels.masked_fill(unsure, 0), gt_prob)
    return probs.masked_fill_(unsure, 1 / num_classes)


def mean_field(unary: Tensor, kernels: list[tuple[float, NormalizedKernel]], num_iter: int) -> Tensor:
    """Potts mean field.

    Args:
        unary: (B,N,C) energies; +inf forbids a label.
        kernels: (weight, kernel) pairs.
        num_iter: updates; 0 gives softmax(-unary).

    Returns:
        (B,N,C) probabilities.
    """
    q = torch.softmax(-unary, -1)
    for _ in range(num_iter):
        logits = -unary
        for weight, kernel in kernels:
            logits.add_(kernel(q), alpha=weight)
        q = torch.softmax(logits, -1)
    return q


@MODELS.register_module()
class DenseCRF(Refiner):
    """Dense CRF on probabilities, see the module's docstring; the image is RGB, 0 to 255, never normalised.

    ``present`` leaves absent classes out of the model, as the published code does by numbering the present ones anew.

    Args:
        preset: settings of a publication, a key of ``CRF_PRESETS``; what else is given overrides it.
        num_iter: mean-field updates.
        gaussian_sxy_px, gaussian_weight: smoothness kernel. Weight 0 leaves it out.
        bilateral_sxy_px, bilateral_srgb, bilateral_weight: appearance kernel. Weight 0 leaves it out.
        normalization: 'symmetric' (pydensecrf's default) or 'none'.
        filter: 'lattice' (approximate, linear time) or 'exact' (images up to 10,000 pixels).
        min_prob: probabilities below it count as it.
        check: see :class:`Refiner`; also that scores and image have the right range.
    """

    def __init__(self, preset: str = 'deeplab', num_iter: int = 10, gaussian_sxy_px: float | None = None,
                 gaussian_weight: float | None = None, bilateral_sxy_px: float | None = None,
                 bilateral_srgb: float | None = None, bilateral_weight: float | None = None,
                 normalization: str = 'symmetric', filter: str = 'lattice', min_prob: float = 1e-5,
                 check: bool | None = None) -> None:
        super().__init__(check)
        if preset not in CRF_PRESETS:
            raise ConfigError(f"preset='{preset}' of DenseCRF is none of {', '.join(CRF_PRESETS)}. "
                              f"{near(preset, CRF_PRESETS)}".rstrip())
        given = dict(gaussian_sxy_px=gaussian_sxy_px, gaussian_weight=gaussian_weight,
                     bilateral_sxy_px=bilateral_sxy_px, bilateral_srgb=bilateral_srgb,
                     bilateral_weight=bilateral_weight)
        self.settings = CRF_PRESETS[preset] | {k: v for k, v in given.items() if v is not None}
        for key, value in self.settings.items():
            weight = key.endswith('weight')
            if not math.isfinite(value) or value < 0 or (value == 0 and not weight):
                raise ConfigError(f'{key}={value} of DenseCRF; give a number {"from 0 on" if weight else "above 0"}.')
        if num_iter < 0:
            raise ConfigError(f'num_iter={num_iter} of DenseCRF; give 0 or more iterations.')
        if normalization not in NORMALIZATIONS:
            raise ConfigError(f"normalization='{normalization}' of DenseCRF is none of {', '.join(NORMALIZATIONS)}.")
        if filter not in FILTERS:
            raise ConfigError(f"filter='{filter}' of DenseCRF is none of {', '.join(FILTERS)}.")
        if not 0 < min_prob < 1:
            raise ConfigError(f'min_prob={min_prob} of DenseCRF; a probability lies between 0 and 1.')
        self.num_iter, self.normalization, self.filter, self.min_prob = num_iter, normalization, filter, min_prob

    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """Mean field on (B,C,H,W) probabilities."""
        if self._checks(scores):
            self._check_ranges(scores, image)
        unary = unary_from_probs(scores, self.min_prob)
        if used is not None:
            unary = unary.masked_fill(~used[:, :, None, None], math.inf)
        q = mean_field(unary.flatten(2).transpose(1, 2).contiguous(), self.kernels(image), self.num_iter)
        return q.transpose(1, 2).reshape(scores.shape)

    def kernels(self, image: Tensor) -> list[tuple[float, NormalizedKernel]]:
        """The kernels of (B,3,H,W) images with their weights."""
        s, options = self.settings, (self.normalization, self.filter)
        found = []
        if s['gaussian_weight']:
            found.append((s['gaussian_weight'],
                          NormalizedKernel(position_features(image, s['gaussian_sxy_px']), *options)))
        if s['bilateral_weight']:
            features = bilateral_features(image, s['bilateral_sxy_px'], s['bilateral_srgb'])
            found.append((s['bilateral_weight'], NormalizedKernel(features, *options)))
        return found

    @staticmethod
    def _check_ranges(scores: Tensor, image: Tensor) -> None:
        low, high = float(scores.min()), float(scores.max())
        if low < -1e-4 or high > 1 + 1e-4:
            raise DataError(f'DenseCRF got scores from {low:.4g} to {high:.4g}; give probabilities in [0, 1] (softmax '
                            f'of logits, or CAMs beside a background score).')
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > 255 or (high <= 1 and bool((image != image.round()).any())):
            raise DataError(f'DenseCRF got an image from {low:.4g} to {high:.4g}; give RGB from 0 to 255, not '
                            f'normalised.')

    def extra_repr(self) -> str:
        """Settings."""
        return ', '.join(f'{k}={v}' for k, v in
                         dict(num_iter=self.num_iter, **self.settings, normalization=self.normalization,
                              filter=self.filter).items())
