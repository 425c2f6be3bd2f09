"""The teachers of CLIP-DINOiser: DINO's values, FOUND's objects."""
from pathlib import Path

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError

__all__ = ['FOUND', 'attention_features']


def attention_features(backbone: nn.Module, images: Tensor, kind: str = 'v') -> Tensor:
    """Queries, keys or values of a ViT's last attention, all heads side by side.

    Args:
        backbone: a ``TimmViT``.
        images: (B,3,H,W), normalised for it.
        kind: 'q', 'k' or 'v'.

    Returns:
        (B,D,h,w) float32.

    Raises:
        ConfigError: another backbone, or see :meth:`.TimmViT.last_heads`.
    """
    if not hasattr(backbone, 'last_heads'):
        raise ConfigError(f'{type(backbone).__name__} does not show its last attention; the teacher is a TimmViT.')
    *heads, grid = backbone.last_heads(images)
    return heads['qkv'.index(kind)].transpose(2, 3).flatten(1, 2).unflatten(2, grid).float()


@MODELS.register_module()
class FOUND(BaseModule):
    """Where an object is: a 1x1 convolution on the keys of DINO's last attention.

    Simeoni et al., Unsupervised Object Localization: Observing the Background to Discover Objects, CVPR 2023,
    arXiv 2212.07834; valeoai/FOUND @ 1ad22ba (Apache-2.0).

    Args:
        backbone: config of a ``TimmViT``. Paper: DINO ViT-S/8.
        checkpoint: the authors' ``decoder_weights.pt``; None: random. Nothing is downloaded.

    Raises:
        MissingFileError, CheckpointError: the file is not there or holds another decoder (when weights are
            initialised).
    """

    def __init__(self, backbone: dict, checkpoint: str | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        self.decoder = nn.Conv2d(self.backbone.vit.embed_dim, 1, 1)
        self.checkpoint = checkpoint

    def init_weights(self) -> None:
        """Load both files."""
        self.backbone.init_weights()
        if self.checkpoint is None:
            return
        if not Path(self.checkpoint).is_file():
            raise MissingFileError(f'model.found.checkpoint names {self.checkpoint}, which does not exist: give '
                                   'decoder_weights.pt of valeoai/FOUND, or None for random weights.')
        content = load_checkpoint_file(self.checkpoint, 'cpu')
        state, own = content.get('decoder', content), self.decoder.state_dict()
        if any(key not in state or state[key].shape != own[key].shape for key in own):
            raise CheckpointError(f'{self.checkpoint} holds no decoder of {own["weight"].shape[1]} channels; give '
                                  'decoder_weights.pt of valeoai/FOUND with the ViT-S/8 that it was trained on.')
        self.decoder.load_state_dict({key: state[key] for key in own})

    @property
    def patch_size(self) -> int:
        """Pixels."""
        return self.backbone.patch_size

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) normalised as for ImageNet -> (B,1,h,w) probabilities."""
        return self.decoder(attention_features(self.backbone, images, 'k')).sigmoid()
