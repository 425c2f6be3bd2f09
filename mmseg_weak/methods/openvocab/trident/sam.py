"""What Trident asks of SAM: the last attention of its image encoder, and masks for prompts."""
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError

from .prompts import MaskDecoder, PromptEncoder

__all__ = ['SAM', 'SAMView', 'ViTCorrelation', 'to_multiple', 'vit_sam_names']

_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_PRECISIONS = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)
# segment-anything's names of a block, and mmpretrain's
_BLOCK = {'norm1': 'ln1', 'norm2': 'ln2', 'mlp.lin1': 'ffn.layers.0.0', 'mlp.lin2': 'ffn.layers.1'}


class SAMView(NamedTuple):
    """An image as SAM's last block sees it; places outside of the image are left out."""
    values: Tensor  # (heads,N,c)
    attention: list[Tensor]  # (N,N) of each head, softmaxed over all places and cut
    grid: tuple[int, int]  # rows and columns of the places, N of them
    embedding: Tensor | None  # (C,h,w) for prompts, of the whole square
    size: tuple[int, int]  # pixels of the image in the square


def vit_sam_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of an image encoder in segment-anything's checkpoints -> mmpretrain's; its own ones stay.

    >>> list(vit_sam_names({'image_encoder.blocks.3.mlp.lin1.bias': 0, 'image_encoder.neck.1.weight': 0}))
    ['layers.3.ffn.layers.0.0.bias', 'channel_reduction.1.weight']
    """
    found = {}
    for key, value in state.items():
        key = key.removeprefix('image_encoder.').removeprefix('backbone.')
        parts = key.split('.')
        if parts[0] == 'blocks':
            rest = '.'.join(parts[2:])
            for old, new in _BLOCK.items():
                if rest.startswith(f'{old}.'):
                    rest = new + rest[len(old):]
            key = f'layers.{parts[1]}.{rest}'
        elif parts[0] == 'neck':
            key = f'channel_reduction.{".".join(parts[1:])}'
        elif key.startswith('patch_embed.proj.'):
            key = f'patch_embed.projection.{parts[-1]}'
        found[key] = value
    return found


def to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Enlarge (3,H,W), 0 to 255, so that both sides are multiples, rounded to whole colours as an image would be."""
    size = tuple(-(-n // multiple) * multiple for n in image.shape[-2:])
    if size == tuple(image.shape[-2:]):
        return image
    return F.interpolate(image[None], size, mode='bilinear', align_corners=False)[0].round_().clamp_(0, 255)


def _normalised(image: Tensor) -> Tensor:
    mean, std = (torch.tensor(v, device=image.device).view(3, 1, 1) for v in (_MEAN, _STD))
    return (image - mean) / std


def _longest(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(H,W) with its longer side ``side``, rounded half up as SAM does."""
    return tuple(max(int(n * side / max(size) + .5), 1) for n in size)


@MODELS.register_module()
class SAM(BaseModule):
    """Segment Anything: mmpretrain's ``ViTSAM`` as image encoder, and, with ``prompts``, its decoder.

    Args:
        arch: 'base', 'large', 'huge', or a dict as ``ViTSAM`` takes it.
        img_size: side of the square that images are fitted into, pixels.
        patch_size, window_size, out_channels: of the encoder. SAM: 16, 14, 256.
        prompts: also build what answers prompts.
        precision: of the encoder, 'fp32', 'fp16' or 'bf16'.
        checkpoint: ``sam_vit_*.pth`` of segment-anything, or mmpretrain's file of the encoder (without ``prompts``);
            None: random weights. Nothing is downloaded.

    Raises:
        ConfigError: an encoder whose last block sees no more than windows, or an unknown precision.
        MissingFileError, CheckpointError: the file is not there, or is of another architecture (when weights are
            initialised).
    """

    def __init__(self, arch: str | dict = 'base', img_size: int = 1024, patch_size: int = 16, window_size: int = 14,
                 out_channels: int = 256, prompts: bool = True, precision: str = 'fp32',
                 checkpoint: str | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if precision not in _PRECISIONS:
            raise ConfigError(f'precision={precision!r} of SAM; use {", ".join(_PRECISIONS)}.')
        self.image_encoder = MODELS.build(dict(
            type='mmpretrain.ViTSAM', arch=arch, img_size=img_size, patch_size=patch_size, window_size=window_size,
            out_channels=out_channels))
        if self.image_encoder.layers[-1].window_size:
            raise ConfigError('The last block of this SAM attends within windows, so it cannot say which places of an '
                              'image belong together; put it among arch.global_attn_indexes.')
        self.prompt_encoder = PromptEncoder(out_channels, img_size, patch_size) if prompts else None
        self.mask_decoder = MaskDecoder(out_channels) if prompts else None
        self.img_size, self.patch_size, self.checkpoint = img_size, patch_size, checkpoint
        self.image_encoder.to(_PRECISIONS[precision])

    def init_weights(self) -> None:
        """Load ``checkpoint``."""
        if self.checkpoint is None:
            return
        if not Path(self.checkpoint).is_file():
            raise MissingFileError(f'model.sam.checkpoint names {self.checkpoint}, which does not exist: give '
                                   'sam_vit_b_01ec64.pth of segment-anything or another of its files; None takes '
                                   'random weights.')
        state = load_checkpoint_file(self.checkpoint, 'cpu')
        state = state.get('state_dict', state)
        wanted = {key: value for key, value in state.items() if key.startswith(('prompt_encoder.', 'mask_decoder.'))}
        encoder = vit_sam_names({key: value for key, value in state.items() if key not in wanted})
        wanted.update({f'image_encoder.{key}': value for key, value in encoder.items()})
        own = self.state_dict()
        wrong = [key for key in own if key not in wanted or wanted[key].shape != own[key].shape]
        if wrong:
            found = f'{tuple(wanted[wrong[0]].shape)} there' if wrong[0] in wanted else 'not there'
            raise CheckpointError(f'{self.checkpoint} does not fit model.sam: {len(wrong)} weights differ, the first '
                                  f'is {wrong[0]}, {tuple(own[wrong[0]].shape)} here and {found}; set arch to what the '
                                  "file holds ('base', 'large', 'huge'), and prompts=False for an encoder alone.")
        self.load_state_dict({key: wanted[key] for key in own})

    @torch.no_grad()
    def look(self, image: Tensor, embed: bool = True, correlate: bool = True) -> SAMView:
        """Run the encoder on one image.

        Args:
            image: (3,H,W) RGB, 0 to 255.
            embed: also give the embedding that prompts are asked of.
            correlate: also give the last attention.
        """
        encoder = self.image_encoder
        size = _longest(tuple(image.shape[-2:]), self.img_size)
        small = F.interpolate(image[None].float(), size, mode='bilinear', align_corners=False, antialias=True)[0]
        square = _normalised(small.round_().clamp_(0, 255))
        square = F.pad(square, (0, self.img_size - size[1], 0, self.img_size - size[0]))
        x, side = encoder.patch_embed(square[None].to(encoder.pos_embed.dtype))
        x = x.view(1, *side, -1) + encoder.pos_embed
        for layer in encoder.layers[:-1]:
            x = layer(x)
        grid = tuple(max(n // self.patch_size, 1) for n in size)
        values, attention, x = self._last_block(x, grid, embed, correlate)
        if embed:
            x = encoder.channel_reduction(x.permute(0, 3, 1, 2))[0].float()
        return SAMView(values, attention, grid, x if embed else None, size)

    def _last_block(self, x: Tensor, grid: tuple[int, int], embed: bool, correlate: bool
                    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """The last block head by head, so that one matrix of attention is held at a time beside those that are cut."""
        from mmpretrain.models.backbones.vit_sam import add_decomposed_rel_pos
        layer, (height, width) = self.image_encoder.layers[-1], x.shape[1:3]
        attn = layer.attn
        q, k, v = attn.qkv(layer.ln1(x)).view(height * width, 3, attn.num_heads, -1).permute(1, 2, 0, 3)
        inside = torch.zeros(height, width, dtype=torch.bool, device=x.device)
        inside[:grid[0], :grid[1]] = True
        inside = inside.flatten().nonzero().flatten()
        mixed, cut = [], []
        for one_q, one_k, one_v in zip(q, k, v):
            logits = ((one_q * attn.scale) @ one_k.T)[None]
            if attn.use_rel_pos:
                logits = add_decomposed_rel_pos(logits, one_q[None], attn.rel_pos_h, attn.rel_pos_w, (height, width),
                                                (height, width))
            weights = logits[0].float().softmax(-1)
            if embed:
                mixed.append(weights.to(one_v.dtype) @ one_v)
            if correlate:
                cut.append(weights[inside][:, inside])
        if embed:
            x = x + attn.proj(torch.cat(mixed, -1).view(1, height, width, -1))
            x = layer.ffn(layer.ln2(x), identity=x)
        return v[:, inside].float(), cut, x

    @torch.no_grad()
    def ask(self, view: SAMView, points: Tensor, boxes: Tensor, prompt: Tensor, half: tuple[int, int],
            size: tuple[int, int], rows: bool = False, batch: int = 32) -> tuple[Tensor, Tensor]:
        """Masks of regions.

        Args:
            view: of :meth:`look`, with its embedding.
            points: (n,2) x and y in an image of size ``half``.
            boxes: (n,4) x1, y1, x2, y2 in it.
            prompt: (s,s) of the class, see :func:`.mask_prompt`; s is :attr:`prompt_side`.
            half: (h,w).
            size: (H,W) of the masks.
            rows: of :class:`.PromptEncoder`.
            batch: regions at a time.

        Returns:
            (n,H,W) logits and (n,) predicted IoU.
        """
        factor = [new / old for new, old in zip(_longest(half, self.img_size), half)][::-1]
        factor = points.new_tensor(factor)
        masks, ious = [], []
        for some, corners in zip((points * factor).split(batch), (boxes * factor.repeat(2)).split(batch)):
            tokens, dense = self.prompt_encoder(some, corners, prompt, rows)
            low, iou = self.mask_decoder(view.embedding, self.prompt_encoder.places(), tokens, dense)
            full = F.interpolate(low[None], (self.img_size, ) * 2, mode='bilinear', align_corners=False)
            full = full[..., :view.size[0], :view.size[1]]
            masks.append(F.interpolate(full, size, mode='bilinear', align_corners=False)[0])
            ious.append(iou)
        return torch.cat(masks), torch.cat(ious)

    @property
    def prompt_side(self) -> int:
        """Pixels of a mask prompt."""
        return 4 * (self.img_size // self.patch_size)


@MODELS.register_module()
class ViTCorrelation(BaseModule):
    """Any ViT of timm in SAM's place: its last attention and values. It answers no prompts.

    Args:
        backbone: config of a ``TimmViT``.
        long_side_px: of the image it sees; None: the image's own.
    """

    def __init__(self, backbone: dict, long_side_px: int | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.backbone, self.long_side_px = MODELS.build(backbone), long_side_px
        self.prompt_encoder = None

    def init_weights(self) -> None:
        """Load the backbone's checkpoint."""
        self.backbone.init_weights()

    @torch.no_grad()
    def look(self, image: Tensor, embed: bool = False, correlate: bool = True) -> SAMView:
        """See :meth:`SAM.look`; there is no embedding."""
        image = image.float()
        if self.long_side_px:
            size = _longest(tuple(image.shape[-2:]), self.long_side_px)
            image = F.interpolate(image[None], size, mode='bilinear', align_corners=False, antialias=True)[0]
        image = to_multiple(image, self.backbone.patch_size)
        q, k, v, grid = self.backbone.last_heads(_normalised(image)[None])
        weights = ((q[0] * q.shape[-1]**-.5) @ k[0].transpose(1, 2)).softmax(-1)
        return SAMView(v[0], list(weights), grid, None, tuple(image.shape[-2:]))
