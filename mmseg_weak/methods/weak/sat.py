"""SAT: a localisation token whose attention is the foreground map.

Wu et al., Spatial-Aware Token for Weakly Supervised Object Localization, ICCV 2023, arXiv 2303.10438;
wpy1999/SAT @ 702290d (no licence), Model/SAT.py and train.py.

Tokens [cls; P patches; loc]; a (B,heads,N,N) are the attention's logits in a block, N = P + 2:

    m = sigmoid(mean over heads of a[last row])        last blocks: attention = softmax(a) m, not normalised again
    M (B,h,w) = mean of m over those blocks            S (B,K,h,w) = conv3x3(norm(patches)),  s = mean of S over places
    L = CE(s, y) + |mean of M over the batch - lambda| + mean of M~(1 - M~)        M~: M through a fixed 3x3 kernel

:class:`SATLocalizer` is the published method: one class an image, a box out. :class:`SAT` is ours, for seeds from
several tags an image: the soft margin of the tags stands for CE, and the maps of the classes are S M ('weighted'), or M
for every tag of the image ('saliency'), which tells objects from background but not one class from another.
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.models.backbones.token_vit import TokenAttention, TokenBlock, patch_grid, resize_positions
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors import Localizer, TagSegmentor

__all__ = ['LocationAttention', 'SAT', 'SATLocalizer', 'SpatialTokenViT', 'batch_area_loss', 'image_area',
           'image_norm', 'norm_kernel', 'sat_losses']


def norm_kernel(size: int = 3, spread: float = 6.0) -> Tensor:
    """The 3x3 kernel of the normalisation loss, nearly a single pixel: root of the outer product of normal masses.

    Args:
        size: bins on a side.
        spread: standard deviations that the bins cover on either side, and half a bin more.

    Returns:
        (size,size) float32, sum 1.
    """
    half_bin = (2 * spread + 1) / size / 2
    edges = torch.linspace(-spread - half_bin, spread + half_bin, size + 1, dtype=torch.float64)
    masses = torch.special.ndtr(edges).diff()
    kernel = torch.outer(masses, masses).sqrt()
    return (kernel / kernel.sum()).float()


def image_norm(maps: Tensor, kernel: Tensor | None = None) -> Tensor:
    """How undecided each map is: (B,h,w) -> (B,), mean of M(1 - M) of the blurred map; zero padding.

    Args:
        maps: (B,h,w) in [0, 1].
        kernel: (3,3) of the blur; None: :func:`norm_kernel`.
    """
    maps = full_precision(maps)[:, None]
    kernel = norm_kernel() if kernel is None else kernel
    blurred = F.conv2d(maps, kernel.to(maps)[None, None], padding=1)
    return (blurred * (1 - blurred)).mean((1, 2, 3))


def image_area(maps: Tensor) -> Tensor:
    """Share of the image that each map covers: (B,h,w) -> (B,)."""
    return full_precision(maps).mean((1, 2))


def batch_area_loss(maps: Tensor, area: float) -> Tensor:
    """|mean of M over the whole batch - area|; CUB 0.25, ILSVRC 0.35."""
    return (image_area(maps).mean() - area).abs()


def sat_losses(logits: Tensor, maps: Tensor, labels: Tensor, area: float,
               kernel: Tensor | None = None) -> dict[str, Tensor]:
    """Cross-entropy, area and normalisation losses, all of weight 1: (B,K), (B,h,w), (B,).

    Args:
        kernel: of :func:`image_norm`.
    """
    return dict(loss_cls=F.cross_entropy(full_precision(logits), labels), loss_area=batch_area_loss(maps, area),
                loss_norm=image_norm(maps, kernel).mean())


class LocationAttention(TokenAttention):
    """Attention of which the last token's query, averaged over heads, is a mask of all tokens.

    mask = sigmoid(mean over heads of the last row of the logits), (B,1,1,N). Where ``masked``, the columns of the
    attention are multiplied by it and not normalised again.

    Args:
        masked: in the last 3 blocks of 12.
    """

    def __init__(self, dim: int, num_heads: int, masked: bool) -> None:
        super().__init__(dim, num_heads)
        self.masked = masked

    def weigh(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Weights, and the mask."""
        mask = logits[:, :, -1:].mean(1, keepdim=True).sigmoid()
        weights = logits.softmax(-1)
        return weights * mask if self.masked else weights, mask


@MODELS.register_module()
class SpatialTokenViT(BaseModule):
    """DeiT with a localisation token, last in the row: class logits and one foreground map.

    DeiT's weights load; its classifier is left out and its positions are resized to this grid.

    Args:
        num_classes: K.
        embed_dim, depth, num_heads, mlp_ratio: DeiT-S: 384, 12, 6, 4.
        img_size, patch_size: pixels.
        masked_blocks: last blocks that use the mask and whose masks make the map.
        drop_path_rate: of the last block, growing linearly.
        layer_norm_eps: DeiT: 1e-6.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, see :meth:`init_weights`.
    """

    def __init__(self, num_classes: int, embed_dim: int = 384, depth: int = 12, num_heads: int = 6,
                 mlp_ratio: float = 4, img_size: int = 224, patch_size: int = 16, masked_blocks: int = 3,
                 drop_path_rate: float = 0.1, layer_norm_eps: float = 1e-6,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not 0 < masked_blocks <= depth:
            raise ConfigError(f'masked_blocks={masked_blocks} of SpatialTokenViT; give 1 to depth={depth}.')
        self.patch_size, self.masked_blocks = patch_size, masked_blocks
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)
        self.cls_token, self.loc_token, self.loc_embed = (nn.Parameter(torch.zeros(1, 1, embed_dim)) for _ in range(3))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (img_size // patch_size) ** 2, embed_dim))
        rates = torch.linspace(0, drop_path_rate, depth).tolist()
        self.blocks = nn.ModuleList(
            TokenBlock(embed_dim, LocationAttention(embed_dim, num_heads, i >= depth - masked_blocks), mlp_ratio, rate,
                       layer_norm_eps) for i, rate in enumerate(rates))
        self.norm = nn.LayerNorm(embed_dim, layer_norm_eps)
        self.head = nn.Conv2d(embed_dim, num_classes, 3, padding=1)
        for parameter in (self.cls_token, self.loc_token, self.loc_embed, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``: a file or address of DeiT's or timm's weights, as they are published.

        Raises:
            CheckpointError: it does not hold all of this network's blocks, or blocks of another width.
        """
        checkpoint = (self.init_cfg or {}).get('checkpoint')
        if not checkpoint:
            return
        state = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        state = state.get('model', state.get('state_dict', state))
        state = {key: value for key, value in state.items() if not key.startswith('head')}
        if 'pos_embed' in state:
            side = round((self.pos_embed.shape[1] - 1) ** 0.5)
            first, grid = state['pos_embed'][:, :1], state['pos_embed'][:, 1:]
            state['pos_embed'] = torch.cat([first, resize_positions(grid, (side, side))], 1)
        own = {k: v.shape for k, v in self.state_dict().items() if not k.startswith(('loc_', 'head.'))}
        wrong = [k for k, shape in own.items() if k not in state or state[k].shape != shape]
        if wrong:
            raise CheckpointError(f'model.backbone.init_cfg.checkpoint {checkpoint} lacks {len(wrong)} weights of '
                                  f'this ViT (first: {wrong[0]}); give weights of {len(self.blocks)} blocks of width '
                                  f"{self.cls_token.shape[2]} in timm's names.")
        self.load_state_dict({k: state[k] for k in own}, strict=False)

    def run(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,H,W) -> class maps S (B,K,h,w), foreground map M (B,h,w) in (0,1)."""
        size = patch_grid(image, self.patch_size)
        patches = self.patch_embed.proj(image).flatten(2).transpose(1, 2)
        patches = patches + resize_positions(self.pos_embed[:, 1:], size)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(image), -1, -1)
        x = torch.cat([first, patches, (self.loc_token + self.loc_embed).expand(len(image), -1, -1)], 1)
        masks = []
        for block in self.blocks:
            x, mask = block(x)
            masks.append(mask)
        foreground = torch.stack(masks[-self.masked_blocks:]).mean(0)[:, 0, 0, 1:-1].unflatten(1, size)
        features = self.norm(x)[:, 1:-1].transpose(1, 2).unflatten(2, size)
        return self.head(features), foreground

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,H,W) -> logits (B,K), map (B,h,w) in (0,1)."""
        maps, foreground = self.run(image)
        return maps.mean((2, 3)), foreground


def _network(backbone: dict, num_tags: int) -> nn.Module:
    """The network of a config, with one output for each tag.

    Raises:
        ConfigError: it has no localisation token.
    """
    if backbone.get('type') != 'SpatialTokenViT':
        raise ConfigError(f"model.backbone.type is {backbone.get('type')!r}, which has no localisation token; SAT "
                          "needs 'SpatialTokenViT'.")
    return MODELS.build({**backbone, 'num_classes': num_tags})


@MODELS.register_module()
class SATLocalizer(Localizer):
    """SAT for localisation, the equations above with one class an image.

    Args:
        backbone: config of a :class:`SpatialTokenViT`, without ``num_classes``.
        num_classes: all classes, the background among them; CUB: 201.
        area: lambda, the share of an image that objects cover on average. CUB: 0.25, ILSVRC: 0.35.
        data_preprocessor, test_cfg, init_cfg: of :class:`.Localizer`. The map is of no class: ``topk`` and
            ``use_labels`` change nothing.
    """

    def __init__(self, backbone: dict, num_classes: int, area: float = 0.25, data_preprocessor: dict | None = None,
                 test_cfg: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(num_classes, data_preprocessor, test_cfg, init_cfg)
        self.backbone, self.area = _network(backbone, self.num_tags), area

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The three losses; the area is that of the batch of one process, as published."""
        logits, maps = self.backbone(inputs)
        return sat_losses(logits, maps, self.labels(data_samples), self.area)

    def localise(self, images: Tensor, labels: Tensor | None, topk: int) -> tuple[Tensor, Tensor]:
        """Class scores and M."""
        logits, maps = self.backbone(images)
        return logits, maps[:, None]


@MODELS.register_module()
class SAT(TagSegmentor):
    """SAT for seeds: several tags an image, maps of each class out. Ours; the paper localises one class.

    Args:
        backbone: config of a :class:`SpatialTokenViT`, without ``num_classes``.
        num_classes: all classes, the background among them.
        area: lambda, the share of an image that objects cover on average.
        maps: 'weighted', S M of each class, or 'saliency', M of the image for each of its tags.
        **kwargs: of :class:`.TagSegmentor`.
    """

    def __init__(self, backbone: dict, num_classes: int, area: float = 0.25, maps: str = 'weighted',
                 **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if maps not in ('weighted', 'saliency'):
            raise ConfigError(f"model.maps of SAT is {maps!r}; it is 'weighted' or 'saliency'.")
        self.backbone, self.area, self.maps = _network(backbone, self.num_tags), area, maps

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Soft margin of the tags, area and normalisation."""
        logits, maps = self.backbone(inputs)
        return dict(loss_cls=F.multilabel_soft_margin_loss(full_precision(logits), self.tags(data_samples)),
                    loss_area=batch_area_loss(maps, self.area), loss_norm=image_norm(maps).mean(),
                    area=maps.detach().mean() * 100)

    def class_maps(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K,h,w), see ``maps``."""
        maps, foreground = self.backbone.run(images)
        if self.maps == 'saliency':
            return foreground[:, None].expand(-1, self.num_tags, -1, -1)
        return maps * foreground[:, None]

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K)."""
        return self.backbone(images)[0]
