"""ExCEL's visual side: maps of patches against texts from a calibrated tower.

Static calibration (SVC) is ``DenseViT(attention='excel', stream='parallel', last=5, positions='bilinear')``: beside the
ordinary stream a second one takes only A V of each of the last blocks, A the mean of q-q, k-k and v-v attention summed
over the heads. Learnable calibration (LVC) hands the decoder's features to the same attention as ``external``.

Published with a batch in view: the mean that LVC and :func:`relation_map` subtract is taken over the batch. Here it is
each image's (``per_image=False`` for the published one), so that a result does not depend on an image's neighbours.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.models.clip import DenseViT
from mmseg_weak.models.losses.common import full_precision

__all__ = ['calibrated_tokens', 'patch_text_maps', 'recent_attention', 'relation_map', 'surgery_maps']


def patch_text_maps(features: Tensor, texts: Tensor, scale: float = 2.0) -> Tensor:
    """CLIP Surgery's similarity: what all texts have in common at a token is taken away.

    p = softmax over texts of ``scale`` F_cls t; w_t = p_t / mean p. With G_it = w_t F_i * t (by channel) and R_i its
    mean over texts, s_it = sum over channels of (G_it - R_i) = w_t F_i t - F_i (mean_u w_u u), which never holds
    G (tokens x texts x channels). Then min-max over the tokens, the class token among them.

    Args:
        features: (B,1+n,d), class token first, normalised over the TOKENS (sic, see :func:`surgery_maps`).
        texts: (m,d) unit vectors.
        scale: of the class token's scores.

    Returns:
        (B,1+n,m) in [0, 1].
    """
    similarity = features @ texts.T
    probs = (scale * similarity[:, :1]).softmax(-1)
    weights = probs / probs.mean(-1, keepdim=True)  # (B,1,m)
    shared = features @ (weights @ texts).transpose(1, 2) / len(texts)  # (B,1+n,1)
    maps = weights * similarity - shared
    low, high = maps.amin(1, keepdim=True), maps.amax(1, keepdim=True)
    return (maps - low) / (high - low)


def surgery_maps(features: Tensor, texts: Tensor, num_classes: int, grid: tuple[int, int], over: str = 'tokens'
                 ) -> Tensor:
    """Class maps of patches.

    Args:
        features: (B,1+hw,d) of :func:`calibrated_tokens`.
        texts: (m,d) unit vectors, classes first.
        num_classes: how many are.
        grid: (h,w).
        over: what the features are normalised over. 'tokens' is what the repository does and its results rest on;
            'channels' is the usual cosine.

    Returns:
        (B,num_classes,h,w) in [0, 1], without gradient.
    """
    with torch.autocast(features.device.type, enabled=False):  # differences of nearly equal sums
        features = F.normalize(features.detach().float(), dim=1 if over == 'tokens' else 2)
        maps = patch_text_maps(features, texts.float())[:, 1:, :num_classes]
    return maps.transpose(1, 2).unflatten(2, grid)


@torch.no_grad()
def calibrated_tokens(tower: DenseViT, images: Tensor, decoder: Tensor | None = None, last: int | None = None
                      ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """One forward of the calibrated tower.

    Args:
        tower: as in the module's docstring.
        images: (B,3,H,W), normalised.
        decoder: (B,c,h,w) features of the decoder for LVC; None: SVC alone.
        last: blocks whose attention is wanted; None: all.

    Returns:
        features (B,1+hw,d) in the joint space, class token of the ordinary stream and calibrated patches; ordinary
        outputs of all blocks (B,D,h,w); ordinary attention of the last blocks (B,heads,1+hw,1+hw).
    """
    grid, every = tower.grid(images), tuple(range(tower.depth))
    seen = every if last is None else every[max(tower.depth - last, 0):]
    external = None if decoder is None else decoder.detach()
    changed, _, x, layers, attention = tower.tokens(tower.embed(images), grid, every, seen, external)
    features = tower.project(torch.cat([x[:, :1], changed[:, 1:]], 1)).float()
    maps = [layers[i][:, 1:].transpose(1, 2).unflatten(2, grid).float() for i in every]
    return features, maps, [attention[i] for i in seen]


def recent_attention(attention: Sequence[Tensor], last: int = 6, summed: int = 0) -> Tensor:
    """Attention of patches to patches in the last blocks.

    Args:
        attention: (B,heads,1+n,1+n) of each block.
        last: blocks. ExCEL: 6.
        summed: the last blocks whose heads are summed, not averaged. The repository hands out sums for its 5 calibrated
            blocks and averages them with the means of the others; that is 5, and all alike is 0.

    Returns:
        (B,last,n,n) float32.
    """
    picked = [a[:, :, 1:, 1:].float() for a in attention[-last:]]
    return torch.stack([a.sum(1) if len(picked) - i <= summed else a.mean(1) for i, a in enumerate(picked)], 1)


def relation_map(features: Tensor, scale: float = 3.0, per_image: bool = True) -> Tensor:
    """P = sigmoid(scale (S - mean S)), S the cosines of all pairs of places: (B,c,h,w) -> (B,hw,hw)."""
    with torch.autocast(features.device.type, enabled=False):
        x = F.normalize(full_precision(features).flatten(2), dim=1)
        similarity = x.transpose(1, 2) @ x
        mean = similarity.mean((1, 2), keepdim=True) if per_image else similarity.mean()
        return (scale * (similarity - mean)).sigmoid()
