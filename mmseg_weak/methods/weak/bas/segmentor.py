"""BAS as its second paper trains it: several tags an image, seeds of all of them out."""
from collections.abc import Sequence
from functools import partial

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.cam.multi_scale import multi_scale_cam
from mmseg_weak.models.cam.seeds import normalize_cam
from mmseg_weak.models.segmentors.tag import TagSegmentor

from .equations import bas_losses, draw_present, one_against_absent, suppress
from .network import BASNetwork

__all__ = ['BAS']


@MODELS.register_module()
class BAS(TagSegmentor, BASNetwork):
    """BAS for seeds: L = L_multi + alpha L_frg + L_bas + beta L_area, for one tag of each image, drawn each step.

    Args:
        backbone: config of mmseg, mmpretrain or timm. ResNet-50: strides (1, 2, 2, 1).
        num_classes: all classes, the background among them.
        tail: last modules of the backbone, see :class:`.network.BASNetwork`. ResNet: ('layer4',).
        feature_channels: of F. ResNet-50: 1024.
        in_channels: of the tail's output. ResNet-50: 2048.
        pool: max-pool before the tail; 1, none, in the paper.
        frg_weight: alpha. Paper: 0.2.
        area_weight: beta. Paper: 1.2.
        eps: of the ratio.
        add_cam: add the classifier's own CAM, normalised in the same way, to the seeds, and normalise their sum.
        seed, refiner, data_preprocessor, test_cfg, init_cfg: of ``TagSegmentor``.
    """

    def __init__(self, backbone: dict, num_classes: int, tail: Sequence[str] = ('layer4',),
                 feature_channels: int = 1024, in_channels: int = 2048, pool: int = 1, frg_weight: float = 0.2,
                 area_weight: float = 1.2, eps: float = 1e-8, add_cam: bool = True, seed: dict | None = None,
                 refiner: dict | None = None, data_preprocessor: dict | None = None, test_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(num_classes, seed, refiner, data_preprocessor, test_cfg, init_cfg)
        self.build_network(backbone, tail, self.num_tags, feature_channels, in_channels, None, False, pool)
        self.frg_weight, self.area_weight, self.eps, self.add_cam = frg_weight, area_weight, eps, add_cam

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The four losses; images without tags have none of them."""
        present, features = self.tags(data_samples), self.features(inputs)
        labels, tagged = draw_present(present)
        found = suppress(features, self.foreground_maps(features), labels, self.score_net, True, self.eps)
        return bas_losses(found, labels, partial(one_against_absent, present=present), tagged, self.frg_weight,
                          self.area_weight)

    def class_maps(self, images: Tensor) -> Tensor:
        """M of all classes."""
        return self.foreground_maps(self.features(images))

    def tag_logits(self, images: Tensor) -> Tensor:
        """Mean class activations."""
        return self.score_net(self.features(images)).mean((2, 3))

    def seed_scores(self, images: Tensor, present: Tensor | None = None,
                    size: tuple[int, int] | None = None) -> Tensor:
        """Seeds from M, and from the class activations as well where ``add_cam`` is set; the features are shared."""
        if not self.add_cam:
            return super().seed_scores(images, present, size)
        rule = self.seed

        def both(views: Tensor) -> Tensor:
            features = self.features(views)
            maps = self.foreground_maps(features)
            cams = self.score_net(features)
            if cams.shape[2:] != maps.shape[2:]:
                cams = torch.nn.functional.interpolate(cams, maps.shape[2:], mode='bilinear', align_corners=False)
            return torch.cat([maps, cams], 1)

        twice = None if present is None else present.repeat(1, 2)
        maps = multi_scale_cam(both, images, rule['scales'], rule['flip'], size, rule['stride'] if size is None else 1,
                               rule['rounding'], rule['multiple'], twice)
        maps, cams = normalize_cam(maps, rule['normalize'], rule['eps'], twice).chunk(2, 1)
        return normalize_cam(maps + cams, rule['normalize'], rule['eps'], present)
