"""Support pictures of a name: where its object is, where its background is, and the prototypes of both."""
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from mmseg_weak.errors import DataError
from mmseg_weak.models.prototypes import weighted_kmeans

from .equations import ClassPrototypes, choose_masks, fallback_masks, scale_heatmap, support_prototypes
from .segmentor import OVDiff

__all__ = ['SupportPicture', 'class_prototypes', 'clip_heat', 'object_masks', 'region_proposals']

_CLUSTERS = 6
_LEAST_SHARE = 0.01  # of the picture that a region fills


class SupportPicture(NamedTuple):
    """A picture of a name with what is known about it; all of them squares of one size."""
    image: Tensor  # (3,S,S) RGB, 0 to 255
    heat: Tensor | None = None  # (S,S) in [0, 1], where the name is; None: CLIP is asked
    proposals: Tensor | None = None  # (M,S,S) bool, masks of anything; None: the segmentor's own
    mask: Tensor | None = None  # (S,S) uint8, 1 the object, 0 its background, 255 neither; makes the two above useless


@torch.no_grad()
def clip_heat(model: OVDiff, image: Tensor, name: str) -> Tensor:
    """Where CLIP's patches resemble a name: (3,S,S) RGB -> (S,S) in [0, 1]; takes the place of a diffusion model's
    attention for pictures that none drew.
    """
    dense = model.clip.encode_dense(model.for_clip(image)[None])
    cosines = torch.einsum('d,ndhw->nhw', model.clip.encode_names([name])[0], dense)
    return scale_heatmap(cosines[:, None], tuple(image.shape[-2:]))[0, 0]


def region_proposals(features: Tensor, size: tuple[int, int], clusters: int = _CLUSTERS) -> Tensor:
    """Connected parts of k-means clusters of a picture's features.

    Args:
        features: (C,h,w).
        size: of the masks.
        clusters: k.

    Returns:
        (M,H,W) bool, none smaller than a hundredth of the picture.
    """
    points = F.normalize(features.flatten(1).T, dim=1)
    centres = weighted_kmeans(points, points.new_ones(len(points)), clusters, num_iter=50)
    nearest = torch.cdist(points, centres).argmin(1).view(features.shape[1:])
    masks = []
    for cluster in range(len(centres)):
        parts, count = ndimage.label((nearest == cluster).cpu().numpy())
        masks += [torch.from_numpy(parts == part) for part in range(1, count + 1)]
    masks = [mask for mask in masks if mask.float().mean() >= _LEAST_SHARE]
    if not masks:
        return torch.zeros(0, *size, dtype=torch.bool, device=features.device)
    stacked = torch.stack(masks).to(features.device)
    return F.interpolate(stacked[None].float(), size, mode='nearest')[0].bool()


@torch.no_grad()
def object_masks(model: OVDiff, picture: SupportPicture, name: str) -> tuple[Tensor, Tensor]:
    """Object and background of a support picture, (S,S) bool each."""
    if picture.mask is not None:
        return picture.mask == 1, picture.mask == 0
    heat = clip_heat(model, picture.image, name) if picture.heat is None else picture.heat
    masks = picture.proposals
    if masks is None and model.proposals == 'clusters':
        masks = region_proposals(model.extractors[-1](picture.image[None], model.clip)[0], tuple(heat.shape))
    if masks is None or not len(masks):
        return fallback_masks(heat)
    masks = masks.to(heat.device)
    chosen = choose_masks(torch.cat([~masks.any(0, keepdim=True), masks]), heat)
    return chosen.fg, chosen.eroded


@torch.no_grad()
def class_prototypes(model: OVDiff, pictures: Sequence[SupportPicture], name: str
                     ) -> Iterator[tuple[str, ClassPrototypes]]:
    """Prototypes of a name in each feature space; pictures in which no object is found are left out.

    Yields:
        name of the feature space, rows of object and background on the CPU.

    Raises:
        DataError: no picture shows an object.
    """
    found = [object_masks(model, picture, name) for picture in pictures]
    kept = [number for number, (fg, _) in enumerate(found) if bool(fg.any())]
    if not kept:
        raise DataError(f'No object was found in any of the {len(pictures)} support pictures of {name!r}; give other '
                        'pictures, or masks of them.')
    images = torch.stack([pictures[number].image for number in kept])
    for extractor in model.extractors:
        features = torch.cat([extractor(part, model.clip) for part in images.split(model.test_cfg['window_batch'])])
        masks = (torch.stack([found[number][side] for number in kept]).to(features.device) for side in (0, 1))
        yield extractor.name, ClassPrototypes(*(support_prototypes(features, mask, model.num_parts).cpu()
                                                for mask in masks))
