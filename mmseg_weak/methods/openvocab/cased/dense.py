"""DenseCaSED: crops of several grids, their embeddings on a small map."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['crop_boxes', 'embed_cells', 'word_map']


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
