"""Steps 1 to 5 of MARS, once and before any training: which objects of pseudo masks are biased."""
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.prototypes.weighted_kmeans import weighted_kmeans
from mmseg_weak.models.refine import Refiner

from .equations import debias_labels, debiased_centroids, sum_directions, target_map

__all__ = ['Debiaser', 'DenseFeatures', 'image_centroids']


@MODELS.register_module()
class DenseFeatures(BaseModule):
    """A frozen backbone that gives an embedding of every place of an image.

    The paper takes STEGO or Leopart, trained without labels on the same images; any backbone of mmseg, mmpretrain or
    timm goes in, and so do their checkpoints once they are one.

    Args:
        backbone: config, with its weights (``init_cfg``, ``TimmViT``: ``checkpoint``).
        in_index: which of its maps.
        mean, std: of RGB images from 0 to 255. ImageNet's.
        multiple: sides are resized to multiples of this, a ViT's patch.
        scale: of the image before that.
    """

    def __init__(self, backbone: dict, in_index: int = -1, mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375), multiple: int = 1, scale: float = 1.0) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone).requires_grad_(False)
        self.in_index, self.multiple, self.scale = in_index, multiple, scale
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> 'DenseFeatures':
        """It never trains."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """(B,3,H,W) RGB, 0 to 255 -> (B,D,h,w) float32."""
        size = [max(round(n * self.scale / self.multiple), 1) * self.multiple for n in image.shape[-2:]]
        image = (image.float() - self.mean) / self.std
        if size != list(image.shape[-2:]):
            image = F.interpolate(image, size, mode='bilinear', align_corners=False)
        out = self.backbone(image)
        return (out[self.in_index] if isinstance(out, (tuple, list)) else out).float()


def image_centroids(features: Tensor, labels: Tensor, clusters: int = 2, background_clusters: int = 2,
                    seed: int = 0) -> dict[int, Tensor]:
    """Centroids of every class that a mask shows, the background 0 among them.

    A place of the feature map counts for a class as often as the class has pixels in it: the k-means over all pixels of
    the nearest enlarged features, at the cost of the small map. Features are brought to unit length first (the paper
    compares by cosine and does not say).

    Args:
        features: (D,h,w). labels: (H,W) integers, 255 unknown.
        clusters, background_clusters: K_fg, K_bg; a class with fewer different places gets fewer.

    Returns:
        class to (k,D).
    """
    points = F.normalize(features, dim=0).flatten(1).T
    found = {}
    for label in labels.unique().tolist():
        if label != 255:
            share = F.adaptive_avg_pool2d((labels == label)[None].float(), features.shape[1:])[0].flatten()
            found[label] = weighted_kmeans(points, share, clusters if label else background_clusters, seed=seed)
    return found


def _load_quietly(network: BaseModule) -> None:
    """Load its weights without mmengine's line for each parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        network.init_weights()
    finally:
        logger.setLevel(level)


class Debiaser:
    """Two passes over a data set: :meth:`look` at all images, :meth:`settle`, then :meth:`debias` each.

    Args:
        extractor: config of :class:`DenseFeatures`.
        num_classes: all classes, the background among them.
        ratio: alpha, share of a class's centroids that make its debiased one.
        clusters, background_clusters: K_fg and K_bg.
        centre: subtract the mean feature of the data set first, see :meth:`measure`. Ours, for features that are
            similar everywhere, such as a classifier's after ReLU; the paper's are not.
        crf: config of the refinement of the target map, or None.
        target_thr: probability after it from which a pixel is a target. The paper binarises, and does not say where.
        device: where to compute.

    Raises:
        ConfigError: options out of range.
    """

    def __init__(self, extractor: dict, num_classes: int, ratio: float = 0.4, clusters: int = 2,
                 background_clusters: int = 2, centre: bool = False, crf: dict | None = None, target_thr: float = 0.5,
                 device: str | torch.device = 'cpu') -> None:
        if not 0 < ratio <= 1 or clusters < 1 or background_clusters < 1 or not 0 < target_thr < 1:
            raise ConfigError(f'debias.ratio={ratio}, clusters={clusters}, background_clusters={background_clusters}, '
                              f'target_thr={target_thr}; give 0 < ratio <= 1, one cluster or more, 0 < target_thr < 1.')
        self.extractor = MODELS.build(dict(dict(type='DenseFeatures'), **extractor))
        _load_quietly(self.extractor)
        self.extractor.to(device).eval()
        self.crf: Refiner | None = MODELS.build(crf) if crf else None
        self.num_classes, self.ratio, self.device, self.target_thr = num_classes, ratio, device, target_thr
        self.clusters, self.background_clusters, self.centre = clusters, background_clusters, centre
        self.mean: Tensor | float = 0.0
        self.centroids: list[list[Tensor]] = [[] for _ in range(num_classes - 1)]
        self.direction_sum: Tensor | float = 0.0
        self.count = 0
        self.debiased: Tensor | None = None

    def picture(self, image: np.ndarray) -> Tensor:
        """(H,W,3) uint8 BGR -> (1,3,H,W) RGB."""
        return torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)[None].to(self.device)

    def features(self, image: np.ndarray) -> Tensor:
        """(H,W,3) uint8 BGR -> (D,h,w)."""
        return self.extractor(self.picture(image))[0] - self.mean

    def measure(self, images: Sequence[np.ndarray]) -> None:
        """Take the mean feature of some images, where ``centre`` is set."""
        if self.centre:
            self.mean = torch.stack([self.features(image).mean((1, 2)) for image in images]).mean(0)[:, None, None]

    def look(self, image: np.ndarray, labels: np.ndarray) -> None:
        """First pass: the centroids of an image."""
        found = image_centroids(self.features(image), torch.from_numpy(labels).to(self.device), self.clusters,
                                self.background_clusters)
        for label, own in found.items():
            if label:
                self.centroids[label - 1].append(own.cpu())
            else:
                self.direction_sum = self.direction_sum + sum_directions(own).cpu()
                self.count += len(own)

    def settle(self) -> None:
        """After the first pass: one debiased centroid a class, from its distance to all backgrounds.

        Raises:
            DataError: no mask shows any background.
        """
        if not self.count:
            raise DataError('none of the masks has a pixel of the background (0), and MARS compares objects with it; '
                            'look at the masks.')
        width = len(self.direction_sum)
        stacks = [torch.cat(own) if own else torch.zeros(0, width) for own in self.centroids]
        self.debiased = debiased_centroids(stacks, self.direction_sum, self.count, self.ratio).to(self.device)

    @torch.no_grad()
    def target(self, image: np.ndarray, tags: Sequence[int]) -> Tensor:
        """Eq. (4) of an image, refined and enlarged: (H,W) in [0, 1].

        Args:
            tags: its classes, from 1.
        """
        found = target_map(self.features(image), self.debiased[[tag - 1 for tag in tags]])
        found = F.interpolate(found[None, None], image.shape[:2], mode='bilinear', align_corners=False).clamp(0, 1)
        if self.crf is not None:
            found = self.crf(torch.cat([1 - found, found], 1), self.picture(image))[:, 1:]
        return found[0, 0]

    def debias(self, image: np.ndarray, labels: np.ndarray, tags: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Second pass, eqs. (4), (5).

        Returns:
            labels (H,W), 255 where biased or unknown; where biased, (H,W) bool.
        """
        inside = self.target(image, tags) > self.target_thr
        kept, biased = debias_labels(torch.from_numpy(labels).to(self.device), inside)
        return kept.cpu().numpy(), biased.cpu().numpy()
