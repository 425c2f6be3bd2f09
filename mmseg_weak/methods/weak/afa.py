"""AFA: affinity from attention, a single-stage method from image tags.

Ru et al., Learning Affinity from Attention: End-to-End Weakly-Supervised Semantic Segmentation with Transformers,
CVPR 2022, arXiv 2203.02664; rulixiang/afa @ adcfa29 (no licence), wetr/model_attn_aff.py, scripts/dist_train_voc.py.

MiT whose last stage stays at 1/16, a bias-free classifier W after global max pooling, a SegFormer head G, and

    P = sigmoid(conv(A + A^T)),   A: q k^T of the last two blocks        (B,hw,hw)
    L = L_cls, after 2000 iterations + 0.1 L_seg(G, R) + 0.1 L_aff(P, pairs of R_par)

R_par: class maps refined by PAR (until iteration 6000 also R). After that R: class maps at the size of the largest
scale walk one step along P^2 with a background plane at two heights, then PAR inside the image.

PAR is ``models/refine``'s, the walk ``AttentionWalk``, the loss on pairs ``models/losses/pair_affinity``.

Deviations. A half of the segmentation loss without pixels is 0 instead of NaN. The crop's image lies at its top left.
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import merge_confident, merge_scales, normalize_cam, refined_labels, scale_maps
from mmseg_weak.models.cam.pooled_classifier import PooledClassifier
from mmseg_weak.models.cam.seeds import keep_present, scores_to_labels
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.losses.split_cross_entropy import split_cross_entropy
from mmseg_weak.models.refine import AttentionAffinity, AttentionWalk
from mmseg_weak.models.segmentors import TagSegmentor, image_boxes
from mmseg_weak.models.segmentors.tag import keep_in_graph
from mmseg_weak.models.utils.progress import current_iter

__all__ = ['AFA', 'walked_labels']


@torch.no_grad()
def walked_labels(cams: Tensor, affinity: Tensor, size: tuple[int, int], images: Tensor, present: Tensor,
                  boxes: Tensor, par: torch.nn.Module, walks: tuple[AttentionWalk, AttentionWalk],
                  ignore_index: int = 255) -> Tensor:
    """Labels from class maps spread along the affinity, then refined inside each image.

    Args:
        cams: (B,K,H,W) in [0, 1], multiplied by the tags.
        affinity: (B,hw,hw).
        size: (h,w) of its patches.
        images: (B,3,H,W) RGB.
        present: (B,K).
        boxes: (B,4) y0, y1, x0, x1 of the images, on the CPU, so that the loop over them does not wait for a GPU.
        par: refinement, run at half resolution.
        walks: with the high and the low background.

    Returns:
        (B,H,W) long: objects of the high background, background where both say so, else ``ignore_index``.
    """
    small = F.interpolate(full_precision(cams), size, mode='bilinear', align_corners=False)
    both = []
    for walk in walks:
        planes = walk(small, affinity, present.bool())
        both.append(F.interpolate(planes, cams.shape[-2:], mode='bilinear', align_corners=False))
    labels = cams.new_full((len(cams), *cams.shape[-2:]), ignore_index, dtype=torch.long)
    kept = F.pad(present.bool(), (1, 0), value=True)
    for row, (y0, y1, x0, x1) in enumerate(boxes.tolist()):
        image = images[row:row + 1, :, y0:y1, x0:x1]
        half = [max(n // 2, 1) for n in image.shape[-2:]]
        image = F.interpolate(image, half, mode='bilinear', align_corners=False)
        found = []
        for planes in both:
            part = F.interpolate(planes[row:row + 1, :, y0:y1, x0:x1], half, mode='bilinear', align_corners=False)
            part = F.interpolate(par(part, image, kept[row:row + 1]), (y1 - y0, x1 - x0), mode='bilinear',
                                 align_corners=False)
            found.append(scores_to_labels(part, present[row:row + 1]))
        labels[row, y0:y1, x0:x1] = merge_confident(*found, ignore_index)[0]
    return labels


@MODELS.register_module()
class AFA(TagSegmentor):
    """AFA over an ``AttentionMiT``.

    Args:
        backbone: config of an ``AttentionMiT``; its last map is classified.
        decode_head: config of an mmseg head on all maps (SegformerHead); its ``num_classes`` is filled in.
        high_thr, low_thr: heights of the background plane. VOC: 0.55, 0.35.
        begin: last iteration without 'seg' (2000) and with labels that have not walked ('walk', 6000).
        loss_weights: of 'seg' and 'aff'. Paper: 0.1 each.
        radius: patches farther apart are no pair. Paper: 8.
        par: config of the refinement.
        num_classes, seed and others: of :class:`.TagSegmentor`. Paper: scales 1, 0.5, 1.5, flip 'max', 'minmax'.
    """

    has_decoder = True

    def __init__(self, backbone: dict, decode_head: dict, num_classes: int, high_thr: float = 0.55,
                 low_thr: float = 0.35, begin: dict | None = None, loss_weights: dict | None = None, radius: int = 8,
                 par: dict | None = None, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.backbone = MODELS.build(backbone)
        if not hasattr(self.backbone, 'forward_attention'):
            raise ConfigError(f"model.backbone.type is {backbone['type']!r}, which gives no attention; AFA needs an "
                              'AttentionMiT.')
        last = self.backbone.layers[-1]
        heads = last[1][-1].attn.attn.num_heads * self.backbone.attention_blocks
        self.head = PooledClassifier(last[1][-1].attn.attn.embed_dim, self.num_tags, 'gmp')
        self.decode_head = MODELS.build(dict(decode_head, num_classes=num_classes))
        self.affinity = AttentionAffinity(heads)
        self.pair_loss = MODELS.build(dict(type='AttentionAffinityLoss', radius=radius, loss_weight=1.0))
        self.walks = tuple(AttentionWalk(bkg_score=thr, radius=radius) for thr in (high_thr, low_thr))
        self.par = MODELS.build(par or dict(type='PAR', num_iter=10))
        self.high_thr, self.low_thr = high_thr, low_thr
        self.begin = dict(seg=2000, walk=6000) | dict(begin or {})
        self.loss_weights = dict(seg=0.1, aff=0.1) | dict(loss_weights or {})

    def class_maps(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K,h,w)."""
        return self.head.cam(self.backbone(images)[-1])

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K)."""
        return self.head(self.backbone(images)[-1])

    def decode_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K+1,H/4,W/4)."""
        return self.decode_head(self.backbone(images))

    @torch.no_grad()
    def maps_and_affinity(self, images: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Multi-scale class maps in [0, 1] (B,K,H,W), the affinity at the largest scale and its size in patches.

        The affinity is that of the images, not of their mirror images, as published.
        """
        rule, count = self.seed, len(images)
        largest: dict[str, Any] = dict(area=0)

        def forward(view: Tensor) -> Tensor:
            maps, attentions = self.backbone.forward_attention(view)
            size = tuple(maps[-1].shape[-2:])
            if size[0] * size[1] > largest['area']:
                largest.update(area=size[0] * size[1], size=size, maps=[a[:count] for a in attentions])
            return self.head.cam(maps[-1])

        raw = scale_maps(forward, images, rule['scales'], rule['flip'] != 'none', rule['rounding'], rule['multiple'])
        merged = merge_scales(raw, tuple(images.shape[-2:]), rule['flip'], rule['stride'])
        return (normalize_cam(merged, rule['normalize'], rule['eps']), self.affinity(largest['maps']),
                largest['size'])

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The equations above."""
        iteration, size = current_iter(), tuple(inputs.shape[-2:])
        tags = self.tags(data_samples)
        maps, attentions = self.backbone.forward_attention(inputs)
        logits, affinity = self.decode_head(maps), self.affinity(attentions)
        losses = dict(loss_cls=F.multilabel_soft_margin_loss(full_precision(self.head(maps[-1])), tags))
        if iteration <= self.begin['seg']:
            return losses | keep_in_graph(logits, affinity)
        boxes, raw = image_boxes(data_samples, size), self.raw_images(inputs)  # on the CPU: loops read them
        cams, wide, patches = self.maps_and_affinity(inputs)
        cams = keep_present(cams, tags)
        refined = refined_labels(cams, raw, tags, self.par, boxes.to(inputs.device), self.high_thr,
                                 self.low_thr)
        pairs = F.interpolate(refined[:, None].float(), maps[-1].shape[-2:]).squeeze(1).long()
        labels = refined
        if iteration > self.begin['walk']:
            labels = walked_labels(cams, wide, patches, raw, tags, boxes, self.par, self.walks)
        logits = F.interpolate(full_precision(logits), size, mode='bilinear', align_corners=False)
        return losses | dict(loss_seg=self.loss_weights['seg'] * split_cross_entropy(logits, labels),
                             loss_aff=self.loss_weights['aff'] * self.pair_loss(affinity, pairs))
