"""DenseCaSED: crops of several grids, their embeddings on a small map."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.clip.kept import resize_matrix

__all__ = ['crop_boxes', 'cut_crops', 'embed_cells', 'enlarge_labels', 'grid_boxes', 'paint_words', 'word_map']


def crop_boxes(grids: Sequence[int] = (2, 4, 8), shifted: bool = True) -> Tensor:
    """Crops of an image: the cells of each grid and, half a cell further, those to the right, below, and both.

    Args:
        grids: cells a side. A grid of 1 has no shifted copy.
        shifted: with them.

    Returns:
        (n,4) x, y, width, height as shares of the image, grid after grid, rows first.
    """
    boxes = []
    for g in grids:
        shifts = ((0, 0), (1, 0), (0, 1), (1, 1)) if shifted and g > 1 else ((0, 0), )
        for dx, dy in shifts:
            boxes += [((j + dx / 2) / g, (i + dy / 2) / g, 1 / g, 1 / g) for i in range(g - dy) for j in range(g - dx)]
    return torch.tensor(boxes)


def cut_crops(image: Tensor, grids: Sequence[int] = (2, 4, 8), shifted: bool = True, side: int = 128) -> Tensor:
    """The crops of :func:`crop_boxes`, in its order; the image is made a multiple of each grid first.

    Args:
        image: (3,H,W).
        grids, shifted: see there.
        side: of a crop, pixels. Paper: 128.

    Returns:
        (n,3,side,side).
    """
    def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(images.shape[-2:]) == size:
            return images
        return F.interpolate(images, size, mode='bilinear', align_corners=False, antialias=True)
    crops = []
    for g in grids:
        h, w = (max(n // g, 1) for n in image.shape[-2:])
        whole = resized(image[None], (g * h, g * w))[0]
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)) if shifted and g > 1 else ((0, 0), ):
            part = whole[:, dy * h // 2:, dx * w // 2:][:, :(g - dy) * h, :(g - dx) * w]
            cells = part.unflatten(1, (g - dy, h)).unflatten(3, (g - dx, w))  # (3,rows,h,columns,w)
            crops.append(resized(cells.permute(1, 3, 0, 2, 4).flatten(0, 1), (side, side)))
    return torch.cat(crops)


def embed_cells(crops: Tensor, boxes: Tensor, size: tuple[int, int] = (16, 16)) -> tuple[Tensor, Tensor]:
    """Mean embedding of the crops that cover a cell, unit length; a cell that none covers is 0.

    Args:
        crops: (B,n,d) embeddings of the crops.
        boxes: (n,4), see :func:`crop_boxes`.
        size: rows and columns of the map. Paper: 16 x 16.

    Returns:
        (B,h,w,d), and the boxes on the map (n,4) int32, x, y, width, height, cut to whole cells.
    """
    # corners such as 3/4 * 16 are exact in binary; the offset keeps those of other grids from falling a cell short
    whole = (boxes * torch.tensor([size[1], size[0], size[1], size[0]]) + 1e-4).int()
    x, y, width, height = (v[:, None].to(crops.device) for v in whole.unbind(1))
    rows, columns = (torch.arange(n, device=crops.device)[None] for n in size)
    inside = ((rows >= y) & (rows < y + height))[:, :, None] & ((columns >= x) & (columns < x + width))[:, None]
    inside = inside.flatten(1).to(crops)  # (n,hw)
    mean = torch.einsum('np,bnd->bpd', inside, crops) / inside.sum(0).clamp(min=1)[:, None]
    return F.normalize(mean, dim=-1).unflatten(1, size), whole


def word_map(words: Sequence[str], size: tuple[int, int] = (16, 16)) -> tuple[Tensor, list[str]]:
    """Cells of one word are one region: the best word of each cell, row by row -> (h,w) long and the region's words."""
    names = list(dict.fromkeys(words))
    index = {name: number for number, name in enumerate(names)}
    return torch.tensor([index[word] for word in words]).view(size), names


def enlarge_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Each label's map enlarged (bilinear), the largest wins: (h,w) long -> (H,W) long; labels are held one by one."""
    rows, columns = (resize_matrix(out, n, device=labels.device) for out, n in zip(size, labels.shape))
    best = rows.new_full(size, -1.0)
    out = labels.new_zeros(size)
    for label in labels.unique().tolist():  # ascending: ties go to the lower label
        values = rows @ (labels == label).float() @ columns.T
        better = values > best
        best, out = torch.where(better, values, best), out.masked_fill(better, label)
    return out


def grid_boxes(size: tuple[int, int], grids: Sequence[int] = (3, )) -> list[tuple[int, int, int, int]]:
    """(y1, x1, y2, x2) of the cells of each grid, in whole pixels; what is left over at the right and bottom is out."""
    boxes = []
    for g in grids:
        h, w = size[0] // g, size[1] // g
        boxes += [(i * h, j * w, (i + 1) * h, (j + 1) * w) for i in range(g) for j in range(g)]
    return boxes


def paint_words(masks: Sequence[Tensor], words: Sequence[str], probs: Sequence[float]
                ) -> tuple[Tensor, Tensor, list[str]]:
    """Each mask painted with its word; of a pixel under several, the word of the highest score over their number.

    A word's score at a pixel is that of the last of its masks there (sic), over the number of masks there.

    Args:
        masks: (H,W) bool each.
        words, probs: of each mask.

    Returns:
        (H,W) long, (H,W) scores in [0, 1], and the words by index. A pixel under no mask has the first word and 0.
    """
    names = list(dict.fromkeys(words))
    index = {name: number for number, name in enumerate(names)}
    count = sum(mask.float() for mask in masks)
    painted = torch.zeros(len(names), *count.shape, device=count.device)
    for mask, word, prob in zip(masks, words, probs, strict=True):
        painted[index[word]].masked_fill_(mask, prob)
    best, labels = (painted / count.clamp(min=1)).max(0)
    return labels, best, names
