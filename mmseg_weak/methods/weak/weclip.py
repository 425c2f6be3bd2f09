"""WeCLIP: a frozen CLIP as the backbone of a single-stage method from image tags.

Zhang et al., Frozen CLIP: A Strong Backbone for Weakly Supervised Semantic Segmentation, CVPR 2024, arXiv 2406.11189;
zbf1991/WeCLIP @ 0f47db4 (no licence), folder WeCLIP: WeCLIP_model/, clip/clip_tool.py, scripts/.

Of CLIP's 12 blocks the patches of the first 11 go to a decoder: an MLP each, joined to X (B,c,h,w), transformer blocks,
logits G (``TokenFusionHead``). The 12th runs inside of Grad-CAM.

    P = sigmoid(X^T X)                                                      (B,hw,hw)
    M_c: CLIP-ES's softmax Grad-CAM, spread along the attention             models/cam/text_cam
      until iteration 15000: along the mean of the last 8 blocks; after it, and at prediction (the refinement module):
      along those of the last 6 that agree with P, weighed by P             models/cam/class_attention
    labels: argmax of PAR(1 - max_c M_c, M_c), 20 iterations; no pixel is ignored
    L = L_seg(G, labels) + 0.1 L_aff(P, pairs of the labels)

L_seg is the cross-entropy by halves, L_aff AFA's loss on pairs of patches within a radius of 8.

Deviations. Classes are those of the image's tags; the published code reads them from the masks, also in training. The
refinement module starts by the run's iteration, which resume keeps, not by a count of forwards. All of CLIP is frozen;
there parameters with '11' in their name want a gradient that no optimizer uses. Images are resized so that they are
whole patches, there a rest at the right and the bottom is not seen. Padding of a crop counts in no loss. A half of
L_seg without pixels is 0, there NaN.
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.cam import normalize_cam
from mmseg_weak.models.cam.attention_labels import maps_to_planes, planes_to_labels, refined_class_maps
from mmseg_weak.models.cam.seeds import box_mask
from mmseg_weak.models.cam.text_cam import competing, softmax_cams, tokens_and_attention
from mmseg_weak.models.decode_heads import TokenFusionHead
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.losses.split_cross_entropy import split_cross_entropy
from mmseg_weak.models.segmentors import CLIPTagSegmentor, image_boxes
from mmseg_weak.models.utils.progress import current_iter

__all__ = ['WeCLIP', 'spread_maps', 'token_relation']


def token_relation(fused: Tensor) -> Tensor:
    """P = sigmoid(X^T X), neither normalised nor scaled: (B,c,h,w) -> (B,hw,hw)."""
    x = full_precision(fused).flatten(2)
    with torch.autocast(x.device.type, enabled=False):  # products of long vectors leave half precision's range
        return (x.transpose(1, 2) @ x).sigmoid()


def spread_maps(maps: Tensor, attention: list[Tensor], present: Tensor, relation: Tensor | None, last: int = 8,
                last_refined: int = 6, share: float = 0.4) -> Tensor:
    """Class maps along the attention, with the refinement module where there is a relation.

    Args:
        maps: (B,K,h,w) in [0, 1].
        attention: of all blocks (B,1+hw,1+hw), averaged over the heads.
        present: (B,K) bool; other maps come back 0.
        relation: (B,hw,hw), P; None: plain mean.
        last, last_refined: blocks that count without and with P.
        share: of the boxes.

    Returns:
        (B,K,h,w), not normalised.
    """
    count = last if relation is None else last_refined
    picked = torch.stack([a[:, 1:, 1:].float() for a in attention[-count:]], 1)
    return refined_class_maps(maps, picked, present, relation, share)


@MODELS.register_module()
class WeCLIP(CLIPTagSegmentor):
    """WeCLIP: a decoder on a frozen CLIP learns from CLIP's own maps, which it refines.

    Args:
        decoder: arguments of ``TokenFusionHead`` without ``num_classes``, ``in_channels`` and ``num_blocks``.
        share: of the boxes. VOC: 0.4; COCO: 0.7.
        last: blocks whose attention spreads the maps at first. Paper: 8.
        last_refined: blocks among which P chooses. VOC: 6; COCO: 10.
        refine_begin: iteration from which it does. VOC: 15000; COCO: 40000.
        loss_weights: of 'seg' and 'aff'. Paper: 1, 0.1.
        radius: patches farther apart are no pair. Paper: 8.
        par: config of the refinement of the labels.
        infer_long_px: images get this long side for prediction. Paper: 512; None: their own size.
        **kwargs: of :class:`.CLIPTagSegmentor`.
    """

    has_decoder = True

    def __init__(self, decoder: dict | None = None, share: float = 0.4, last: int = 8, last_refined: int = 6,
                 refine_begin: int = 15000, loss_weights: dict | None = None, radius: int = 8, par: dict | None = None,
                 infer_long_px: int | None = 512, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        tower = self.clip.vision
        self.decoder = TokenFusionHead(num_classes=self.num_classes, in_channels=tower.width,
                                       num_blocks=tower.depth - 1, **(decoder or {}))
        self.pair_loss = MODELS.build(dict(type='AttentionAffinityLoss', radius=radius, loss_weight=1.0))
        self.par = MODELS.build(par or dict(type='PAR', num_iter=20))
        self.rule = dict(last=last, last_refined=last_refined, share=share)
        self.refine_begin, self.infer_long_px = refine_begin, infer_long_px
        self.loss_weights = dict(seg=1.0, aff=0.1) | dict(loss_weights or {})

    def seen(self, images: Tensor) -> Tensor:
        """Images at the long side that prediction wants, whole patches."""
        if self.infer_long_px is not None:
            factor = self.infer_long_px / max(images.shape[-2:])
            size = tuple(max(round(n * factor), 1) for n in images.shape[-2:])
            images = F.interpolate(images, size, mode='bilinear', align_corners=False)
        return self.fitted(images)

    def decode(self, tokens: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Logits (B,K+1,h,w) and X (B,c,h,w) of the tokens of all blocks but the last."""
        return self.decoder([t[:, 1:].transpose(1, 2).unflatten(2, grid).float() for t in tokens])

    def spread_cams(self, tokens: Tensor, attention: list[Tensor], grid: tuple[int, int], present: Tensor,
                    relation: Tensor | None) -> Tensor:
        """Maps of the present classes: tokens before the last block -> (B,K,h,w), not normalised."""
        cams, _, final = softmax_cams(self.clip.vision, tokens, grid, self.texts, self.clip.scale,
                                      F.pad(present, (0, self.num_words)), competing(present, self.num_words))
        return spread_maps(cams[:, :self.num_tags], [*attention, final], present, relation, **self.rule)

    @torch.no_grad()
    def class_maps(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Refined maps of the present classes (None: of all): (B,3,H,W) -> (B,K,h,w) in [0, 1]."""
        present, images = self.everything(images) if present is None else present, self.seen(images)
        grid = self.clip.vision.grid(images)
        tokens, attention = tokens_and_attention(self.clip.vision, images)
        relation = token_relation(self.decode(tokens, grid)[1])
        return normalize_cam(self.spread_cams(tokens[-1], attention, grid, present, relation), 'minmax', 1e-7, present)

    def decode_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K+1,h,w)."""
        return self.decoder(self.clip.vision.block_maps(images, self.clip.vision.depth - 1))[0]

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The equations above."""
        size, grid, tags = tuple(inputs.shape[-2:]), self.clip.vision.grid(inputs), self.tags(data_samples).bool()
        tokens, attention = tokens_and_attention(self.clip.vision, inputs)
        logits, fused = self.decode(tokens, grid)
        relation = token_relation(fused)
        refine = current_iter() >= self.refine_begin
        maps = self.spread_cams(tokens[-1], attention, grid, tags, relation.detach() if refine else None)
        labels = planes_to_labels(maps_to_planes(maps, size, present=tags), self.raw_images(inputs), self.par, tags)
        labels = labels.masked_fill(~box_mask(image_boxes(data_samples, size, inputs.device), size), 255)
        pairs = F.interpolate(labels[:, None].float(), grid).squeeze(1).long()
        logits = F.interpolate(full_precision(logits), size, mode='bilinear', align_corners=False)
        return dict(loss_seg=self.loss_weights['seg'] * split_cross_entropy(logits, labels),
                    loss_aff=self.loss_weights['aff'] * self.pair_loss(relation, pairs))
