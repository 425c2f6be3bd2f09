"""Frozen feature spaces in which pixels are compared with prototypes: keys of CLIP, keys of DINO, queries of a
diffusion model.
"""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, MissingFileError
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD, DenseViT

__all__ = ['CLIPKeys', 'DiffusionQueries', 'ViTKeys', 'import_diffusers', 'load_pipeline']

_IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LAYERS = (0, 6, 7, 8, 9, 10, 11, 12, 15)  # of the 16 cross-attentions of Stable Diffusion 1.x, in their order


def _normalised(raw: Tensor, statistics: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    mean, std = (torch.tensor(v, device=raw.device, dtype=torch.float32).view(1, 3, 1, 1) for v in statistics)
    return (raw.float() - mean) / std


def _resized(raw: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(raw.shape[-2:]) == tuple(size):
        return raw.float()
    return F.interpolate(raw.float(), size, mode='bilinear', align_corners=False, antialias=True)


@MODELS.register_module()
class CLIPKeys(BaseModule):
    """Keys of a block of the segmentor's own CLIP, all heads joined; pictures become squares.

    Args:
        layer: block, from the end where negative. Paper: -2.
        size_px: side of the square. Paper: 448.
        as_published: normalise with ImageNet's statistics, as the official code does.
    """
    name = 'clip'

    def __init__(self, layer: int = -2, size_px: int = 448, as_published: bool = False) -> None:
        super().__init__()
        self.layer, self.size_px, self.as_published = layer, size_px, as_published

    def forward(self, raw: Tensor, clip: nn.Module) -> Tensor:
        """(n,3,H,W) RGB, 0 to 255 -> (n,C,h,w).

        Raises:
            ConfigError: the CLIP is a ResNet.
        """
        tower = clip.vision
        if not isinstance(tower, DenseViT):
            raise ConfigError(f'{clip.name} is a ResNet, whose patches have no keys; take a ViT for OVDiff.')
        images = _normalised(_resized(raw, (self.size_px, self.size_px)),
                             _IMAGENET if self.as_published else (CLIP_MEAN, CLIP_STD))
        grid, x, last = tower.grid(images), tower.embed(images), self.layer % tower.depth
        for number in range(last):
            x, _ = tower.block(x, number, grid)
        keys = tower.heads(x, last, grid).k[:, :, 1:]  # (n,heads,hw,d)
        return keys.permute(0, 1, 3, 2).flatten(1, 2).unflatten(2, grid).float()


@MODELS.register_module()
class ViTKeys(BaseModule):
    """Keys of the last block of another vision transformer, all heads joined; pictures keep their shape.

    Args:
        backbone: config of a :class:`.TimmViT`. Paper: DINO ViT-B/8.
        short_side_px, long_side_px: pictures with a side above the first are resized to it, the long side to at most
            the second. Paper: 448, 800.
    """
    name = 'vit'

    def __init__(self, backbone: dict, short_side_px: int = 448, long_side_px: int = 800) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone).requires_grad_(False).eval()
        if not hasattr(self.backbone, 'last_heads'):
            raise ConfigError(f'model.extractors: {type(self.backbone).__name__} gives no keys; take TimmViT.')
        self.backbone.init_weights()
        self.short_side_px, self.long_side_px = short_side_px, long_side_px

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that a picture is resized to."""
        if max(height, width) <= self.short_side_px:
            return height, width
        factor = min(self.short_side_px / min(height, width), self.long_side_px / max(height, width))
        return max(int(height * factor), 1), max(int(width * factor), 1)

    def forward(self, raw: Tensor, clip: nn.Module) -> Tensor:
        """(n,3,H,W) RGB, 0 to 255 -> (n,C,h,w); what is left over of a patch at the right and bottom is not seen."""
        images = _normalised(_resized(raw, self.size(*raw.shape[-2:])), _IMAGENET)
        patch = self.backbone.patch_size
        height, width = (max(n // patch, 1) * patch for n in images.shape[-2:])
        if height > images.shape[-2] or width > images.shape[-1]:  # less than a patch
            images = _resized(images, (height, width))
        _, keys, _, grid = self.backbone.last_heads(images[..., :height, :width])
        return keys.permute(0, 1, 3, 2).flatten(1, 2).unflatten(2, grid).float()


def import_diffusers() -> Any:
    """The package diffusers.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import diffusers
    except ImportError as error:
        raise ConfigError(f"Stable Diffusion needs diffusers and transformers: pip install diffusers transformers "
                          f'({error}). Without them OVDiff works on pictures of your own, and with CLIP and DINO.'
                          ) from error
    return diffusers


def load_pipeline(model: str) -> Any:
    """A Stable Diffusion pipeline that lies on this machine; nothing is downloaded.

    Args:
        model: folder of a pipeline, or its name on the hub where it has been downloaded before.

    Raises:
        ConfigError: diffusers is not installed.
        MissingFileError: the model is not on this machine.
    """
    diffusers = import_diffusers()
    try:
        return diffusers.StableDiffusionPipeline.from_pretrained(model, local_files_only=True, safety_checker=None,
                                                                 requires_safety_checker=False, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise MissingFileError(f'Stable Diffusion {model!r} is not on this machine as safetensors, and nothing is '
                               f'downloaded unasked: `hf download {model}` brings it ({str(error)[:200]}).') from error


@MODELS.register_module()
class DiffusionQueries(BaseModule):
    """Queries of cross-attentions of a diffusion model that is shown a noisy picture; pictures become squares.

    Args:
        model: see :func:`load_pipeline`. Paper: Stable Diffusion 1.5.
        timestep: of the noise. Paper: 200.
        layers: cross-attentions in the order of down, middle, up. Paper: 0, 6 to 12, 15.
        size_px: side of the square. Paper: 512.
        grid: rows and columns that the queries are enlarged to. Paper: 64.
        seed: of the noise, the same for every picture. Paper: 43.
    """
    name = 'sd'

    def __init__(self, model: str, timestep: int = 200, layers: Sequence[int] = LAYERS, size_px: int = 512,
                 grid: int = 64, seed: int = 43) -> None:
        super().__init__()
        pipeline = load_pipeline(model)
        self.vae, self.unet, self.scheduler = pipeline.vae, pipeline.unet, pipeline.scheduler
        self.requires_grad_(False).eval()
        tokens = pipeline.tokenizer('', padding='max_length', max_length=pipeline.tokenizer.model_max_length,
                                    return_tensors='pt').input_ids
        with torch.no_grad():
            self.register_buffer('nothing', pipeline.text_encoder(tokens)[0], persistent=False)
        attentions = cross_attentions(self.unet)
        if max(layers) >= len(attentions):
            raise ConfigError(f'model.extractors: layers={tuple(layers)} of a network of {len(attentions)} '
                              'cross-attentions; count from 0.')
        self.queries = [attentions[i].to_q for i in layers]
        self.timestep, self.size_px, self.grid, self.seed = timestep, size_px, grid, seed

    @torch.no_grad()
    def forward(self, raw: Tensor, clip: nn.Module) -> Tensor:
        """(n,3,H,W) RGB, 0 to 255 -> (n,C,grid,grid)."""
        images = _resized(raw, (self.size_px, self.size_px)) / 127.5 - 1
        generator = torch.Generator().manual_seed(self.seed)
        posterior = self.vae.encode(images.to(self.vae.dtype)).latent_dist
        shape = posterior.mean.shape[1:]
        drawn, noise = (torch.randn(1, *shape, generator=generator).to(images) for _ in range(2))
        latent = (posterior.mean + posterior.std * drawn) * self.vae.config.scaling_factor
        step = torch.full((len(raw), ), self.timestep, device=raw.device)
        noisy = self.scheduler.add_noise(latent, noise.expand_as(latent), step)
        seen: list[Tensor] = []
        handles = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out)) for layer in self.queries]
        try:
            self.unet(noisy, step, encoder_hidden_states=self.nothing.expand(len(raw), -1, -1))
        finally:
            for handle in handles:
                handle.remove()
        maps = []
        for query in seen:
            side = round(query.shape[1]**0.5)
            query = query.float().transpose(1, 2).unflatten(2, (side, side))
            maps.append(F.interpolate(query, (self.grid, self.grid), mode='bilinear', align_corners=False))
        return torch.cat(maps, 1)


def cross_attentions(unet: nn.Module) -> list[nn.Module]:
    """Cross-attentions of a U-Net of diffusers, in the order down, middle, up."""
    def inside(part: nn.Module) -> list[nn.Module]:
        return [module for name, module in part.named_modules() if name.rsplit('.', 1)[-1] == 'attn2']
    return [*inside(unet.down_blocks), *inside(unet.mid_block), *inside(unet.up_blocks)]
