"""Second stage of seeds from image tags: learn which pixels belong together, then walk the class maps there.

AffinityNet (PSA): Ahn & Kwak, CVPR 2018, arXiv 1803.10464; jiwoon-ahn/psa @ 9493e59 (MIT), train_aff.py, infer_aff.py.
IRNet: Ahn, Cho & Kwak, CVPR 2019, arXiv 1904.05044; jiwoon-ahn/irn @ a2ece00 (MIT), step/train_irn.py,
step/make_sem_seg_labels.py.

Both start from the class maps M (B,K,H,W) of a trained classifier and from its sure pixels (:class:`ConfidentSeeds`):

    IRNet        a_ij = 1 - max of sigmoid(edge) on the path from i to j       edge, displacement = heads(frozen stages)
                 L = (pos + neg) / 2 + (dp_fg + dp_bg) / 2                     :func:`affinity_displacement_losses`
                 M <- (M (1 - edge)) T^256 over its largest value, background 0.25
    AffinityNet  a_ij = exp(-mean |f_i - f_j|)                                 f = head(conv4, conv5, conv6), trained
                 L = bg / 4 + fg / 4 + neg / 2                                 :func:`pair_affinity_loss`
                 [(1 - max M)^16, M] T^256, background and classes alike

with T = a^beta over its column sums (:mod:`mmseg_weak.models.refine.random_walk`). Instances, which IRNet finds with
the displacements, are not built: displacements are learnt, and their mean is kept, as the paper's loss needs them.

Deviations: seeds that are made on the fly come from the training crop, published ones from the whole image (for those
train on files, ``seed_source='masks'``). The mean displacement follows the training steps instead of a pass after it.
Photographs are not padded to 512 pixels before IRNet looks at them. AffinityNet's labels are taken at the nearest pixel
of its maps, where the published code averages the CRF's scores over 8x8 pixels first.
"""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import CheckpointError, ConfigError, DataError
from mmseg_weak.models.cam import confident_labels
from mmseg_weak.models.cam.boundaries import mean_edges, spread_to_edges
from mmseg_weak.models.cam.seeds import box_mask
from mmseg_weak.models.clip.weights import without_weights
from mmseg_weak.models.losses.pair_affinity import PairAffinityLoss, affinity_displacement_losses, fitting_radius
from mmseg_weak.models.refine import AffinityWalk, EdgeWalk
from mmseg_weak.models.refine.pairs import feature_affinity
from mmseg_weak.models.segmentors import TagSegmentor, image_boxes
from mmseg_weak.models.utils.split import find_modules, module_outputs

__all__ = ['AffinityNet', 'IRNet', 'SeedStage']

_FILES = ('init_cfg', 'checkpoint', 'pretrained')


def _without_files(node: Any) -> Any:
    """A copy of a config that names no pretrained file."""
    if isinstance(node, dict):
        node = without_weights(node) if node.get('type') == 'OpenCLIP' else node
        return {key: None if key in _FILES else _without_files(value) for key, value in node.items()}
    return [_without_files(value) for value in node] if isinstance(node, (list, tuple)) else node


class SeedStage(TagSegmentor):
    """A frozen classifier whose class maps are the seeds, and their refined form the result.

    Args:
        cam: config of the trained :class:`.TagSegmentor` that gives class maps, such as a ``CAMClassifier``.
        num_classes: all classes, the background among them.
        cam_checkpoint: its weights, read when training starts; they become part of this model's own checkpoint.
        seeds: config of :class:`.ConfidentSeeds`, without ``type``.
        seed_source: 'cam', seeds are made of each crop's class maps; 'masks', they are the masks of the training data,
            255 where unknown: the folder that ``mmseg-weak pseudo-label`` wrote, as ``PseudoLabelDataset``.
        **kwargs: of :class:`.TagSegmentor`; scales and flips are ``cam.seed``'s.
    """

    def __init__(self, cam: dict, num_classes: int, cam_checkpoint: str | None = None, seeds: dict | None = None,
                 seed_source: str = 'cam', **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if seed_source not in ('cam', 'masks'):
            raise ConfigError(f"model.seed_source is {seed_source!r}; it is 'cam' or 'masks'.")
        cam = {key: value for key, value in cam.items() if key != 'data_preprocessor'}
        if cam.setdefault('num_classes', num_classes) != num_classes:
            raise ConfigError(f"model.cam.num_classes is {cam['num_classes']} and model.num_classes is {num_classes}; "
                              'both count the same classes.')
        self.cam = MODELS.build(_without_files(cam) if cam_checkpoint else cam).requires_grad_(False)
        if not isinstance(self.cam, TagSegmentor):
            raise ConfigError(f'model.cam is a {type(self.cam).__name__}, which gives no class maps; take a method of '
                              'image tags, such as CAMClassifier.')
        self.confident = MODELS.build(dict(type='ConfidentSeeds', **(seeds or {})))
        self.cam_checkpoint, self.learns_from_masks = cam_checkpoint, seed_source == 'masks'

    def init_weights(self) -> None:
        """Load the classifier that gives the class maps.

        Raises:
            CheckpointError: it is of another classifier.
        """
        super().init_weights()
        if self.cam_checkpoint is None:
            return
        content = CheckpointLoader.load_checkpoint(self.cam_checkpoint, map_location='cpu')
        weights, own = content.get('state_dict', content), self.cam.state_dict()
        wrong = [key for key, value in own.items() if key not in weights or weights[key].shape != value.shape]
        if wrong:
            raise CheckpointError(f'{self.cam_checkpoint} does not hold the classifier of model.cam: {len(wrong)} of '
                                  f'{len(own)} weights are missing or of another shape (first: {wrong[0]}); give the '
                                  'config that it was trained with.')
        self.cam.load_state_dict({key: weights[key] for key in own})

    def train(self, mode: bool = True) -> 'SeedStage':
        """The classifier stays in eval mode."""
        super().train(mode)
        self.cam.eval()
        return self

    def class_maps(self, images: Tensor) -> Tensor:
        """The classifier's maps, (B,3,H,W) -> (B,K,h,w)."""
        return self.cam.class_maps(images)

    def tag_logits(self, images: Tensor) -> Tensor:
        """The classifier's tag logits, (B,3,H,W) -> (B,K)."""
        return self.cam.tag_logits(images)

    @torch.no_grad()
    def seed_labels(self, images: Tensor, samples: list, size: tuple[int, int]) -> Tensor:
        """Sure pixels at the size of the affinities, (B,h,w) long, 255 where unsure or outside of the photograph.

        Raises:
            DataError: they should come from masks and there are none.
        """
        if self.learns_from_masks:
            if any('gt_sem_seg' not in sample for sample in samples):
                raise DataError("model.seed_source is 'masks' and the training data has none: use PseudoLabelDataset "
                                "with the folder of `mmseg-weak pseudo-label` and LoadMask in the pipeline, or 'cam'.")
            labels = torch.stack([sample.gt_sem_seg.data[0] for sample in samples]).to(images.device)
        else:
            present = self.tags(samples).bool()
            cams = self.cam.seed_scores(images, present)
            planes = self.confident(F.pad(cams, (0, 0, 0, 0, 1, 0)), self.raw_images(images),
                                    F.pad(present, (1, 0), value=True))
            labels = confident_labels(planes)
        box = image_boxes(samples, tuple(labels.shape[-2:]), images.device)
        labels = labels.masked_fill(~box_mask(box, tuple(labels.shape[-2:])), 255)
        return F.interpolate(labels[:, None].float(), size, mode='nearest')[:, 0].long()


@MODELS.register_module()
class IRNet(SeedStage):
    """Class boundaries from seeds; class maps spread up to them.

    Args:
        cam, num_classes, cam_checkpoint, seeds, seed_source: see :class:`SeedStage`. Seeds: 0.30 and 0.05 on VOC.
        heads: config of :class:`.IRNetHeads`, without ``type``.
        stages: the five modules of the backbone whose outputs the heads get.
        backbone: config of the frozen backbone (the paper's: ImageNet weights); None takes the classifier's own.
        radius: pixels of the maps up to which (exclusive) two form a pair in training; less where a crop is too small
            for it. Paper: 10.
        walk: ``beta``, ``exp_times`` and ``radius`` of :class:`.EdgeWalk`. Paper: 10, 8, 5.
        seed: as in :class:`.TagSegmentor`; the background is 0.25 by default.
    """

    def __init__(self, cam: dict, num_classes: int, heads: dict | None = None,
                 stages: Sequence[str] = ('maxpool', 'layer1', 'layer2', 'layer3', 'layer4'),
                 backbone: dict | None = None, radius: int = 10, walk: dict | None = None, seed: dict | None = None,
                 **kwargs: Any) -> None:
        super().__init__(cam, num_classes, seed={'thr': 0.25, **(seed or {})}, **kwargs)
        if backbone is not None:
            self.backbone = MODELS.build(backbone).requires_grad_(False)
        find_modules(self._stem(), stages, 'model.stages')
        self.stages = tuple(stages)
        self.heads = MODELS.build(dict(type='IRNetHeads', **(heads or {})))
        self.radius = radius
        self.walk = EdgeWalk(**(walk or {}))

    def _stem(self) -> torch.nn.Module:
        return self.backbone if 'backbone' in self._modules else self.cam.backbone

    def train(self, mode: bool = True) -> 'IRNet':
        """The backbone stays in eval mode, too."""
        super().train(mode)
        self._stem().eval()
        return self

    def boundaries(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,H,W) -> edge logits (B,1,h,w), displacement (B,2,h,w), at the stride of the second stage."""
        with torch.no_grad():
            features = module_outputs(self._stem(), find_modules(self._stem(), self.stages, 'model.stages'), images)
        return self.heads(features)

    def extract_feat(self, inputs: Tensor) -> Any:
        """Edge logits and displacements."""
        return self.boundaries(inputs)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Half of each: alike pairs, different pairs, displacement inside objects and inside the background."""
        edge, displacement = self.boundaries(inputs)
        self.heads.mean_shift.follow(displacement)
        size = tuple(edge.shape[-2:])
        labels, radius = self.seed_labels(inputs, data_samples, size), fitting_radius(self.radius, size)
        parts = affinity_displacement_losses(edge, displacement, labels, radius=radius)
        known = labels != 255
        return {name: value / 2 for name, value in parts.items()} | dict(
            known_pixels=known.float().mean() * 100, object_pixels=(known & (labels > 0)).float().mean() * 100)

    def edges(self, images: Tensor) -> Tensor:
        """Probability of a class boundary, (B,3,H,W) -> (B,1,h,w); see :func:`.mean_edges`."""
        return mean_edges(self.boundaries, images)

    def seed_scores(self, images: Tensor, present: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """Class maps after the walk, over each image's largest value, (B,3,H,W) -> (B,K,H,W) in [0, 1]."""
        edge, (height, width) = self.edges(images), images.shape[-2:]
        maps = self.cam.seed_scores(images, present, tuple(edge.shape[-2:]))
        walked = spread_to_edges(self.walk, maps, edge, self.heads.strides[1], (height, width), present)
        if size is not None and tuple(size) != (height, width):
            walked = F.interpolate(walked, size, mode='bilinear', align_corners=False)
        return walked


@MODELS.register_module()
class AffinityNet(SeedStage):
    """Features whose distance says which pixels share a class; class maps spread along them.

    Args:
        backbone: config of the backbone, which is trained.
        cam, num_classes, cam_checkpoint, seeds, seed_source: see :class:`SeedStage`. Seeds: powers 4 and 32, each
            through a CRF of preset 'psa' (SEAM: 4 and 24).
        head: config of :class:`.AffinityHead`, without ``type``.
        in_index: the three maps of the backbone; smaller ones are enlarged to the first.
        start_from_cam: begin with the weights of the classifier's backbone instead of ``backbone``'s own.
        radius: pixels of the maps up to which (exclusive) two form a pair; less where a crop is too small for it.
        walk: ``beta`` and ``exp_times`` of :class:`.AffinityWalk`.
        seed: as in :class:`.TagSegmentor`; the background that is walked is (1 - max)^16 by default.
    """

    def __init__(self, backbone: dict, cam: dict, num_classes: int, head: dict | None = None,
                 in_index: Sequence[int] = (0, 1, 2), start_from_cam: bool = False, radius: int = 5,
                 walk: dict | None = None, seeds: dict | None = None, seed: dict | None = None, **kwargs: Any) -> None:
        seeds = dict(background='power', strict=4, loose=32, gt_prob=None) | (seeds or {})
        super().__init__(cam, num_classes, seeds=seeds, seed={'background': 'power', 'thr': 16, **(seed or {})},
                         **kwargs)
        self.backbone = MODELS.build(_without_files(backbone) if start_from_cam else backbone)
        self.head = MODELS.build(dict(type='AffinityHead', **(head or {})))
        self.in_index, self.start_from_cam, self.radius = tuple(in_index), start_from_cam, radius
        self.walk = AffinityWalk(radius=radius, **(walk or {}))

    def init_weights(self) -> None:
        """Load the classifier, and start from its backbone where asked."""
        super().init_weights()
        if self.start_from_cam:
            self.backbone.load_state_dict(self.cam.backbone.state_dict())

    def pair_features(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,D,h,w)."""
        maps = self.backbone(images)
        maps = [maps[i] for i in self.in_index]
        size = maps[0].shape[-2:]
        return self.head([m if m.shape[-2:] == size else
                          F.interpolate(m, size, mode='bilinear', align_corners=False) for m in maps])

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """A quarter for alike pairs of background and of objects each, half for different ones."""
        features = self.pair_features(inputs)
        size = tuple(features.shape[-2:])
        labels, radius = self.seed_labels(inputs, data_samples, size), fitting_radius(self.radius, size)
        known = labels != 255
        return dict(loss_affinity=PairAffinityLoss(radius)(features, labels), known_pixels=known.float().mean() * 100,
                    object_pixels=(known & (labels > 0)).float().mean() * 100)

    @torch.no_grad()
    def seed_planes(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Background and classes after the walk, (B,3,H,W) -> (B,K+1,H,W); each pixel's sum stays about what it was."""
        planes = super().seed_planes(images, present)
        affinity = feature_affinity(self.pair_features(images).float(), self.radius)
        known = None if present is None else F.pad(present, (1, 0), value=True)
        walked = self.walk(F.adaptive_avg_pool2d(planes, affinity.shape[-2:]), affinity, known)
        return F.interpolate(walked, images.shape[-2:], mode='bilinear', align_corners=False)

    def seed_scores(self, images: Tensor, present: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """The classifier's class maps, as they are before the walk (:meth:`seed_planes`)."""
        return self.cam.seed_scores(images, present, size)
