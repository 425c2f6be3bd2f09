"""Any token of an open_clip ViT: global and dense features, any layer, attention as the dense methods change it."""
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

from .attention import Heads, Mix, Score, build_attention
from .blocks import attended, block_heads, changed_block, ordinary_block
from .positions import resize_position_table

__all__ = ['DenseOutput', 'DenseViT', 'visual_from_state']


class DenseOutput(NamedTuple):
    """What a forward of :class:`DenseViT` gives."""
    dense: Tensor  # (B,d,h,w) patch features in the joint space, not normalised
    whole: Tensor | None  # (B,d) the image's feature, of the ordinary class token; None where it was not wanted
    layers: dict[int, Tensor]  # block -> (B,1+hw,D) its output, for the blocks that were asked for
    attention: dict[int, Tensor]  # block -> (B,heads,N,N) ordinary attention, for the blocks that were asked for


def _check(visual: nn.Module) -> None:
    """Refuse image towers whose tokens cannot be had this way, saying why."""
    kind, why = type(visual).__name__, None
    if kind == 'TimmModel':
        why = ('it is a tower of timm (SigLIP, EVA, ConvNeXt, ...), whose image feature comes from attention pooling '
               'or a mean and has no class token and projection that patches could share')
    elif getattr(visual, 'attn_pool', None) is not None:
        why = 'it pools by attention (CoCa): patches are not in the space of the text'
    elif not all(hasattr(visual, part) for part in ('conv1', 'class_embedding', 'positional_embedding', 'transformer')):
        why = f'{kind} is no vision transformer of CLIP'
    elif visual.pool_type != 'tok' or visual.final_ln_after_pool or visual.proj is None:
        why = f'it pools by {visual.pool_type!r}, not by the class token with a projection that patches share'
    elif not isinstance(visual.transformer.resblocks[-1].attn, nn.MultiheadAttention):
        why = 'its attention normalises or scales queries and keys in its own way'
    if why:
        raise ConfigError(f"This CLIP's image tower gives no dense features: {why}. Take a ViT of OpenAI, LAION, "
                          'DataComp, DFN or MetaCLIP, for example ViT-B-16.')


class DenseViT(nn.Module):
    """The image tower of an open_clip ViT, read block by block.

    With its defaults it computes what open_clip does. The last ``last`` blocks may attend in another way:

    - ``stream='replace'``: they are themselves replaced; ``residual`` and ``ffn`` say what of the block is kept. With
      the residual off and several blocks, each is computed from the ordinary stream and the results are added up
      (ClearCLIP's ``last_n_layers``).
    - ``stream='parallel'``: the ordinary stream goes on beside; a second one starts with it and takes only the changed
      attention of each block, no FFN (GEM, CLIP Surgery, ExCEL); ``residual`` and ``ffn`` do not matter.

    The image's own feature always comes from the ordinary stream.

    Args:
        visual: open_clip's VisionTransformer; its parameters are used as they are.
        attention: of the last blocks, a name of :data:`.attention.ATTENTION`.
        attention_cfg: its options.
        residual: keep the residual connection of a replaced block.
        ffn: keep its FFN; it needs the residual.
        last: number of blocks that are changed.
        stream: 'replace' or 'parallel', see above.
        positions: rule of :func:`.positions.resize_position_table`.

    Raises:
        ConfigError: a tower without dense features, or settings that contradict each other.
    """

    def __init__(self, visual: nn.Module, attention: str = 'vanilla', attention_cfg: dict | None = None,
                 residual: bool = True, ffn: bool = True, last: int = 1, stream: str = 'replace',
                 positions: str = 'offset') -> None:
        super().__init__()
        _check(visual)
        self.visual = visual
        self.set_mode(attention, attention_cfg, residual, ffn, last, stream, positions)

    def set_mode(self, attention: str = 'vanilla', attention_cfg: dict | None = None, residual: bool = True,
                 ffn: bool = True, last: int = 1, stream: str = 'replace', positions: str = 'offset') -> None:
        """Compose another tower of the same weights; arguments as of the class."""
        if stream not in ('replace', 'parallel'):
            raise ConfigError(f"stream={stream!r} of a CLIP tower; use 'replace' or 'parallel'.")
        if ffn and not residual:
            raise ConfigError('A CLIP block without its residual has no use for its FFN; set ffn=False as well.')
        if not 1 <= last <= self.depth:
            raise ConfigError(f'last={last} blocks are to be changed in a tower of {self.depth}.')
        if attention == 'proxyclip' and (residual or last > 1 or stream == 'parallel'):
            raise ConfigError("attention 'proxyclip' gives other tokens than the block has: it replaces the last block "
                              'alone, with residual=False and ffn=False.')
        self.attention_name, self.attend = attention, build_attention(attention, attention_cfg)
        self.residual, self.ffn, self.last, self.stream, self.positions = residual, ffn, last, stream, positions
        resize_position_table(self.visual.positional_embedding[:2], (1, 1), positions)  # refuses an unknown rule now

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer's."""
        return self.visual.transformer.resblocks

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def num_heads(self) -> int:
        """Heads of a block."""
        return self.blocks[0].attn.num_heads

    @property
    def width(self) -> int:
        """D, of a token."""
        return self.visual.positional_embedding.shape[1]

    @property
    def patch_size(self) -> int:
        """Pixels."""
        return self.visual.patch_size[0]

    @property
    def embed_dim(self) -> int:
        """d, of the joint space."""
        return self.visual.proj.shape[1]

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches; what is left over at the right and the bottom is not seen."""
        h, w = images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size
        if not (h and w):
            raise ConfigError(f'An image of {images.shape[-2]}x{images.shape[-1]} pixels holds no patch of '
                              f'{self.patch_size}: resize or pad it first.')
        return h, w

    def embed(self, images: Tensor) -> Tensor:
        """(B,3,H,W) normalised, any size -> (B,1+hw,D), the input of the first block."""
        visual, grid = self.visual, self.grid(images)
        x = visual.conv1(images.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.to(x.dtype).expand(len(x), 1, -1), x], 1)
        table = resize_position_table(visual.positional_embedding, grid, self.positions, visual.grid_size)
        return visual.ln_pre(x + table.to(x.dtype))

    def heads(self, x: Tensor, layer: int, grid: tuple[int, int], external: Tensor | None = None) -> Heads:
        """Queries, keys and values of a block: x (B,N,D) is its input."""
        return block_heads(self.blocks[layer], x, grid, external)

    def block(self, x: Tensor, layer: int, grid: tuple[int, int]) -> tuple[Tensor, Heads]:
        """An ordinary block: its output, and the heads it attended with."""
        return ordinary_block(self.blocks[layer], x, grid)

    @torch.no_grad()
    def block_maps(self, images: Tensor, count: int | None = None) -> list[Tensor]:
        """Ordinary patches after each of the first blocks, for a decoder on a frozen tower.

        Args:
            images: (B,3,H,W), normalised.
            count: blocks; None: all.

        Returns:
            (B,D,h,w) float32 each.
        """
        grid, x, maps = self.grid(images), self.embed(images), []
        for layer in range(self.depth if count is None else count):
            x, _ = self.block(x, layer, grid)
            maps.append(x[:, 1:].transpose(1, 2).unflatten(2, grid).float())
        return maps

    def project(self, x: Tensor) -> Tensor:
        """Tokens (...,D) -> (...,d) of the joint space, not normalised."""
        return self.visual.ln_post(x) @ self.visual.proj

    def forward(self, images: Tensor, layers: tuple[int, ...] = (), attention: tuple[int, ...] = (),
                external: Tensor | None = None, whole: bool = True) -> DenseOutput:
        """Run all blocks.

        Args:
            images: (B,3,H,W), normalised.
            layers: blocks (from 0; negative from the end) whose ordinary outputs are wanted.
            attention: blocks whose ordinary attention weights are wanted.
            external: (B,C,h',w') for the variants that need it.
            whole: give the image's feature; without it the ordinary last block is saved.
        """
        grid = self.grid(images)
        return self.run(self.embed(images), grid, layers, attention, external, whole)

    def run(self, x: Tensor, grid: tuple[int, int], layers: tuple[int, ...] = (), attention: tuple[int, ...] = (),
            external: Tensor | None = None, whole: bool = True) -> DenseOutput:
        """:meth:`forward` from embedded tokens (B,1+hw,D) on."""
        tokens, mix, x, kept, seen = self.tokens(x, grid, layers, attention, external, whole)
        tokens = self.project(tokens[:, 1:] if mix.class_token else tokens)
        dense = tokens.transpose(1, 2).unflatten(2, mix.grid or grid)
        return DenseOutput(dense, self.project(x[:, 0]) if whole else None, kept, seen)

    def tokens(self, x: Tensor, grid: tuple[int, int], layers: tuple[int, ...] = (), attention: tuple[int, ...] = (),
               external: Tensor | None = None, whole: bool = True) -> tuple[Tensor, Mix, Tensor, dict, dict]:
        """Changed tokens (B,N',D) before the last norm, how they were mixed, and the ordinary tokens (B,N,D).

        Without ``whole`` the ordinary tokens may lack the last block.
        """
        wanted, shown = ({i % self.depth for i in group} for group in (layers, attention))
        kept, seen, changed, mix = {}, {}, None, Mix(None)
        plain = self.attention_name == 'vanilla' and self.ffn and self.stream == 'replace'
        first = self.depth if plain else self.depth - self.last
        for layer, block in enumerate(self.blocks):
            before = x
            if whole or layer < self.depth - 1 or plain or layer in wanted | shown:
                x, heads = ordinary_block(block, x, grid)
            else:
                heads = block_heads(block, x, grid)
            if layer >= first:
                heads = heads._replace(external=external)
                if self.stream == 'parallel':
                    mix = self.attend(heads)
                    changed = (before if changed is None else changed) + attended(block, mix.apply(heads))
                elif self.residual:
                    source = before if changed is None else changed
                    own = heads if changed is None else block_heads(block, source, grid, external)
                    changed, mix = changed_block(block, source, own, self.attend, True, self.ffn)
                else:
                    out, mix = changed_block(block, before, heads, self.attend, False, False)
                    changed = out if changed is None else changed + out
            if layer in wanted:
                kept[layer] = x
            if layer in shown:
                seen[layer] = Score(heads.q, heads.k).weights()
        return x if plain else changed, mix, x, kept, seen


def visual_from_state(state: dict[str, Tensor], num_heads: int, quick_gelu: bool) -> nn.Module:
    """open_clip's image tower of the size that a state dict of one has; for towers that come without a model's name.

    Args:
        state: CLIP's names, without the prefix ``visual.``.
        num_heads: OpenAI's towers: width / 64.
        quick_gelu: OpenAI's weights: True.
    """
    from open_clip.transformer import QuickGELU, VisionTransformer
    width, _, patch, _ = state['conv1.weight'].shape
    layers = 1 + max(int(key.split('.')[2]) for key in state if key.startswith('transformer.resblocks.'))
    side = math.isqrt(len(state['positional_embedding']) - 1) * patch
    ratio = state['transformer.resblocks.0.mlp.c_fc.weight'].shape[0] / width
    visual = VisionTransformer(side, patch, width, layers, num_heads, ratio, output_dim=state['proj'].shape[1],
                               act_layer=QuickGELU if quick_gelu else nn.GELU)
    visual.load_state_dict(state)
    return visual.eval()
