"""Equations of MCTformer+: two scores of an image, the contrast of class tokens, three maps.

Xu et al., Multi-class Token Transformer for Weakly Supervised Semantic Segmentation, CVPR 2022, arXiv 2203.02891, and
MCTformer+, arXiv 2308.03005; xulianuwa/MCTformer @ 0acc27a (no licence), models.py and engine.py.

This room holds the head, the losses and the maps; the classifier's training and V1/V2 are not here. The transformer is
``models.backbones.ClassTokenViT``, attention maps and pooling are in ``models.cam``.
"""
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.models.cam.pooling import ranked_pool
from mmseg_weak.models.cam.token_maps import class_to_patch, fuse_maps
from mmseg_weak.models.losses.common import full_precision

__all__ = ['MCTHead', 'class_token_contrast', 'mctformer_losses']


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
    """Scores and maps of MCTformer+ from a ``ClassTokenViT``.

    Args:
        embed_dim: of the tokens.
        num_classes: C.
        decay: of the ranked pooling.
    """

    def __init__(self, embed_dim: int, num_classes: int, decay: float = 0.996) -> None:
        super().__init__()
        self.head = nn.Conv2d(embed_dim, num_classes, 3, padding=1)
        self.decay = decay

    def forward(self, patches: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B,D,h,w) and (L,B,C,D) -> logits of the class tokens (their mean over channels) and of the patches, (B,C).

        An image's score at test time is the mean of both.
        """
        return tokens[-1].mean(-1), ranked_pool(self.head(patches), self.decay)

    def maps(self, patches: Tensor, attentions: Sequence[Tensor], last: int | None = None) -> dict[str, Tensor]:
        """Localisation maps, each (B,C,h,w), at least 0.

        Args:
            patches: (B,D,h,w).
            attentions: (B,C+P,C+P) of every layer.
            last: layers whose attention counts; None: all.

        Returns:
            ``patch``, ReLU of the convolution; ``token``, class-to-patch attention; ``fused``, root of their product.
        """
        patch = self.head(patches).relu()
        token = class_to_patch(attentions, self.head.out_channels, tuple(patches.shape[-2:]), last)
        return dict(patch=patch, token=token, fused=fuse_maps(token, patch))

    def scores(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """Mean of both logits, (B,C): what decides which maps are shown without tags."""
        return sum(self(patches, tokens)) / 2
