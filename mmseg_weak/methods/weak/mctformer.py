"""MCTformer V1, V2 and MCTformer+: a class token for each class, whose attention shows where the class is.

Xu et al., Multi-class Token Transformer for Weakly Supervised Semantic Segmentation, CVPR 2022, arXiv 2203.02891, and
MCTformer+, arXiv 2308.03005; xulianuwa/MCTformer @ 0acc27a (no licence), models.py and engine.py.

Tokens T (L,B,C,D) of every block, patches Z, attentions A averaged over heads, y (B,C) the tags:

    s_cls = mean over channels of the last T_c;   M_patch = ReLU(conv3x3 Z);   s_patch = pool(conv3x3 Z)
    M_token = sum (V1, V2) or mean (+) over the last n blocks of A[class c, patches]
    V1: L = L(s_cls, y), map M_token (n = 3)
    V2: L = L(s_cls, y) + L(s_patch, y), pool: mean; map M_token M_patch
    + : and L_cct, pool: ranked; map sqrt(M_token M_patch)
    every map is then spread along the patches' attention, summed over all blocks; merged over scales, min-max

L: multi-label soft margin. The transformer is ``models.backbones.ClassTokenViT``, attention maps and pooling are in
``models.cam``.

Deviations: V1's n = 3 is the paper's, the repository's default is 12 (``last``). DeiT's augmentation (RandAugment,
erasing) is not in the configs, which crop, scale and flip as all methods here.
"""
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam.pooling import pool_maps
from mmseg_weak.models.cam.token_maps import class_to_patch, fuse_maps, spread_by_attention
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors import TagSegmentor

__all__ = ['MCTHead', 'MCTformer', 'class_token_contrast', 'mctformer_losses']

_VERSIONS = {  # pooling of the patches' scores, sum or mean over layers, last layers, square root of the product
    'v1': dict(pooling=None, reduce='sum', last=3, root=False),
    'v2': dict(pooling='gap', reduce='sum', last=12, root=False),
    'plus': dict(pooling='ranked', reduce='mean', last=12, root=True),
}


def class_token_contrast(tokens: Tensor, present: Tensor, eps: float = 1e-8) -> Tensor:
    """L_cct: the tokens of one layer should differ from class to class.

    Unit vectors, C x C cosines, cross-entropy of each row with the diagonal as target (no temperature); summed over the
    present classes, mean over layers, over the number of present classes + eps, mean over images. An image without
    tags counts 0.

    Args:
        tokens: (L,B,C,D).
        present: (B,C), 1 for the tags.
    """
    unit = F.normalize(full_precision(tokens), dim=-1)
    rows = -(unit @ unit.transpose(2, 3)).log_softmax(-1).diagonal(dim1=2, dim2=3)  # (L,B,C)
    present = present.to(rows)
    per_image = (rows * present).sum(2).mean(0) / (present.sum(1) + eps)
    return per_image.mean()


def mctformer_losses(cls_logits: Tensor, patch_logits: Tensor, tokens: Tensor, present: Tensor, num_layers: int = 12,
                     cct_weight: float = 1.0, eps: float = 1e-8) -> dict[str, Tensor]:
    """The three losses of training; their sum is the total.

    Args:
        cls_logits, patch_logits: (B,C), of the class tokens and of the patches.
        tokens: (L,B,C,D) of every block.
        present: (B,C) multi-hot.
        num_layers: last layers that the contrast looks at.
        cct_weight: of the contrast. Paper: 1.
        eps: of :func:`class_token_contrast`.
    """
    target = present.to(full_precision(cls_logits))
    return dict(loss_cls=F.multilabel_soft_margin_loss(full_precision(cls_logits), target),
                loss_cct=cct_weight * class_token_contrast(tokens[-num_layers:], present, eps),
                loss_patch=F.multilabel_soft_margin_loss(full_precision(patch_logits), target))


class MCTHead(nn.Module):
    """Scores and maps of MCTformer V2 and + from a ``ClassTokenViT``.

    Args:
        embed_dim: of the tokens.
        num_classes: C.
        decay: of the ranked pooling.
        pooling: of the patches' scores: 'ranked' (+) or 'gap' (V2).
        reduce, root: of the maps, see :func:`.class_to_patch` and :func:`.fuse_maps`. V2: 'sum', False.
    """

    def __init__(self, embed_dim: int, num_classes: int, decay: float = 0.996, pooling: str = 'ranked',
                 reduce: str = 'mean', root: bool = True) -> None:
        super().__init__()
        self.head = nn.Conv2d(embed_dim, num_classes, 3, padding=1)
        self.decay, self.pooling, self.reduce, self.root = decay, pooling, reduce, root

    def forward(self, patches: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B,D,h,w) and (L,B,C,D) -> logits of the class tokens (their mean over channels) and of the patches, (B,C).

        An image's score at test time is the mean of both.
        """
        return tokens[-1].mean(-1), pool_maps(self.head(patches), self.pooling, decay=self.decay)

    def maps(self, patches: Tensor, attentions: Sequence[Tensor], last: int | None = None) -> dict[str, Tensor]:
        """Localisation maps, each (B,C,h,w), at least 0.

        Args:
            patches: (B,D,h,w).
            attentions: (B,C+P,C+P) of every layer.
            last: layers whose attention counts; None: all.

        Returns:
            ``patch``, ReLU of the convolution; ``token``, class-to-patch attention; ``fused``, their product or its
            root.
        """
        patch = self.head(patches).relu()
        token = class_to_patch(attentions, self.head.out_channels, tuple(patches.shape[-2:]), last, self.reduce)
        return dict(patch=patch, token=token, fused=fuse_maps(token, patch, self.root))

    def scores(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """Mean of both logits, (B,C): what decides which maps are shown without tags."""
        return sum(self(patches, tokens)) / 2


@MODELS.register_module()
class MCTformer(TagSegmentor):
    """MCTformer V1, V2 or + over a ``ClassTokenViT`` with a token for each foreground class.

    Args:
        backbone: config of a ``ClassTokenViT`` without ``num_tokens``.
        num_classes: all classes, the background among them.
        version: 'v1', 'v2' or 'plus'.
        last: last blocks whose class attention counts. None: 3 for V1, all up to 12 else.
        num_cct, cct_weight: of the contrast (+). Paper: 12, 1.
        decay: of the ranked pooling (+). Paper: 0.996.
        maps: what is shown: 'fused', 'token' or 'patch' (V1: 'token').
        spread: whether maps are spread along the patches' attention.
        **kwargs: of :class:`.TagSegmentor`. Paper: + scales 1, 0.75, 1.25, flip 'sum', 'minmax' with eps 1e-8;
            V1 and V2 scale 1.

    Raises:
        ConfigError: an unknown version or map.
    """

    def __init__(self, backbone: dict, num_classes: int, version: str = 'plus', last: int | None = None,
                 num_cct: int = 12, cct_weight: float = 1.0, decay: float = 0.996, maps: str | None = None,
                 spread: bool = True, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if version not in _VERSIONS:
            raise ConfigError(f"model.version='{version}' of MCTformer is none of {', '.join(_VERSIONS)}.")
        rule = _VERSIONS[version]
        kinds = ('token',) if rule['pooling'] is None else ('fused', 'token', 'patch')
        if maps not in (None, *kinds):
            raise ConfigError(f"model.maps='{maps}' of MCTformer {version} is none of {', '.join(kinds)}.")
        self.backbone = MODELS.build(dict(backbone, num_tokens=self.num_tags))
        self.head = None
        if rule['pooling'] is not None:
            self.head = MCTHead(self.backbone.embed_dim, self.num_tags, decay, rule['pooling'], rule['reduce'],
                                rule['root'])
        self.version, self.reduce, self.last = version, rule['reduce'], last or rule['last']
        self.num_cct, self.cct_weight, self.maps, self.spread = num_cct, cct_weight, maps or kinds[0], spread

    def class_maps(self, images: Tensor) -> Tensor:
        """Localisation maps, at least 0, (B,3,H,W) -> (B,K,h,w)."""
        patches, _, attentions = self.backbone(images, observe=lambda attention: attention)
        if self.head is None:
            maps = class_to_patch(attentions, self.num_tags, tuple(patches.shape[-2:]), self.last, self.reduce)
        else:
            maps = self.head.maps(patches, attentions, self.last)[self.maps]
        return spread_by_attention(maps, attentions, self.num_tags) if self.spread else maps

    def tag_logits(self, images: Tensor) -> Tensor:
        """Logits of the class tokens, their mean with the patches' in V2 and +, (B,3,H,W) -> (B,K)."""
        patches, tokens, _ = self.backbone(images)
        return tokens[-1].mean(-1) if self.head is None else self.head.scores(patches, tokens)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The equations above."""
        tags = self.tags(data_samples)
        patches, tokens, _ = self.backbone(inputs)
        if self.head is None:
            logits = full_precision(tokens[-1].mean(-1))
            return dict(loss_cls=F.multilabel_soft_margin_loss(logits, tags))
        losses = mctformer_losses(*self.head(patches, tokens), tokens, tags, self.num_cct, self.cct_weight)
        return losses if self.version == 'plus' else {k: v for k, v in losses.items() if k != 'loss_cct'}
