"""A vision transformer of DeiT's layout whose attention can be read and changed, with any number of class tokens.

mmpretrain's and timm's transformers give neither several class tokens nor their attention. Layers carry timm's names,
so that DeiT's weights load.
"""
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import CheckpointError, ConfigError

__all__ = ['ClassTokenViT', 'TokenAttention', 'TokenBlock', 'patch_grid', 'resize_positions']


class TokenAttention(nn.Module):
    """Multi-head self-attention that also returns what :meth:`weigh` measures.

    Args:
        dim: of a token.
        num_heads: must divide ``dim``.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ConfigError(f'num_heads={num_heads} does not divide the width {dim} of the tokens.')
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def weigh(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(B,heads,N,N) logits -> weights of the values, and what is returned: here their mean over heads, (B,N,N)."""
        weights = logits.softmax(-1)
        return weights, weights.mean(1)

    def forward(self, x: Tensor, measure: bool = True) -> tuple[Tensor, Tensor | None]:
        """(B,N,D) -> (B,N,D) and the measure of :meth:`weigh`.

        Args:
            measure: without it, attention that is a plain softmax is computed in one fused step, and None is returned.
        """
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        if not measure and type(self).weigh is TokenAttention.weigh:
            mixed = F.scaled_dot_product_attention(q, k, v)
            return self.proj(mixed.transpose(1, 2).reshape(b, n, d)), None
        weights, seen = self.weigh(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, d)), seen


class TokenBlock(nn.Module):
    """Pre-norm transformer block.

    Args:
        dim: of a token.
        attention: the block's attention, returning tokens and a measure.
        mlp_ratio: hidden width over ``dim``.
        drop_path: probability of leaving out a branch.
        eps: of the layer norms. DeiT: 1e-6.
    """

    def __init__(self, dim: int, attention: nn.Module, mlp_ratio: float = 4, drop_path: float = 0.0,
                 eps: float = 1e-6) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.attn = attention
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, measure: bool = True) -> tuple[Tensor, Tensor | None]:
        """(B,N,D) -> (B,N,D) and the attention's measure, see :class:`TokenAttention`."""
        out, seen = self.attn(self.norm1(x), measure)
        x = x + self.drop_path(out)
        return x + self.drop_path(self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))), seen


def resize_positions(positions: Tensor, size: tuple[int, int], offset: float = 0.0) -> Tensor:
    """Bicubic resize of a square grid of position embeddings: (1,P,D) -> (1,h w,D).

    Args:
        offset: 0.1 samples with the factors (size + 0.1) / side, as DINO does against rounding errors (MCTformer V1,
            V2); 0 with size / side.
    """
    side = round(positions.shape[1] ** 0.5)
    if (side, side) == tuple(size):
        return positions
    grid = positions.transpose(1, 2).reshape(1, -1, side, side)
    factors = dict(scale_factor=tuple((n + offset) / side for n in size)) if offset else dict(size=tuple(size))
    return F.interpolate(grid, mode='bicubic', align_corners=False, **factors).flatten(2).transpose(1, 2)


def patch_grid(image: Tensor, patch_size: int) -> tuple[int, int]:
    """(h, w) patches of an image.

    Raises:
        ConfigError: its sides are not multiples of the patch.
    """
    h, w = image.shape[-2:]
    if h % patch_size or w % patch_size:
        raise ConfigError(f'An image of {h}x{w} pixels came to a ViT with patches of {patch_size}: use a crop_size '
                          f"divisible by {patch_size}, and dict(type='ResizeToMultiple', size_divisor={patch_size}) "
                          f'in the test pipeline.')
    return h // patch_size, w // patch_size


@MODELS.register_module()
class ClassTokenViT(BaseModule):
    """DeiT with a class token for each class (MCTformer), or one for all (ToCo).

    A DeiT checkpoint loads: its class token and its position are repeated for every class, as published; the patches'
    positions are resized to this grid.

    Args:
        num_tokens: class tokens C.
        embed_dim, depth, num_heads, mlp_ratio: DeiT-S: 384, 12, 6, 4.
        img_size: side of the training image, pixels; other sizes resize the positions (bicubic).
        patch_size: pixels.
        drop_path_rate: of the last block, growing linearly. Paper: 0.1.
        layer_norm_eps: DeiT: 1e-6.
        final_norm: norm of the last block's output (ToCo; MCTformer has none).
        train_positions: whether position embeddings learn (ToCo: no).
        position_offset: see :func:`resize_positions`.
        adapter: config of a module that changes what blocks give (``DOEIAdapter``): called as ``adapter(before, after,
            attention, colours, layer, depth, num_tokens)`` with tokens (B,C+P,D), head-averaged attention (B,C+P,C+P)
            and the image at patch resolution (B,P,3), normalised as the input; returns tokens.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, see :meth:`init_weights`.
    """

    def __init__(self, num_tokens: int, embed_dim: int = 384, depth: int = 12, num_heads: int = 6,
                 mlp_ratio: float = 4, img_size: int = 224, patch_size: int = 16, drop_path_rate: float = 0.1,
                 layer_norm_eps: float = 1e-6, final_norm: bool = False, train_positions: bool = True,
                 position_offset: float = 0.0, adapter: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.patch_size, self.embed_dim, self.position_offset = patch_size, embed_dim, position_offset
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, num_tokens, embed_dim))
        self.pos_embed_cls = nn.Parameter(torch.zeros(1, num_tokens, embed_dim))
        self.pos_embed_pat = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, embed_dim))
        for parameter in (self.cls_token, self.pos_embed_cls, self.pos_embed_pat):
            nn.init.trunc_normal_(parameter, std=0.02)
        rates = torch.linspace(0, drop_path_rate, depth).tolist()
        self.blocks = nn.ModuleList(TokenBlock(embed_dim, TokenAttention(embed_dim, num_heads), mlp_ratio, rate,
                                               layer_norm_eps) for rate in rates)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.norm = nn.LayerNorm(embed_dim, layer_norm_eps) if final_norm else None
        if not train_positions:
            self.pos_embed_cls.requires_grad_(False)
            self.pos_embed_pat.requires_grad_(False)
        self.adapter = MODELS.build(adapter) if adapter else None

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``: a file or address of DeiT's or timm's weights, as they are published.

        Raises:
            CheckpointError: it does not hold all of this network's blocks.
        """
        checkpoint = (self.init_cfg or {}).get('checkpoint')
        if not checkpoint:
            return super().init_weights()
        state = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        state = state.get('model', state.get('state_dict', state))
        missing = self.load_state_dict(dict(state), strict=False).missing_keys
        missing = [key for key in missing if not key.startswith(('adapter.', 'head'))]
        if missing:
            raise CheckpointError(f'model.backbone.init_cfg.checkpoint {checkpoint} lacks {len(missing)} weights of '
                                  f'this ViT (first: {missing[0]}); give weights of {len(self.blocks)} blocks of '
                                  f"width {self.embed_dim} in timm's names.")
        return None

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Fit a DeiT checkpoint to the number of tokens and patches."""
        tokens, own = state_dict.get(f'{prefix}cls_token'), self.cls_token.shape[1]
        if tokens is not None and tokens.shape[1] == 1 < own:
            state_dict[f'{prefix}cls_token'] = tokens.repeat(1, own, 1)
        positions = state_dict.pop(f'{prefix}pos_embed', None)
        if positions is not None:
            side = round(self.pos_embed_pat.shape[1] ** 0.5)
            state_dict[f'{prefix}pos_embed_cls'] = positions[:, :1].repeat(1, own, 1)
            state_dict[f'{prefix}pos_embed_pat'] = resize_positions(positions[:, 1:], (side, side))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, image: Tensor, observe: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor, list]:
        """Run all blocks.

        Args:
            image: (B,3,H,W), sides multiples of the patch.
            observe: taken from each block's head-averaged attention (B,C+P,C+P), rows are queries; None keeps none.

        Returns:
            patches (B,D,h,w) of the last block; class tokens (depth,B,C,D) of every block; what ``observe`` took.
        """
        patches, tokens, seen, _ = self.run(image, observe)
        return patches, tokens, seen

    def run(self, image: Tensor, observe: Callable[[Tensor], Tensor] | None = None,
            keep: Sequence[int] = ()) -> tuple[Tensor, Tensor, list, list[Tensor]]:
        """As :meth:`forward`, and the patches (B,D,h,w) of the blocks ``keep`` (0 first, -1 last), not normed."""
        size = patch_grid(image, self.patch_size)
        patches = self.patch_embed.proj(image).flatten(2).transpose(1, 2)
        patches = patches + resize_positions(self.pos_embed_pat, size, self.position_offset)
        count, depth = self.cls_token.shape[1], len(self.blocks)
        x = torch.cat([(self.cls_token + self.pos_embed_cls).expand(len(image), -1, -1), patches], 1)
        colours = None
        if self.adapter is not None:
            colours = F.adaptive_avg_pool2d(image, size).flatten(2).transpose(1, 2)
        chosen, measure = {index % depth for index in keep}, observe is not None or self.adapter is not None
        tokens, seen, kept = [], [], {}
        for layer, block in enumerate(self.blocks):
            before = x
            x, attention = block(x, measure)
            if self.adapter is not None:
                x = self.adapter(before, x, attention, colours, layer, depth, count)
            if layer in chosen:
                kept[layer] = x[:, count:].transpose(1, 2).unflatten(2, size)
            if layer == depth - 1 and self.norm is not None:
                x = self.norm(x)
            tokens.append(x[:, :count])
            if observe is not None:
                seen.append(observe(attention))
        final = x[:, count:].transpose(1, 2).unflatten(2, size)
        return final, torch.stack(tokens), seen, [kept[index % depth] for index in keep]
