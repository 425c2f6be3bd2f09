"""Shapes along which two images are mixed, and the mixing itself.

Every shape is a pure function of given uniforms, so that the same code serves a training step (``torch.rand``, which
the run reseeds before each iteration) and the numbers of other programs. Masks are bool (B,H,W), True where the
*second* image (the CutMix partner) shows. Rectangles are drawn on the CPU, where no step waits for them.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ['BoxUniforms', 'box_masks', 'class_masks', 'cutmix_box', 'draw_box_uniforms', 'draw_cutmix_masks',
           'half_area_boxes', 'mix', 'rectangles_to_masks', 'uniforms']


def mix(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Show ``second`` inside the mask and ``first`` outside; neither is changed.

    Args:
        first, second: (B,H,W) or (B,C,H,W), of one dtype.
        mask: (B,H,W) bool.
    """
    return torch.where(mask.unsqueeze(1) if first.dim() == mask.dim() + 1 else mask, second, first)


def uniforms(block: int = 64, generator: torch.Generator | None = None) -> Callable[[], float]:
    """Return a function that gives the next uniform of [0,1) as a float; it draws ``block`` of them at a time."""
    waiting: list[float] = []

    def draw() -> float:
        if not waiting:
            waiting.extend(torch.rand(block, generator=generator, dtype=torch.float64).tolist()[::-1])
        return waiting.pop()
    return draw


def rectangles_to_masks(boxes: Tensor, size: tuple[int, int], device: torch.device | str | None = None) -> Tensor:
    """Paint boxes, True inside; where boxes of one image overlap they toggle.

    Args:
        boxes: (B,4) or (B,K,4) integers (top, left, bottom, right), the ends exclusive.
        size: (H, W).

    Returns:
        (B,H,W) bool.
    """
    boxes = boxes.reshape(boxes.shape[0], -1, 4).to(device, non_blocking=True)
    top, left, bottom, right = boxes.unbind(-1)
    y = torch.arange(size[0], device=boxes.device)
    x = torch.arange(size[1], device=boxes.device)
    rows = (y >= top[..., None]) & (y < bottom[..., None])  # (B,K,H)
    columns = (x >= left[..., None]) & (x < right[..., None])  # (B,K,W)
    masks = rows[:, 0, :, None] & columns[:, 0, None, :]
    for k in range(1, boxes.shape[1]):
        masks = masks ^ (rows[:, k, :, None] & columns[:, k, None, :])
    return masks


# ------------------------------------------------------------------------------------------------ UniMatch's CutMix
def cutmix_box(size: tuple[int, int], draw: Callable[[], float], prob: float = 0.5,
               area_ratio: tuple[float, float] = (0.02, 0.4),
               aspect: tuple[float, float] = (0.3, 1 / 0.3)) -> tuple[int, int, int, int]:
    """Draw UniMatch's CutMix box: area and aspect uniform, thrown until it lies inside the image.

    Args:
        size: (H, W) of the crop, pixels.
        draw: gives the next uniform of [0,1); the order is: existence, area, then (aspect, left, top) per throw.
        prob: chance that there is a box at all.
        area_ratio: box area as a share of the image's area.
        aspect: height / width.

    Returns:
        (top, left, bottom, right), ends exclusive; (0, 0, 0, 0) without a box.

    Source: LiheYoung/UniMatch @ 0324f3d, dataset/transform.py.
    """
    height, width = size
    if draw() > prob:
        return 0, 0, 0, 0
    area = (area_ratio[0] + (area_ratio[1] - area_ratio[0]) * draw()) * height * width
    while True:
        ratio = aspect[0] + (aspect[1] - aspect[0]) * draw()
        w, h = int(math.sqrt(area / ratio)), int(math.sqrt(area * ratio))
        left, top = int(draw() * width), int(draw() * height)
        if left + w <= width and top + h <= height:
            return top, left, top + h, left + w


def draw_cutmix_masks(count: int, size: tuple[int, int], device: torch.device | str | None = None,
                      draw: Callable[[], float] | None = None, **box: object) -> Tensor:
    """Draw one :func:`cutmix_box` for each of ``count`` images: (count,H,W) bool.

    Args:
        draw: source of uniforms; by default torch's own CPU generator.
        box: ``prob``, ``area_ratio``, ``aspect`` of :func:`cutmix_box`.
    """
    draw = draw or uniforms()
    boxes = [cutmix_box(size, draw, **box) for _ in range(count)]
    return rectangles_to_masks(torch.tensor(boxes, dtype=torch.long).reshape(count, 4), size, device)


# ------------------------------------------------------------------------------ CutMix-Seg, CPS, MGD: several boxes
@dataclass
class BoxUniforms:
    """Uniforms of [0,1) of ``N`` masks with ``K`` boxes: size (N,K), aspect (N,K), position (N,K,2) as (y, x)."""
    size: Tensor
    aspect: Tensor
    position: Tensor


def draw_box_uniforms(count: int, n_boxes: int = 1, generator: torch.Generator | None = None) -> BoxUniforms:
    """Draw what :func:`box_masks` needs for ``count`` masks, on the CPU."""
    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)
    return BoxUniforms(rand(count, n_boxes), rand(count, n_boxes), rand(count, n_boxes, 2))


def box_masks(given: BoxUniforms, size: tuple[int, int], prop_range: tuple[float, float] = (0.5, 0.5),
              random_aspect_ratio: bool = True, prop_by_area: bool = True, within_bounds: bool = True,
              invert: bool = True, as_published: bool = False,
              device: torch.device | str | None = None) -> Tensor:
    """Masks of one or several boxes; overlapping boxes toggle.

    Args:
        given: uniforms, one set a mask.
        size: (H, W), pixels.
        prop_range: share of the image a mask's boxes cover together (of each side if not ``prop_by_area``).
        random_aspect_ratio: draw height and width apart; otherwise boxes have the image's shape.
        prop_by_area: the proportion is of the area: height = exp(U log p), width = p / height.
        within_bounds: boxes lie inside the image; otherwise their centres do and the rest is cut off.
        invert: True inside the boxes; False outside of them.
        as_published: with ``within_bounds=False``, a box that leaves the image at the top or left is read as a
            negative Python slice and mostly vanishes, as in the release; by default it is cut off.

    Returns:
        (N,H,W) bool.

    Source: Britefury/cutmix-semisup-seg @ af6183a, mask_gen.py (in CPS and MGD too).
    """
    low, high = prop_range
    prop = low + (high - low) * given.size.double()
    if not random_aspect_ratio:
        height = width = prop.sqrt() if prop_by_area else prop
    elif prop_by_area:
        height = torch.exp(given.aspect * prop.log())
        width = prop / height
    else:
        height, width = prop, low + (high - low) * given.aspect.double()
    sides = torch.stack([height, width], -1) * math.sqrt(1 / prop.shape[1])
    if prop_by_area:
        sides = torch.where(prop[..., None] == 0, 0.0, sides)
    image = torch.tensor(size, dtype=torch.float64)
    sides = (sides * image).round()
    if within_bounds:
        start = ((image - sides) * given.position).round()
        end = start + sides
    else:
        centre = (image * given.position).round()
        start, end = centre - sides * 0.5, centre + sides * 0.5
    start, end = start.trunc(), end.trunc()
    if as_published:
        start = torch.where(start < 0, start + image, start)
    inside = rectangles_to_masks(torch.cat([start, end], -1).long(), size, device)
    return inside if invert else ~inside


# ------------------------------------------------------------------------------------------------------ U2PL and FST
def half_area_boxes(given: Tensor, size: tuple[int, int], ratio: float = 2.0,
                    device: torch.device | str | None = None) -> Tensor:
    """U2PL's CutMix (and cutout) box: a share of 1/ratio of the image, width uniform, corner uniform.

    Args:
        given: (B,3) uniforms of [0,1): width, left, top.
        size: (H, W), pixels.
        ratio: the image's area over the box's.

    Returns:
        (B,H,W) bool, True inside.

    Source: Haochen-Wang409/U2PL @ ab3d2be, u2pl/dataset/augmentation.py.
    """
    height, width = size
    given = given.double()
    least = int(width / ratio + 1)
    w = (least + (given[:, 0] * max(width - least, 1)).floor()).clamp(max=width)
    h = (height * width / ratio / w).round().clamp(max=height)
    left = (given[:, 1] * (width - w + 1)).floor()
    top = (given[:, 2] * (height - h + 1)).floor()
    return rectangles_to_masks(torch.stack([top, left, top + h, left + w], -1).long(), size, device)


def class_masks(labels: Tensor, given: Tensor, share: float = 0.5, round_up: bool = False,
                ignore_index: int = 255) -> Tensor:
    """ClassMix: all pixels of a random part of the classes that an image shows.

    Args:
        labels: (B,H,W) class indices; ``ignore_index`` is never chosen.
        given: (B,C) uniforms of [0,1), one a class: the classes present with the smallest ones are chosen.
        share: part of the present classes to choose.
        round_up: round that number up (DACS) instead of down (U2PL).

    Returns:
        (B,H,W) bool, True on the chosen classes.
    """
    num_classes = given.shape[1]
    given = given.to(labels.device)
    known = labels.ne(ignore_index)
    safe = torch.where(known, labels, labels.new_tensor(num_classes))
    seen = torch.zeros(labels.shape[0], num_classes + 1, dtype=torch.bool, device=labels.device)
    seen.scatter_(1, safe.flatten(1), True)
    seen = seen[:, :num_classes]
    rank = torch.where(seen, given, torch.full_like(given, 2.0)).argsort(1).argsort(1)
    wanted = seen.sum(1, keepdim=True) * share
    chosen = seen & (rank < (wanted.ceil() if round_up else wanted.floor()))
    chosen = torch.cat([chosen, torch.zeros_like(chosen[:, :1])], 1)
    return chosen.gather(1, safe.flatten(1)).view_as(labels)
