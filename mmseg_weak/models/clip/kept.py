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
        padding: (top, left, bottom, right), by how many pixels the features reach beyond their boxes.
    """

    def __init__(self, features: Tensor, boxes: Sequence[tuple[int, int, int, int]], size: tuple[int, int],
                 original: tuple[int, int] | None = None, padding: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        if len(features) != len(boxes):
            raise ConfigError(f'{len(features)} windows of features came with {len(boxes)} boxes.')
        self.features, self.boxes, self.size = features, list(boxes), tuple(size)
        self.original, self.padding = tuple(original or size), tuple(padding)
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
        device, (h, w), (above, left, below, right) = self.features.device, self.features.shape[-2:], self.padding
        total = torch.zeros(names, bottom - top, self.size[1], device=device)
        for i, (y1, x1, y2, x2) in enumerate(self.boxes):
            first, last = max(y1, top), min(y2, bottom)
            if first < last:
                rows = resize_matrix(y2 - y1 + above + below, h, slice(first - y1 + above, last - y1 + above), device)
                columns = resize_matrix(x2 - x1 + left + right, w, slice(left, left + x2 - x1), device)
                total[:, first - top:last - top, x1:x2] += rows @ low(i).float() @ columns.T
        return total.div_(self.hits[top:bottom])

    def bands(self, texts: Tensor, budget: int = BUDGET) -> Iterator[tuple[slice, Tensor]]:
        """Cosines at the original size, some rows at a time: (rows, (names, rows, W)).

        Args:
            texts: (names,d) unit vectors.
            budget: numbers that a band may hold.
        """
        names = len(texts)
        n, _, h, w = self.features.shape
        ready = self.low(texts) if n * names * h * w <= budget else None
        step = max(1, budget // max(1, names * max(self.original[1], self.size[1]) * 2))
        for y in range(0, self.original[0], step):
            band = slice(y, min(y + step, self.original[0]))
            yield band, self.rows(texts, band, ready)

    def rows(self, texts: Tensor, band: slice, ready: Tensor | None = None) -> Tensor:
        """Cosines of some rows at the original size, (names, rows, W).

        Args:
            texts: (names,d) unit vectors.
            band: first row and the one after the last.
            ready: what :meth:`low` gives for all windows, where the caller has it.
        """
        def low(i: int) -> Tensor:
            return self.low(texts, slice(i, i + 1))[0] if ready is None else ready[i]
        height, width = self.original
        rows = resize_matrix(height, self.size[0], band, texts.device)
        used = rows.any(0).nonzero().flatten()
        top, bottom = int(used[0]), int(used[-1]) + 1
        values = self._cut_rows(low, len(texts), top, bottom)
        if height != self.size[0]:
            values = rows[:, top:bottom] @ values
        return values if width == self.size[1] else values @ resize_matrix(width, self.size[1], device=texts.device).T

    def probs(self, cosines: Tensor, owner: Sequence[int], scale: float) -> Tensor:
        """(names,rows,W) cosines -> (classes,rows,W) probabilities, see :func:`.class_probs`."""
        return class_probs(cosines[None], owner, scale)[0]

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
            probs = self.probs(cosines, owner, scale) * keep[:, None, None]
            best[rows], labels[rows] = probs.max(0)
        return labels, best


def _padded(window: Tensor, multiple: int, least: int) -> tuple[Tensor, tuple[int, int, int, int]]:
    """A window with zeros around it up to a multiple of pixels, at least ``least``; and how many (t, l, b, r)."""
    sides = []
    for length in window.shape[-2:]:
        extra = max(-(-length // multiple) * multiple, least) - length
        sides.append((extra // 2, extra - extra // 2))
    (top, bottom), (left, right) = sides
    return F.pad(window, (left, right, top, bottom)), (top, left, bottom, right)


@torch.no_grad()
def keep_features(images: Tensor | Sequence[Tensor], encode: Callable[[Tensor], Tensor],
                  crop: int | tuple[int, int] | None = None, stride: int | tuple[int, int] | None = None,
                  originals: Sequence[tuple[int, int]] | None = None, batch: int = 16, multiple: int = 1,
                  least: int = 1, kind: Callable[..., KeptFeatures] = KeptFeatures) -> list[KeptFeatures]:
    """Features of each image of a batch; the windows of all images go through the tower together.

    Args:
        images: (B,3,H,W), or (3,H,W) each of another size, normalised.
        encode: windows (n,3,c,c) -> (n,d,h,w) unit features, for example ``OpenCLIP.encode_dense``.
        crop, stride: of the windows in pixels; None takes the image whole.
        originals: (H, W) for each image's labels.
        batch: windows in one forward.
        multiple: windows are extended by zeros to a multiple of so many pixels (ClearCLIP, ProxyCLIP).
        least: pixels that a window is extended to in any case: the tower's patch.
        kind: makes an image's features of what :class:`KeptFeatures` takes.
    """
    sizes = [tuple(image.shape[-2:]) for image in images]
    boxes = [window_boxes(size, crop, stride or crop) if crop else [(0, 0, *size)] for size in sizes]
    jobs, paddings = {}, []  # windows of one size go together, whichever image they are of
    for b, image in enumerate(images):
        for y1, x1, y2, x2 in boxes[b]:
            window, padding = _padded(image[:, y1:y2, x1:x2], multiple, least)
            jobs.setdefault(tuple(window.shape), []).append((b, window))
        paddings.append(padding)
    parts = [[] for _ in sizes]
    for group in jobs.values():
        for i in range(0, len(group), batch):
            some = group[i:i + batch]
            for (b, _), one in zip(some, encode(torch.stack([window for _, window in some])), strict=True):
                parts[b].append(one)
    return [kind(torch.stack(part), boxes[b], sizes[b], originals[b] if originals else None, paddings[b])
            for b, part in enumerate(parts)]
