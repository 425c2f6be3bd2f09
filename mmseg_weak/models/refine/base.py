"""What all refinements share: the interface, the checks, and leaving absent classes out."""
from abc import ABCMeta, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.errors import DataError

__all__ = ['Refiner', 'check_finite', 'pack_present', 'unpack_present']


def check_finite(values: Tensor, what: str) -> None:
    """Refuse NaN and infinity; on a GPU this waits for the device.

    Raises:
        DataError: saying how many values of which images are not finite.
    """
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        bad = ~torch.isfinite(values)
        images = bad.flatten(1).any(1).nonzero().flatten().tolist()
        raise DataError(f'{int(bad.sum())} of {values.numel()} values of the {what} are NaN or infinite (images '
                        f'{", ".join(map(str, images[:5]))}{", ..." if len(images) > 5 else ""} of the batch); look '
                        f'for a diverged network or a broken score file.')


def pack_present(scores: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move the present classes of each image to the front and drop what no image needs.

    Args:
        scores: (B,C,H,W).
        present: (B,C) bool, the classes an image shows.

    Returns:
        packed scores (B,K,H,W) with K the largest number of present classes, 0 in unused planes;
        index (B,K) long, the class of each plane; used (B,K) bool.
    """
    count = max(int(present.sum(1).max()), 1) if present.numel() else 0
    index = present.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, :count]
    used = present.gather(1, index)
    rows = torch.arange(len(scores), device=scores.device)[:, None]
    return scores[rows, index] * used[:, :, None, None], index, used


def unpack_present(packed: Tensor, index: Tensor, used: Tensor, num_classes: int) -> Tensor:
    """Undo :func:`pack_present`: (B,K,H,W) -> (B,num_classes,H,W), absent classes 0."""
    out = packed.new_zeros(len(packed), num_classes, *packed.shape[2:])
    rows = torch.arange(len(packed), device=packed.device)[:, None].expand_as(index)
    out[rows[used], index[used]] = packed[used]
    return out


class Refiner(nn.Module, metaclass=ABCMeta):
    """A score map and its image in, a better score map out; no parameters, no gradient.

    Used online (call it in a training step) and offline (on saved scores). A batch gives what its samples give one by
    one. Half precision is computed in float32 and returned in the type it came in.

    Args:
        check: look for NaN and infinity, which would spread over the image. None: always on a CPU, and on a GPU in
            ``eval()`` only, since looking makes a training step wait for the device.
    """
    align_corners = False
    guide = 'image'

    def __init__(self, check: bool | None = None) -> None:
        super().__init__()
        self.check = check

    @torch.no_grad()
    def forward(self, scores: Tensor, image: Tensor, present: Tensor | None = None) -> Tensor:
        """Refine scores.

        Args:
            scores: (B,C,h,w); resized (bilinear) to the image where the sizes differ. What they mean (probabilities,
                CAMs) is the subclass's.
            image: (B,3,H,W) RGB, 0 to 255, uint8 or float.
            present: (B,C) bool, classes to look at; the others are left out of all sums and come back as 0. None: all.

        Returns:
            (B,C,H,W).

        Raises:
            DataError: shapes that do not fit, NaN or infinity.
        """
        self._check_shapes(scores, image, present)
        if self._checks(scores):
            check_finite(scores, 'scores')
            check_finite(image, self.guide)
        dtype = scores.dtype if scores.is_floating_point() else torch.float32
        work = scores.to(torch.float64 if dtype == torch.float64 else torch.float32)
        size = tuple(image.shape[-2:])
        if present is not None:
            work, index, used = pack_present(work, present.bool())
        if tuple(work.shape[-2:]) != size:
            work = F.interpolate(work, size, mode='bilinear', align_corners=self.align_corners)
        with torch.autocast(work.device.type, enabled=False):
            if present is None:
                return self.refine(work, image.to(work), None).to(dtype)
            out = self.refine(work, image.to(work), used)
        return unpack_present(out, index, used, scores.shape[1]).to(dtype)

    @abstractmethod
    def refine(self, scores: Tensor, image: Tensor, used: Tensor | None) -> Tensor:
        """The work: scores (B,C,H,W) and image (B,3,H,W) of one size and float type; used (B,C) bool or None."""

    def _checks(self, scores: Tensor) -> bool:
        return self.check if self.check is not None else scores.device.type == 'cpu' or not self.training

    def _check_shapes(self, scores: Tensor, image: Tensor, present: Tensor | None) -> None:
        name = type(self).__name__
        if scores.dim() != 4 or 0 in scores.shape:
            raise DataError(f'{name} got scores of shape {tuple(scores.shape)}; give (batch, classes, height, width), '
                            f'none of them 0.')
        if image.dim() != 4 or image.shape[1] != 3 or image.shape[0] != scores.shape[0]:
            raise DataError(f'{name} got an image of shape {tuple(image.shape)} with scores of shape '
                            f'{tuple(scores.shape)}; give ({scores.shape[0]}, 3, height, width).')
        if present is not None and tuple(present.shape) != tuple(scores.shape[:2]):
            raise DataError(f'{name} got present classes of shape {tuple(present.shape)} with scores of shape '
                            f'{tuple(scores.shape)}; give {tuple(scores.shape[:2])}, one flag a class.')
