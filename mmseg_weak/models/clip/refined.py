"""Kept features whose cosines are refined along the colours of the image."""
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kept import BUDGET, KeptFeatures

__all__ = ['RefinedFeatures']


class RefinedFeatures(KeptFeatures):
    """Cosines at the original size go through a refinement such as PAMR (NACLIP) before they are compared.

    The refinement looks at no pixel that is farther away than its iterations times its largest dilation and treats
    each name alone, so some rows with so many around them, and some names at a time, give what all would.

    Args:
        kept: features of an image.
        image: (3,h,w) RGB, 0 to 255, as the tower saw it; enlarged to the original size, as published.
        refiner: PAMR or PAR of ``models/refine``.
    """

    def __init__(self, kept: KeptFeatures, image: Tensor, refiner: nn.Module) -> None:
        self.__dict__.update(kept.__dict__)
        self.kept, self.refiner = kept, refiner
        self.image = F.interpolate(image[None].float(), self.original, mode='bilinear', align_corners=False)

    def probs(self, cosines: Tensor, owner, scale: float) -> Tensor:
        """As of the features."""
        return self.kept.probs(cosines, owner, scale)

    def bands(self, texts: Tensor, budget: int = BUDGET) -> Iterator[tuple[slice, Tensor]]:
        """See :meth:`.KeptFeatures.bands`."""
        (height, width), names = self.original, len(texts)
        reach = self.refiner.num_iter * max(self.refiner.dilations)
        step = max(1, budget // max(1, names * width))
        for y in range(0, height, step):
            band = slice(y, min(y + step, height))
            wide = slice(max(0, band.start - reach), min(height, band.stop + reach))
            inner = slice(band.start - wide.start, band.stop - wide.start)
            some = max(1, budget // ((wide.stop - wide.start) * max(width, self.size[1]) * 2))
            parts = []
            for i in range(0, names, some):
                cosines = self.kept.rows(texts[i:i + some], wide)
                parts.append(self.refiner(cosines[None], self.image[:, :, wide])[0, :, inner])
            yield band, torch.cat(parts)
