"""Between the stages: IRNet on the sure pixels of responses, and responses that walk up to its boundaries."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import DataError
from mmseg_weak.models.cam.boundaries import mean_edges, spread_to_edges
from mmseg_weak.models.losses.pair_affinity import affinity_displacement_losses, fitting_radius
from mmseg_weak.models.refine import EdgeWalk
from mmseg_weak.models.utils.split import find_modules, module_outputs

__all__ = ['TRISWalk']


@MODELS.register_module()
class TRISWalk(BaseSegmentor):
    """Boundaries of objects, learnt from masks in which 1 is surely the object, 0 surely not, and 255 neither.

    IRNet's two heads on a frozen backbone; a response walks over the image up to the boundaries and is the object where
    it stays above ``thr`` of its largest value. Prediction shows the boundaries.

    Args:
        backbone: config of the frozen backbone. Paper: ResNet-50 of ImageNet.
        stages: five of its modules.
        heads: arguments of :class:`.IRNetHeads`.
        radius: pixels of the maps up to which (exclusive) two form a pair in training; less where a crop is too small
            for it. IRNet: 10.
        walk: ``beta``, ``exp_times`` and ``radius`` of :class:`.EdgeWalk`. Paper: 10, 8, IRNet's 5.
        thr: see above. Paper: 0.25.
        data_preprocessor, init_cfg: as in mmseg.
    """

    num_classes, refers = 2, False

    def __init__(self, backbone: dict, stages: Sequence[str] = ('maxpool', 'layer1', 'layer2', 'layer3', 'layer4'),
                 heads: dict | None = None, radius: int = 10, walk: dict | None = None, thr: float = 0.25,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone).requires_grad_(False)
        find_modules(self.backbone, stages, 'model.stages')
        self.stages, self.radius, self.thr, self.align_corners = tuple(stages), radius, thr, False
        self.heads = MODELS.build(dict(type='IRNetHeads', **(heads or {})))
        self.walk = EdgeWalk(**(walk or {}))

    def train(self, mode: bool = True) -> 'TRISWalk':
        """The backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def boundaries(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,H,W) -> edge logits (B,1,h,w), displacement (B,2,h,w), at the stride of the second stage."""
        with torch.no_grad():
            features = module_outputs(self.backbone, find_modules(self.backbone, self.stages, 'model.stages'), images)
        return self.heads(features)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Half of each: alike pairs, different pairs, displacement inside the object and inside the background."""
        if any('gt_sem_seg' not in sample for sample in data_samples):
            raise DataError('Images came without masks of sure pixels; train on the seeds that `mmseg-weak '
                            'refer-label` wrote, with dataset.with_masks=True and LoadReferredMask.')
        edge, displacement = self.boundaries(inputs)
        self.heads.mean_shift.follow(displacement)
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples]).to(inputs.device)
        size = tuple(edge.shape[-2:])
        labels = F.interpolate(labels.float(), size, mode='nearest')[:, 0].long()
        parts = affinity_displacement_losses(edge, displacement, labels, radius=fitting_radius(self.radius, size))
        known = labels != 255
        return {name: value / 2 for name, value in parts.items()} | dict(
            known_pixels=known.float().mean() * 100, object_pixels=(known & (labels == 1)).float().mean() * 100)

    @torch.no_grad()
    def spread(self, images: Tensor, responses: Tensor) -> Tensor:
        """Responses after the walk.

        Args:
            images: (B,3,H,W), normalised.
            responses: (B,K,H,W) in [0, 1], of K sentences about each image.

        Returns:
            (B,K,H,W) over each image's largest value; the object is above ``thr``.
        """
        edge, size = mean_edges(self.boundaries, images), tuple(images.shape[-2:])
        small = F.interpolate(responses, tuple(edge.shape[-2:]), mode='bilinear', align_corners=False)
        return torch.cat([spread_to_edges(self.walk, small[:, [k]], edge, self.heads.strides[1], size)
                          for k in range(small.shape[1])], 1)

    # ---- mmseg's interface ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Boundaries: ``seg_logits`` (2,H,W) and ``pred_sem_seg`` (1,H,W), 1 where one is likely."""
        edges = mean_edges(self.boundaries, inputs)
        for edge, sample in zip(edges, data_samples, strict=True):
            size = tuple(sample.metainfo.get('ori_shape', inputs.shape[-2:]))[:2]
            edge = F.interpolate(edge[None], size, mode='bilinear', align_corners=False)[0]
            sample.set_data(dict(pred_sem_seg=PixelData(data=(edge > 0.5).long()),
                                 seg_logits=PixelData(data=torch.cat([1 - edge, edge]))))
        return data_samples

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """See :meth:`_forward`."""
        return self._forward(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """See :meth:`_forward`."""
        return self._forward(inputs)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Edge logits (B,1,h,w)."""
        return self.boundaries(inputs)[0]
