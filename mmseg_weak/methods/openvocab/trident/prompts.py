"""SAM's answer to a point, a box and a coarse mask: prompt encoder and mask decoder, with the names of its checkpoints.

Kirillov et al., Segment Anything, ICCV 2023, arXiv 2304.02643; facebookresearch/segment-anything (Apache-2.0). Neither
mmseg nor mmpretrain has these two parts. Only what Trident asks is here: one positive point, one box and one mask for
each region, one mask back.
"""
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['MaskDecoder', 'PromptEncoder']


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of a map."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels)), eps

    def forward(self, x: Tensor, dim: int = 1) -> Tensor:
        """(B,C,h,w) -> the same; ``dim`` 2 normalises over rows in place of channels."""
        centred = x - x.mean(dim, keepdim=True)
        unit = centred / (centred.square().mean(dim, keepdim=True) + self.eps).sqrt()
        return self.weight[:, None, None] * unit + self.bias[:, None, None]


class FourierPlaces(nn.Module):
    """Places as sines and cosines of random projections."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer('positional_encoding_gaussian_matrix', torch.randn(2, dim // 2))

    def forward(self, places: Tensor) -> Tensor:
        """(...,2) x and y in [0, 1] -> (...,dim)."""
        angles = 2 * math.pi * ((2 * places - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], -1)

    def grid(self, size: tuple[int, int]) -> Tensor:
        """(dim,h,w) of the centres of cells."""
        device = self.positional_encoding_gaussian_matrix.device
        y, x = ((torch.arange(n, device=device, dtype=torch.float32) + .5) / n for n in size)
        return self(torch.stack(torch.meshgrid(x, y, indexing='xy'), -1)).movedim(-1, 0)


class PromptEncoder(nn.Module):
    """Prompts as tokens and as a map.

    Args:
        dim: of a token. SAM: 256.
        img_size: side of the square that SAM sees, pixels. Coordinates are in it.
        patch_size: of the image encoder.
        mask_channels: of the mask's first convolutions. SAM: 16.
    """

    def __init__(self, dim: int = 256, img_size: int = 1024, patch_size: int = 16, mask_channels: int = 16) -> None:
        super().__init__()
        self.img_size, self.grid = img_size, (img_size // patch_size, ) * 2
        self.pe_layer = FourierPlaces(dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))  # no, yes, two corners of a box
        self.not_a_point_embed, self.no_mask_embed = nn.Embedding(1, dim), nn.Embedding(1, dim)  # not asked by Trident
        few = mask_channels // 4
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, few, 2, 2), ChannelNorm(few), nn.GELU(), nn.Conv2d(few, mask_channels, 2, 2),
            ChannelNorm(mask_channels), nn.GELU(), nn.Conv2d(mask_channels, dim, 1))

    def forward(self, points: Tensor, boxes: Tensor, mask: Tensor, rows: bool = False) -> tuple[Tensor, Tensor]:
        """Tokens and map of prompts.

        Args:
            points: (n,2) x and y of pixels, one positive point each.
            boxes: (n,4) x1, y1, x2, y2.
            mask: (4h,4w) for the grid (h,w) of the encoder, the same for all.
            rows: normalise the mask's features over rows, which is what SAM's code does to a map without a batch.

        Returns:
            (n,3,dim) tokens and (1,dim,h,w) map.
        """
        places = torch.cat([points[:, None], boxes.view(-1, 2, 2)], 1) + .5  # centres of pixels
        tokens = self.pe_layer(places / self.img_size)
        tokens = tokens + torch.stack([self.point_embeddings[k].weight[0] for k in (1, 2, 3)])
        x = mask[None, None]
        for layer in self.mask_downscaling:
            x = layer(x, 2) if rows and isinstance(layer, ChannelNorm) else layer(x)
        return tokens, x

    def places(self) -> Tensor:
        """(dim,h,w) of the encoder's cells."""
        return self.pe_layer.grid(self.grid)


class Attention(nn.Module):
    """Attention of one set of tokens to another, inside in fewer dimensions."""

    def __init__(self, dim: int, num_heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner, self.num_heads = dim // downsample, num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B,n,dim), (B,m,dim), (B,m,dim) -> (B,n,dim)."""
        heads = (proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
                 for proj, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v)))
        return self.out_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class _MLP(nn.Module):
    """Two linear layers under SAM's names."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayBlock(nn.Module):
    """Tokens attend to each other and to the image, then the image to them."""

    def __init__(self, dim: int, num_heads: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.self_attn = Attention(dim, num_heads)
        self.cross_attn_token_to_image = Attention(dim, num_heads, 2)
        self.cross_attn_image_to_token = Attention(dim, num_heads, 2)
        self.mlp = _MLP(dim, hidden)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(dim) for _ in range(4))
        self.first = first  # its tokens are their own places yet, and are replaced

    def forward(self, tokens: Tensor, image: Tensor, token_places: Tensor, image_places: Tensor
                ) -> tuple[Tensor, Tensor]:
        """(B,n,dim), (B,N,dim) and the places of both -> the two after the block."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_places
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        keys = image + image_places
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_places, keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(keys, tokens + token_places, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """SAM: two blocks, and a last look of the tokens at the image."""

    def __init__(self, dim: int, num_heads: int = 8, hidden: int = 2048, depth: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(dim, num_heads, hidden, n == 0) for n in range(depth))
        self.final_attn_token_to_image = Attention(dim, num_heads, 2)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(B,n,dim), (B,N,dim) and the image's places -> both, attended."""
        own = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, own, places)
        found = self.final_attn_token_to_image(tokens + own, image + places, image)
        return self.norm_final_attn(tokens + found), image


class _Head(nn.Module):
    """Linear layers with ReLU between."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, out)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MaskDecoder(nn.Module):
    """A mask and how good it is, of each set of prompts.

    Args:
        dim: of tokens and of the image's embedding. SAM: 256.
        num_heads: of the transformer. SAM: 8.
        hidden: of its MLPs. SAM: 2048.
    """

    def __init__(self, dim: int = 256, num_heads: int = 8, hidden: int = 2048) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(dim, num_heads, hidden)
        self.iou_token, self.mask_tokens = nn.Embedding(1, dim), nn.Embedding(4, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, 2), ChannelNorm(dim // 4), nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2), nn.GELU())
        self.output_hypernetworks_mlps = nn.ModuleList(_Head(dim, dim // 8) for _ in range(4))
        self.iou_prediction_head = _Head(dim, 4)

    def forward(self, embedding: Tensor, places: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The first of SAM's masks, which it was trained to give for unambiguous prompts.

        Args:
            embedding: (dim,h,w) of the image.
            places: (dim,h,w) of its cells.
            tokens: (n,k,dim) of prompts.
            mask: (1,dim,h,w) of the mask prompt.

        Returns:
            (n,4h,4w) logits and (n,) predicted IoU.
        """
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(len(tokens), -1, -1)
        image = (embedding[None] + mask).expand(len(tokens), -1, -1, -1)
        found, image = self.transformer(torch.cat([own, tokens], 1), image.flatten(2).transpose(1, 2),
                                        places.flatten(1).T[None])
        image = self.output_upscaling(image.transpose(1, 2).unflatten(2, embedding.shape[-2:]))
        weights = self.output_hypernetworks_mlps[0](found[:, 1])
        return torch.einsum('nc,nchw->nhw', weights, image), self.iou_prediction_head(found[:, 0])[:, 0]
