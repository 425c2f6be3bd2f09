"""Dense features of CLIP's ResNets, as MaskCLIP takes them: the attention pooling's values, patch by patch."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

from .blocks import split_heads
from .positions import resize_position_table
from .vision import DenseOutput

__all__ = ['DenseResNet']


class DenseResNet(nn.Module):
    """The image tower of a CLIP ResNet of open_clip.

    dense = c_proj(v_proj(x)) at every place of the last stage, without position embeddings (MaskCLIP's two 1x1
    convolutions); whole = open_clip's attention pooling, with positions resized for other input sizes.

    Args:
        visual: open_clip's ModifiedResNet.
        positions: rule of :func:`.positions.resize_position_table`.
    """

    def __init__(self, visual: nn.Module, positions: str = 'size') -> None:
        super().__init__()
        self.visual, self.positions = visual, positions

    @property
    def patch_size(self) -> int:
        """Pixels of a place of the last stage."""
        return 32

    @property
    def embed_dim(self) -> int:
        """d, of the joint space."""
        return self.visual.attnpool.c_proj.out_features

    def stage_maps(self, images: Tensor) -> list[Tensor]:
        """(B,3,H,W) -> maps of the four stages, at strides 4, 8, 16 and 32."""
        visual, maps = self.visual, []
        if min(images.shape[-2:]) < 32:
            raise ConfigError(f'An image of {images.shape[-2]}x{images.shape[-1]} pixels is too small for a CLIP '
                              'ResNet, whose last stage has one place for 32 pixels: resize or pad it first.')
        x = visual.stem(images.to(visual.conv1.weight.dtype))
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def stages(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,C,H/32,W/32), the last stage."""
        return self.stage_maps(images)[-1]

    def pool(self, x: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,d), as open_clip pools."""
        pool, grid = self.visual.attnpool, tuple(x.shape[-2:])
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
        tokens = tokens + resize_position_table(pool.positional_embedding, grid, self.positions).to(tokens.dtype)
        parts = (pool.q_proj, pool.k_proj, pool.v_proj)
        q, k, v = split_heads(tokens, torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]),
                              pool.num_heads)
        mixed = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        return pool.c_proj(mixed.transpose(1, 2).flatten(2))[:, 0]

    def forward(self, images: Tensor, layers: tuple[int, ...] = (), attention: tuple[int, ...] = (),
                external: Tensor | None = None, whole: bool = True) -> DenseOutput:
        """Dense and global features; a ResNet has neither token layers nor attention maps to give.

        Raises:
            ConfigError: they were asked for.
        """
        if layers or attention or external is not None:
            raise ConfigError('A CLIP ResNet has no tokens, attention or values to mix; take a ViT for this.')
        x, pool = self.stages(images), self.visual.attnpool
        dense = pool.c_proj(pool.v_proj(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return DenseOutput(dense, self.pool(x) if whole else None, {}, {})
