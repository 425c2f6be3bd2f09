"""Class maps of a frozen CLIP by softmax Grad-CAM, and their spread along its attention (CLIP-ES, WeCLIP).

Lin et al., CLIP is Also an Efficient Segmenter, CVPR 2023, arXiv 2212.09506; linyq2117/CLIP-ES @ 3893f81 (MIT),
clip/model.py, generate_cams_voc12.py, pytorch_grad_cam.

Z (B,1+hw,D) are the tokens before the last block, t_c the unit text of a class or background word:

    y = LN1(Z);  X = last block from y;  f = mean over patches of LNpost(X) proj;  p = softmax_c(s cos(f, t_c))
    M_c = minmax ReLU( sum_k mean(dp_c / dy_k) y_k )

Only the last block is run with a gradient, and once for every class of the image with the most.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.clip import DenseViT, Score
from mmseg_weak.models.clip.blocks import attended, fed, split_heads

from .class_attention import attention_transition, refine_by_attention
from .grad_cam import grad_cam
from .seeds import normalize_cam
from .token_maps import tokens_to_map

__all__ = ['competing', 'mean_attention', 'refined_maps', 'softmax_cams', 'tokens_and_attention']


def competing(present: Tensor, num_background: int) -> Tensor:
    """Which texts an image is compared with: its own classes and all background words, (B,K) -> (B,K+n) bool."""
    return F.pad(present.bool(), (0, num_background), value=True)


@torch.no_grad()
def tokens_and_attention(tower: DenseViT, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """All blocks but the last.

    Args:
        tower: of CLIP.
        images: (B,3,H,W), normalised.

    Returns:
        outputs of the blocks (B,1+hw,D), and their attention averaged over the heads (B,1+hw,1+hw).
    """
    grid, x = tower.grid(images), tower.embed(images)
    tokens, attention = [], []
    for layer in range(tower.depth - 1):
        x, heads = tower.block(x, layer, grid)
        tokens.append(x)
        attention.append(Score(heads.q, heads.k).weights().mean(1))
    return tokens, attention


def softmax_cams(tower: DenseViT, tokens: Tensor, grid: tuple[int, int], texts: Tensor, scale: float,
                 wanted: Tensor, used: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax Grad-CAM of the last block.

    Args:
        tower: of CLIP.
        tokens: (B,1+hw,D) before its last block.
        grid: rows and columns of the patches.
        texts: (n,d) unit vectors, of classes and of background words.
        scale: exp(logit_scale), 100 in released weights.
        wanted: (B,n) bool, whose maps are wanted; the others come back 0.
        used: (B,n) bool, which texts compete, see :func:`competing`. None: all.

    Returns:
        maps (B,n,h,w) in [0, 1]; probabilities (B,n), 0 for texts that do not compete; the block's attention averaged
        over the heads (B,1+hw,1+hw). None has a gradient.
    """
    block, visual = tower.blocks[-1], tower.visual
    tokens = tokens.detach().to(block.ln_1.weight.dtype)
    with torch.enable_grad(), torch.autocast(tokens.device.type, enabled=False):  # for the gradient's sake
        y = block.ln_1(tokens).detach().requires_grad_()
        q, k, v = split_heads(y, block.attn.in_proj_weight, block.attn.in_proj_bias, block.attn.num_heads)
        score = Score(q, k)
        x = tokens + attended(block, score.apply(v))
        x = x + fed(block, x)
        pooled = visual.ln_post(x[:, 1:]).mean(1) @ visual.proj
        logits = scale * F.normalize(pooled.float(), dim=-1) @ texts.T.float()
        if used is not None:
            logits = logits.masked_fill(~used, -torch.inf)
    maps = grad_cam(logits, y, wanted, softmax=True, reshape=lambda t: tokens_to_map(t, grid))
    with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
        attention = score.weights().mean(1)
    return normalize_cam(maps, 'minmax', eps=1e-7), logits.detach().softmax(1), attention


def mean_attention(attention: list[Tensor], last: int = 8) -> Tensor:
    """Mean over the last blocks of the patches' attention to patches.

    Args:
        attention: (B,1+n,1+n) of each block, or (B,heads,1+n,1+n), whose heads are averaged.
        last: blocks. CLIP-ES: 8.

    Returns:
        (B,n,n) float32.
    """
    picked = [(a.mean(1) if a.dim() == 4 else a)[:, 1:, 1:].float() for a in attention[-last:]]
    return sum(picked) / len(picked)


def refined_maps(maps: Tensor, affinity: Tensor, present: Tensor, share: float = 0.4) -> Tensor:
    """CAA, then each map to [0, 1] again: (B,K,h,w), (B,hw,hw), (B,K) -> (B,K,h,w)."""
    with torch.autocast(maps.device.type, enabled=False):
        refined = refine_by_attention(maps, attention_transition(affinity), share, present)
    return normalize_cam(refined, 'minmax', 1e-7, present)
