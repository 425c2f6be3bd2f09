"""timm's vision transformers as mmseg backbones: normalised intermediate feature maps at any input size."""
import os
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError, near

from ..utils.split import module_outputs
from ..utils.weights import resolve_weights

__all__ = ['TimmViT']

# The tiny ViT that comes with this package (docs/towers.md): its weights are mmseg_weak://toyworld_vit.pth.
_OWN = dict(toyworld_vit=('vit_tiny_patch16_224', dict(img_size=128, patch_size=8, embed_dim=96, depth=6, num_heads=3)))


@MODELS.register_module()
class TimmViT(BaseModule):
    """Feature maps of chosen blocks of a ViT, each through the final LayerNorm, class and register tokens dropped.

    That is how DINOv2's ``get_intermediate_layers`` gives them, and what UniMatch V2's decoder reads; mmpretrain's
    ``VisionTransformer`` normalises the last block only. timm is imported when this class is built.

    Args:
        model_name: of timm, for example 'vit_small_patch14_dinov2'; or 'toyworld_vit'.
        out_indices: blocks, from 0. UniMatch V2: small and base (2, 5, 8, 11), large (4, 11, 17, 23).
        checkpoint: local file of weights, timm's or the authors' (``dinov2_vits14_pretrain.pth``), or
            'mmseg_weak://toyworld_vit.pth'; None trains from scratch. Nothing is downloaded.
        frozen: train no parameter and keep eval mode (the small ADE20K setting of UniMatch V2).

    Raises:
        ConfigError: timm is not installed or does not know the model.
        MissingFileError, CheckpointError: the checkpoint is not there, or holds other weights (when weights are
            initialised).
    """

    def __init__(self, model_name: str, out_indices: Sequence[int] = (2, 5, 8, 11), checkpoint: str | None = None,
                 frozen: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        try:
            import timm
        except ImportError as error:
            raise ConfigError(f"model.backbone.type='TimmViT' needs timm, which is not installed: pip install timm "
                              f'({error}).') from error
        timm_name, arch = _OWN.get(model_name, (model_name, {}))
        if not timm.is_model(timm_name):
            raise ConfigError(f'model.backbone.model_name is {model_name!r}, which timm {timm.__version__} does not '
                              f"know. {near(model_name, timm.list_models('vit_*'))}")
        self.vit = timm.create_model(timm_name, pretrained=False, num_classes=0, dynamic_img_size=True, **arch)
        depth = len(self.vit.blocks)
        if not all(0 <= i < depth for i in out_indices):
            raise ConfigError(f'model.backbone.out_indices is {tuple(out_indices)} and {model_name} has blocks 0 to '
                              f'{depth - 1}.')
        self.out_indices, self.model_name = list(out_indices), model_name
        self.patch_size = self.vit.patch_embed.patch_size[0]
        self.checkpoint, self.frozen = checkpoint, frozen
        if frozen:
            self.vit.requires_grad_(False)
        self.train(self.training)

    def init_weights(self) -> None:
        """Load ``checkpoint``; without one timm's own initialisation stays."""
        if self.checkpoint is None:
            return
        path = resolve_weights(self.checkpoint)
        if not os.path.isfile(path):
            raise MissingFileError(f'model.backbone.checkpoint names {self.checkpoint}, which does not exist: give a '
                                   'local file of ViT weights, or None to start from scratch.')
        from timm.models import load_checkpoint
        from timm.models.vision_transformer import checkpoint_filter_fn
        found = load_checkpoint(self.vit, path, filter_fn=checkpoint_filter_fn, strict=False, weights_only=True)
        missing = list(getattr(found, 'missing_keys', ()))
        if missing:  # a head that is too much is forgiven, weights that would stay random are not
            raise CheckpointError(f'{self.checkpoint} lacks {len(missing)} of the {len(self.vit.state_dict())} weights '
                                  f'of {self.model_name}, the first is {missing[0]}; give the file of this backbone '
                                  'alone, in the names of timm or of its authors.')

    def train(self, mode: bool = True) -> 'TimmViT':
        """A frozen backbone stays in eval mode."""
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B,3,H,W) -> one (B,D,H/p,W/p) map per index.

        Raises:
            ConfigError: H or W is not a multiple of the patch size p.
        """
        h, w = images.shape[-2:]
        if h % self.patch_size or w % self.patch_size:
            p = self.patch_size
            raise ConfigError(
                f'An image of {h}x{w} pixels came to a ViT with patches of {p}: use a crop_size divisible by {p}, and '
                f"dict(type='ResizeToMultiple', size_divisor={p}) in the test pipeline.")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return list(self.vit.forward_intermediates(images, indices=self.out_indices, norm=True,
                                                       intermediates_only=True, output_fmt='NCHW'))

    def last_heads(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        """Queries, keys and values of the last block's attention for the patches, each (B,heads,hw,d); (h,w).

        Raises:
            ConfigError: the model's attention has no joint projection, or see :meth:`forward`.
        """
        attn = self.vit.blocks[-1].attn
        if not hasattr(attn, 'qkv'):
            raise ConfigError(f'{type(self.vit).__name__} of timm has no joint projection of queries, keys and values '
                              'in its attention; take a plain vit_* model, DINO\'s or DINOv2\'s.')
        out, = module_outputs(self, [attn.qkv], images)
        q, k, v = out[:, self.vit.num_prefix_tokens:].unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return attn.q_norm(q), attn.k_norm(k), v, tuple(n // self.patch_size for n in images.shape[-2:])
