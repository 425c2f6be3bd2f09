"""Class activation maps: the plain baseline of learning from image tags.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, arXiv 1512.04150. Seeds are made as by
Ahn et al., IRNet, CVPR 2019, arXiv 1904.05044; jiwoon-ahn/irn @ a2ece00 (MIT), net/resnet50_cam.py and
step/make_cam.py.

F (B,D,h,w) are the backbone's last features, y (B,K) the tags:

    s_k = pool(W F)_k or (W pool(F))_k     L = mean over images and tags of soft margin(s_k, y_k)
    M_k = ReLU(W_k . F), merged over scales and flips, over its maximum + 1e-5 for each present class

Deviations: IRN stops gradients after stage 2 and still applies weight decay to nothing there; here those stages are
frozen (``frozen_stages=2``), which is the same.
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import TagSegmentor

__all__ = ['CAMClassifier']


@MODELS.register_module()
class CAMClassifier(TagSegmentor):
    """Any backbone and a pooled 1x1 classifier, trained on tags alone.

    Args:
        backbone: config of an mmseg, mmpretrain or timm backbone that gives feature maps.
        head: config of a ``PooledClassifier`` without ``num_classes``; ``in_channels`` is needed.
        num_classes: all classes, the background among them.
        in_index: which of the backbone's maps.
        **kwargs: of :class:`.TagSegmentor`.

    Raises:
        ConfigError: the head's ``num_classes`` counts other than the foreground classes.
    """

    def __init__(self, backbone: dict, head: dict, num_classes: int, in_index: int = -1, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        head = dict(head)
        if head.setdefault('num_classes', self.num_tags) != self.num_tags:
            raise ConfigError(f"model.head.num_classes={head['num_classes']}, and there are {self.num_tags} foreground "
                              'classes; leave it out.')
        head.setdefault('type', 'PooledClassifier')
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)
        self.in_index = in_index

    def features(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,D,h,w)."""
        out = self.backbone(images)
        return out[self.in_index] if isinstance(out, (tuple, list)) else out

    def class_maps(self, images: Tensor) -> Tensor:
        """W_k . F, (B,3,H,W) -> (B,K,h,w)."""
        return self.head.cam(self.features(images))

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K)."""
        return self.head(self.features(images))

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Multi-label soft margin of the tags; an image without tags pushes every class down."""
        logits = self.tag_logits(inputs).float()
        tags = self.tags(data_samples)
        with torch.no_grad():
            hit = ((logits > 0) == tags.bool()).float().mean() * 100
        return dict(loss_cls=F.multilabel_soft_margin_loss(logits, tags), acc_tags=hit)
