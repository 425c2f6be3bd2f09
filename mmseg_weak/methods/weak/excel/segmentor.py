"""The registered segmentor of ExCEL: the equations of this room in the order of a training step."""
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.cam import normalize_cam
from mmseg_weak.models.cam.attention_labels import maps_to_planes, planes_to_labels, refined_class_maps
from mmseg_weak.models.cam.seeds import box_mask
from mmseg_weak.models.decode_heads import TokenFusionHead
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.losses.split_cross_entropy import split_cross_entropy
from mmseg_weak.models.segmentors import CLIPTagSegmentor, image_boxes
from mmseg_weak.models.utils.progress import current_iter

from .maps import calibrated_tokens, recent_attention, relation_map, surgery_maps
from .text import attribute_bank, enrich_texts, read_attributes

__all__ = ['ExCEL']


@MODELS.register_module()
class ExCEL(CLIPTagSegmentor):
    """ExCEL: a decoder on a frozen CLIP learns from the maps of its calibrated patches.

    Args:
        clip: config of an ``OpenCLIP`` with ``attention='excel', stream='parallel', last=5, positions='bilinear'``.
        attributes: file of :func:`.text.read_attributes`, read before the first iteration; the bank that it gives is
            part of a checkpoint. None: plain texts (an ablation).
        num_attributes: centres. VOC: 112; COCO: 224.
        keep: of :func:`.text.enrich_texts`. Paper: 0.9.
        decoder: arguments of ``TokenFusionHead`` without ``num_classes``, ``in_channels`` and ``num_blocks``.
        share: of the boxes. VOC: 0.79; COCO: 0.88.
        last: blocks whose attention spreads the maps. Paper: 6; all of a tower that has fewer.
        begin: iteration from which the decoder's features calibrate ('learn') and from which L_div takes the decoder's
            own labels ('own', None: never). VOC: 14000, 24000; COCO: 30000, None.
        loss_weights: of 'seg' and 'div'. Paper: 1, 0.1.
        radius: patches farther apart are no pair. Paper: 8.
        par: config of the refinement of the labels.
        over: of :func:`.maps.surgery_maps`, what patch features are normalised over.
        calibration: of the seeds that are predicted: 'learned' (with the decoder's features, image and mirror image)
            or 'static' (nothing that was trained).
        infer_px: images are squeezed to so many pixels a side for prediction. Paper: 320; None: their own size.
        as_published: means over the batch and head sums, see :mod:`.maps`.
        classes, num_classes, background, seed and others: of :class:`.CLIPTagSegmentor`.

    Raises:
        ConfigError: a tower without calibration, or an unknown option.
    """

    has_decoder = True

    def __init__(self, clip: dict, attributes: str | None = None, num_attributes: int = 112, keep: float = 0.9,
                 decoder: dict | None = None, share: float = 0.79, last: int = 6, begin: dict | None = None,
                 loss_weights: dict | None = None, radius: int = 8, par: dict | None = None, over: str = 'tokens',
                 calibration: str = 'learned', infer_px: int | None = 320, as_published: bool = False,
                 **kwargs: Any) -> None:
        if clip.get('attention') != 'excel' or clip.get('stream') != 'parallel':
            raise ConfigError(f"model.clip has attention={clip.get('attention', 'vanilla')!r} and stream="
                              f"{clip.get('stream', 'replace')!r}; ExCEL needs attention='excel', stream='parallel', "
                              "last=5.")
        options = dict(clip.get('attention_cfg') or {}, per_image=not as_published)
        super().__init__(clip=dict(clip, attention_cfg=options), **kwargs)
        tower = self.clip.vision
        if calibration not in ('learned', 'static') or over not in ('tokens', 'channels'):
            raise ConfigError(f"model.calibration={calibration!r}, over={over!r}; give 'learned' or 'static', and "
                              "'tokens' or 'channels'.")
        self.decoder = TokenFusionHead(num_classes=self.num_classes, in_channels=tower.width, num_blocks=tower.depth,
                                       **(decoder or {}))
        self.attributes, self.keep = attributes, keep
        self.register_buffer('bank', torch.zeros(num_attributes, tower.embed_dim))  # rows of 0: none
        self.pair_loss = MODELS.build(dict(type='AttentionAffinityLoss', radius=radius, loss_weight=1.0))
        self.par = MODELS.build(par or dict(type='PAR', num_iter=20))
        self.share, self.last, self.over, self.calibration = share, last, over, calibration
        self.begin = dict(learn=14000, own=24000) | dict(begin or {})
        self.loss_weights = dict(seg=1.0, div=0.1) | dict(loss_weights or {})
        self.infer_px, self.as_published = infer_px, as_published

    # ---- texts ----------------------------------------------------------------------------------------------------

    def init_weights(self) -> None:
        """Read the attributes; a runner calls this before training."""
        super().init_weights()
        self.fill_bank()

    @torch.no_grad()
    def fill_bank(self) -> None:
        """Make the bank of attributes, unless it is there.

        Raises:
            MissingFileError, DataError: of the file, or it has fewer sentences than centres are wanted.
        """
        if self.attributes is None or bool(self.bank.any()):
            return
        sentences = read_attributes(self.attributes, self.num_tags)
        if len(sentences) < len(self.bank):
            raise DataError(f'{self.attributes} has {len(sentences)} sentences and model.num_attributes='
                            f'{len(self.bank)} centres are wanted of them; write more, or want fewer.')
        rows = attribute_bank(self.clip.text.sentences(sentences), len(self.bank))
        self.bank[:len(rows)] = rows.to(self.bank)
        self._texts = None

    def encode_texts(self) -> Tensor:
        """(K+n,d) unit vectors of enriched classes and of background words."""
        self.fill_bank()
        bank, texts = self.bank[self.bank.any(1)], super().encode_texts()
        return enrich_texts(texts, self.num_tags, bank, self.keep) if len(bank) else texts

    # ---- maps -----------------------------------------------------------------------------------------------------

    def relation(self, fused: Tensor) -> Tensor:
        """P of the decoder's features: (B,c,h,w) -> (B,hw,hw)."""
        return relation_map(full_precision(fused), per_image=not self.as_published)

    def patch_maps(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B,1+hw,d) -> (B,K,h,w) in [0, 1]."""
        return surgery_maps(features, self.texts, self.num_tags, grid, self.over)

    def spread(self, maps: Tensor, attention: list[Tensor], present: Tensor, relation: Tensor | None) -> Tensor:
        """(B,K,h,w) maps along the last blocks' attention; of absent classes 0."""
        summed = self.clip.vision.last if self.as_published else 0
        return refined_class_maps(maps, recent_attention(attention, self.last, summed), present, relation, self.share)

    def seen(self, images: Tensor) -> Tensor:
        """Images squeezed to ``infer_px``, (B,3,s,s), or at their own size."""
        if self.infer_px is None:
            return super().seen(images)
        return F.interpolate(images, (self.infer_px, self.infer_px), mode='bilinear', align_corners=False)

    @torch.no_grad()
    def class_maps(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Maps of the present classes (None: of all): (B,3,H,W) -> (B,K,h,w) in [0, 1]."""
        present = self.everything(images) if present is None else present
        count, views, tower = len(images), self.seen(images), self.clip.vision
        learned, relation = self.calibration == 'learned', None
        if learned:
            views = torch.cat([views, views.flip(-1)])
        grid = tower.grid(views)
        features, layers, attention = calibrated_tokens(tower, views, last=self.last)
        if learned:
            fused = self.decoder.fusion(layers)
            features, relation = calibrated_tokens(tower, views, fused, last=0)[0], self.relation(fused)[:count]
        maps = self.patch_maps(features, grid)
        if learned:
            maps = normalize_cam(torch.maximum(maps[:count], maps[count:].flip(-1)), 'minmax', 1e-5)
        refined = self.spread(maps, [a[:count] for a in attention], present, relation)
        return normalize_cam(refined, 'minmax', 1e-7, present)

    def decode_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K+1,h,w)."""
        return self.decoder(self.clip.vision.block_maps(images))[0]

    # ---- loss -----------------------------------------------------------------------------------------------------

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """L = L_seg + 0.1 L_div on the labels of this step."""
        iteration, size, tower = current_iter(), tuple(inputs.shape[-2:]), self.clip.vision
        tags, grid = self.tags(data_samples).bool(), tower.grid(inputs)
        features, layers, attention = calibrated_tokens(tower, inputs, last=self.last)
        logits, fused = self.decoder(layers)
        relation = self.relation(fused)
        learnt = iteration >= self.begin['learn']
        if learnt:
            features = calibrated_tokens(tower, inputs, fused, last=0)[0]
        refined = self.spread(self.patch_maps(features, grid), attention, tags, relation if learnt else None)
        labels = planes_to_labels(maps_to_planes(refined, size, present=tags), self.raw_images(inputs), self.par, tags)
        inside = box_mask(image_boxes(data_samples, size, inputs.device), size)
        labels = labels.masked_fill(~inside, 255)
        logits = F.interpolate(full_precision(logits), size, mode='bilinear', align_corners=False)
        own = self.begin['own'] is not None and iteration >= self.begin['own']
        pairs = logits.detach().argmax(1).masked_fill(~inside, 255) if own else labels
        pairs = F.interpolate(pairs[:, None].float(), grid).squeeze(1).long()
        return dict(loss_seg=self.loss_weights['seg'] * split_cross_entropy(logits, labels, eps=1e-6),
                    loss_div=self.loss_weights['div'] * self.pair_loss(relation, pairs))
