"""Features of an image that are kept, so that other names cost a matrix product; labels band by band.

The cosines of all names at all pixels of a large image do not fit into memory (847 names at 2048x2048: 14 GB), the
features of its windows do (130 MB). So what a repository computes in one piece (cosines of each window, enlarged, the
mean over windows, enlarged to the original image, softmax over names, the best class) is computed for some rows of the
image at a time, with the same numbers.
"""
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError

from .postprocess import class_probs
from .windows import window_boxes

__all__ = ['KeptFeatures', 'keep_features', 'resize_matrix']

BUDGET = 1 << 26  # numbers held at a time: 256 MB


def resize_matrix(out: int, size: int, rows: slice = slice(None), device: torch.device | None = None) -> Tensor:
    """Bilinear resize of one side (align_corners False) as a matrix: (rows of ``out``, size).

    >>> resize_matrix(4, 2)[1].tolist()
    [0.75, 0.25]
    """
    place = ((torch.arange(out, device=device, dtype=torch.float32)[rows] + 0.5) * (size / out) - 0.5).clamp_min(0)
    low = place.long().clamp_max(size - 1)
    high, weight = (low + 1).clamp_max(size - 1), place - low
    one = F.one_hot(low, size).float() * (1 - weight)[:, None]
    return one + F.one_hot(high, size).float() * weight[:, None]


class KeptFeatures:
    """Unit features of the windows of one image.

    Args:
        features: (n,d,h,w), patches of n windows, unit length.
        boxes: (y1, x1, y2, x2) of each in the image that was cut, pixels.
        size: (H, W) of that image.
        original: (H, W) of the image that labels are wanted for.
    """

    def __init__(self, features: Tensor, boxes: Sequence[tuple[int, int, int, int]], size: tuple[int, int],
                 original: tuple[int, int] | None = None) -> None:
        if len(features) != len(boxes):
            raise ConfigError(f'{len(features)} windows of features came with {len(boxes)} boxes.')
        self.features, self.boxes, self.size = features, list(boxes), tuple(size)
        self.original = tuple(original or size)
        hits = torch.zeros(self.size, device=features.device)
        for y1, x1, y2, x2 in boxes:
            hits[y1:y2, x1:x2] += 1
        if not hits.all():
            raise ConfigError(f'{int((hits == 0).sum())} pixels of {size} lie in no window.')
        self.hits = hits

    def low(self, texts: Tensor, part: slice = slice(None)) -> Tensor:
        """Cosines of patches with names: (n,names,h,w), of some windows."""
        return torch.einsum('md,ndhw->nmhw', texts.to(self.features), self.features[part])

    def _cut_rows(self, low: Callable[[int], Tensor], names: int, top: int, bottom: int) -> Tensor:
        """Mean over windows for rows of the image that was cut: (names, bottom - top, W)."""
        device, (h, w) = self.features.device, self.features.shape[-2:]
        total = torch.zeros(names, bottom - top, self.size[1], device=device)
        for i, (y1, x1, y2, x2) in enumerate(self.boxes):
            first, last = max(y1, top), min(y2, bottom)
            if first < last:
                rows = resize_matrix(y2 - y1, h, slice(first - y1, last - y1), device)
                columns = resize_matrix(x2 - x1, w, device=device)
                total[:, first - top:last - top, x1:x2] += rows @ low(i).float() @ columns.T
        return total.div_(self.hits[top:bottom])

    def bands(self, texts: Tensor, budget: int = BUDGET) -> Iterator[tuple[slice, Tensor]]:
        """Cosines at the original size, some rows at a time: (rows, (names, rows, W)).

        Args:
            texts: (names,d) unit vectors.
            budget: numbers that a band may hold.
        """
        (height, width), names = self.original, len(texts)
        n, _, h, w = self.features.shape
        ready = self.low(texts) if n * names * h * w <= budget else None

        def low(i: int) -> Tensor:
            return self.low(texts, slice(i, i + 1))[0] if ready is None else ready[i]
        step = max(1, budget // max(1, names * max(width, self.size[1]) * 2))
        columns = None if width == self.size[1] else resize_matrix(width, self.size[1], device=texts.device)
        for y in range(0, height, step):
            band = slice(y, min(y + step, height))
            rows = resize_matrix(height, self.size[0], band, texts.device)
            used = rows.any(0).nonzero().flatten()
            top, bottom = int(used[0]), int(used[-1]) + 1
            values = self._cut_rows(low, names, top, bottom)
            if height != self.size[0]:
                values = rows[:, top:bottom] @ values
            yield band, values if columns is None else values @ columns.T

    def cosines(self, texts: Tensor) -> Tensor:
        """(names,H,W) at the original size, all of it."""
        return torch.cat([values for _, values in self.bands(texts)], 1)

    def labels(self, texts: Tensor, owner: Sequence[int], scale: float = 40.0, prob_thr: float = 0.0,
               area_thr: float | None = None, background: int = 0, budget: int = BUDGET) -> tuple[Tensor, Tensor]:
        """The best class of each pixel.

        Args:
            texts: (names,d) unit vectors.
            owner: class of each name, in order.
            scale: of the cosines in the softmax over names.
            prob_thr: pixels whose best class is less probable get ``background``.
            area_thr: drop foreground classes whose share of the predicted foreground is at most this; None: none.
            background: a class.
            budget: see :meth:`bands`.

        Returns:
            (H,W) long classes and (H,W) float32 probabilities of the best, at the original size.
        """
        count = int(owner[-1]) + 1
        keep = torch.ones(count, device=texts.device)
        labels, best = self._best(texts, owner, scale, keep, budget)
        if area_thr is not None:
            areas = torch.bincount(labels.flatten(), minlength=count).float()
            areas[0] = 0
            keep = (areas / areas.sum().clamp_min(1) > area_thr).float()
            keep[0] = 1
            if bool((keep[labels] == 0).any()):
                labels, best = self._best(texts, owner, scale, keep, budget)
        if prob_thr > 0:
            labels = labels.masked_fill(best < prob_thr, background)
        return labels, best

    def _best(self, texts: Tensor, owner: Sequence[int], scale: float, keep: Tensor, budget: int
              ) -> tuple[Tensor, Tensor]:
        labels = torch.empty(self.original, dtype=torch.long, device=texts.device)
        best = torch.empty(self.original, device=texts.device)
        for rows, cosines in self.bands(texts, budget):
            probs = class_probs(cosines[None], owner, scale)[0] * keep[:, None, None]
            best[rows], labels[rows] = probs.max(0)
        return labels, best


@torch.no_grad()
def keep_features(images: Tensor, encode: Callable[[Tensor], Tensor], crop: int | tuple[int, int] | None = None,
                  stride: int | tuple[int, int] | None = None, originals: Sequence[tuple[int, int]] | None = None,
                  batch: int = 16) -> list[KeptFeatures]:
    """Features of each image of a batch; the windows of all images go through the tower together.

    Args:
        images: (B,3,H,W), normalised.
        encode: windows (n,3,c,c) -> (n,d,h,w) unit features, for example ``OpenCLIP.encode_dense``.
        crop, stride: of the windows in pixels; None takes the image whole.
        originals: (H, W) for each image's labels.
        batch: windows in one forward.
    """
    size = tuple(images.shape[-2:])
    boxes = window_boxes(size, crop, stride or crop) if crop else [(0, 0, *size)]
    jobs = [images[b, :, y1:y2, x1:x2] for b in range(len(images)) for y1, x1, y2, x2 in boxes]
    features = torch.cat([encode(torch.stack(jobs[i:i + batch])) for i in range(0, len(jobs), batch)])
    parts = features.unflatten(0, (len(images), len(boxes)))
    return [KeptFeatures(part, boxes, size, originals[b] if originals else None) for b, part in enumerate(parts)]
