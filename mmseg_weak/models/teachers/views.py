"""Strong photometric views, batched on the device with parameters of their own for every image.

The published loaders make these with PIL in the workers, one image at a time. Here every operation runs once for the
images that drew it: the same distributions of parameters (ColorJitter, RandomGrayscale, GaussianBlur), no rounding to
8 bits between the operations, and a true Gaussian where PIL approximates one by boxes.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

__all__ = ['PhotometricView', 'ViewParams', 'adjust_hue', 'gaussian_blur', 'grey']

_LUMA = (0.299, 0.587, 0.114)
_OPS = 4  # brightness, contrast, saturation, hue


@dataclass
class ViewParams:
    """What a view drew, on the CPU, one entry per image.

    factors: (B,4) brightness, contrast, saturation factors and the hue shift in turns; order: (B,4) the order of
    these four; jitter, greyscale, blur, solarize: (B,) bool; sigma_px: (B,) blur radius.
    """
    factors: Tensor
    order: Tensor
    jitter: Tensor
    greyscale: Tensor
    blur: Tensor
    sigma_px: Tensor
    solarize: Tensor


def grey(images: Tensor) -> Tensor:
    """Luma of RGB images, (B,3,H,W) -> (B,1,H,W)."""
    r, g, b = images.unbind(1)
    return (r * _LUMA[0]).add_(g, alpha=_LUMA[1]).add_(b, alpha=_LUMA[2]).unsqueeze(1)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of RGB images in [0,1]; value and saturation stay.

    Args:
        images: (B,3,H,W).
        shift: (B,) in turns, -0.5 to 0.5.
    """
    r, g, b = images.unbind(1)
    value = torch.maximum(torch.maximum(r, g), b)
    low = torch.minimum(torch.minimum(r, g), b)
    chroma = value - low
    inverse = chroma.clamp_min(1e-8).reciprocal_()
    # Hue in sixths of a turn, measured from the largest channel.
    hue = torch.where(value == r, (g - b) * inverse,
                      torch.where(value == g, (b - r) * inverse + 2, (r - g) * inverse + 4))
    hue = hue.add_(shift.to(images).view(-1, 1, 1) * 6)
    out = torch.empty_like(images)
    for channel, start in enumerate((0.0, 4.0, 2.0)):
        k = hue + (start + 6)
        k.sub_(k.mul(1 / 6).floor_().mul_(6)).sub_(3).abs_().sub_(1).clamp_(0, 1)
        torch.addcmul(low, chroma, k, out=out[:, channel])
    return out


def gaussian_blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur each image with a Gaussian of its own width, edges mirrored.

    Args:
        images: (B,C,H,W).
        sigma_px: (B,) standard deviation in pixels.
    """
    b, c, h, w = images.shape
    radius = min(max(1, math.ceil(3 * float(sigma_px.max()))), min(h, w) - 1)
    if radius < 1:
        return images
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x[None] / sigma_px.float().cpu().clamp_min(1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0).to(images)
    flat = F.pad(images.reshape(1, b * c, h, w), (radius,) * 4, mode='reflect')
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=b * c)
    return F.conv2d(flat, kernel[:, None, :, None], groups=b * c).reshape(b, c, h, w)


@MODELS.register_module()
class PhotometricView(nn.Module):
    """Colour jitter, greyscale and blur as the UniMatch family draws them.

    Args:
        brightness, contrast, saturation: factors are uniform in [max(0, 1-v), 1+v].
        hue: shift uniform in [-v, v] turns.
        jitter_prob, grey_prob, blur_prob: chance of each per image. UniMatch: 0.8, 0.2, 0.5.
        sigma_px: blur width, uniform, pixels of the crop.
        solarize_prob: chance of turning values from one half on into their complement, last of all. ToCo, view 2: 0.2.

    Source: LiheYoung/UniMatch @ 0324f3d, dataset/transform.py and dataset/semi.py (parameters).
    """

    def __init__(self, brightness: float = 0.5, contrast: float = 0.5, saturation: float = 0.5, hue: float = 0.25,
                 jitter_prob: float = 0.8, grey_prob: float = 0.2, blur_prob: float = 0.5,
                 sigma_px: tuple[float, float] = (0.1, 2.0), solarize_prob: float = 0.0) -> None:
        super().__init__()
        self.ranges = [(max(0.0, 1 - v), 1 + v) for v in (brightness, contrast, saturation)] + [(-hue, hue)]
        self.probs = (jitter_prob, grey_prob, blur_prob)
        self.sigma_px, self.solarize_prob = tuple(sigma_px), solarize_prob

    def draw(self, count: int, generator: torch.Generator | None = None) -> ViewParams:
        """Draw the parameters of ``count`` images, on the CPU (no device synchronisation later)."""
        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)
        factors = torch.stack([uniform(*r) for r in self.ranges], 1)
        order = torch.rand(count, _OPS, generator=generator).argsort(1)
        jitter, greyscale, blur = (torch.rand(count, generator=generator) < p for p in self.probs)
        sigma = uniform(*self.sigma_px)
        solarize = torch.zeros(count, dtype=torch.bool)
        if self.solarize_prob:  # nothing is drawn otherwise, so that other views stay what they were
            solarize = torch.rand(count, generator=generator) < self.solarize_prob
        return ViewParams(factors, order, jitter, greyscale, blur, sigma, solarize)

    @torch.no_grad()
    def render(self, images: Tensor, params: ViewParams) -> Tensor:
        """Apply drawn parameters to (B,3,H,W) RGB images in [0,1]; the input is left as it was.

        On a GPU each operation runs once for all images that drew it; on a CPU images go one by one, since a single
        image stays in the cache through all its operations (five times faster, measured at 256x256).
        """
        out = images.clone()
        parts = range(len(out)) if out.device.type == 'cpu' else [slice(None)]
        for part in parts:
            rows = slice(part, part + 1) if isinstance(part, int) else part
            self._render(out[rows], ViewParams(*(value[rows] for value in vars(params).values())))
        return out

    def _render(self, out: Tensor, params: ViewParams) -> None:
        """The same in place."""
        def change(chosen: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> None:
            rows = chosen.nonzero().flatten()
            if len(rows) == len(out):
                out.copy_(operation(out, rows))
            elif len(rows):
                index = rows.to(out.device)
                out[index] = operation(out[index], rows)
        for stage in range(_OPS):
            for op in range(_OPS):
                change(params.jitter & (params.order[:, stage] == op),
                       lambda x, rows, op=op: self._jitter(x, op, params.factors[rows, op].to(x)))
        change(params.greyscale, lambda x, rows: grey(x).expand(-1, 3, -1, -1))
        change(params.blur, lambda x, rows: gaussian_blur(x, params.sigma_px[rows]))
        change(params.solarize, lambda x, rows: torch.where(x < 0.5, x, 1 - x))

    @staticmethod
    def _jitter(images: Tensor, op: int, factor: Tensor) -> Tensor:
        """Op 0 brightness, 1 contrast, 2 saturation (blends with black, mean grey, grey), 3 hue."""
        if op == 3:
            return adjust_hue(images, factor)
        factor = factor.view(-1, 1, 1, 1)
        if op == 0:
            return images.mul_(factor).clamp_(0, 1)
        anchor = grey(images)
        if op == 1:
            anchor = anchor.mean((2, 3), keepdim=True)
        return images.mul_(factor).add_(anchor * (1 - factor)).clamp_(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Draw and apply, (B,3,H,W) in [0,1]."""
        return self.render(images, self.draw(len(images)))
