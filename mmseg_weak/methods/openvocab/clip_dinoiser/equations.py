"""CLIP-DINOiser's equations and the head that learns."""
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.errors import CheckpointError, MissingFileError
from mmseg_weak.models.clip import DenseViT, Score, build_attention, class_probs
from mmseg_weak.models.clip.blocks import attended, block_heads, changed_block
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.utils import resolve_weights

__all__ = ['CLIPDINOiserHead', 'clean_background', 'cosine_affinity', 'cut_affinity', 'dinoiser_losses', 'guided_pool',
           'head_weights', 'patch_probs', 'student_features', 'value_tokens']


def cosine_affinity(features: Tensor) -> Tensor:
    """Cosines of all pairs of places: (B,C,h,w) or (B,C,N) -> (B,N,N)."""
    x = F.normalize(full_precision(features).flatten(2), dim=1)
    return x.transpose(1, 2) @ x


def cut_affinity(affinity: Tensor, gamma: float = 0.2) -> Tensor:
    """Affinities below ``gamma`` become 0; a ``gamma`` of 0 leaves all as they are (sic)."""
    return affinity.masked_fill(affinity < gamma, 0) if gamma else affinity


def guided_pool(features: Tensor, affinity: Tensor, size: tuple[int, int], eps: float = 1e-6) -> Tensor:
    """Mean of features over the places that belong to one.

    Args:
        features: (B,d,h,w), of any length; resized (bilinear) to ``size`` first.
        affinity: (B,N,N), row n the weights for place n.
        size: (h',w') of the affinity, N = h'w'.
        eps: added to the sum of the weights.

    Returns:
        (B,d,h',w').
    """
    if tuple(features.shape[-2:]) != tuple(size):
        features = F.interpolate(features, size, mode='bilinear', align_corners=False)
    pooled = affinity @ features.flatten(2).transpose(1, 2) / (affinity.sum(2, keepdim=True) + eps)
    return pooled.transpose(1, 2).unflatten(2, size)


def patch_probs(features: Tensor, texts: Tensor, owner: list[int] | None = None, scale: float = 100.0) -> Tensor:
    """Class probabilities of patches; they, not logits, are resized and averaged over windows.

    Args:
        features: (B,d,h,w), of any length.
        texts: (n,d) unit vectors of names.
        owner: class of each name; None: names are classes.
        scale: of the cosines.

    Returns:
        (B,K,h,w) float32.
    """
    cosines = torch.einsum('nd,bdhw->bnhw', texts, F.normalize(features, dim=1))
    return class_probs(cosines, range(len(texts)) if owner is None else owner, scale)


def clean_background(probs: Tensor, background_logits: Tensor, delta: float = 0.99, background: int = 0) -> Tensor:
    """The background's probability becomes 1 where no class is sure and no object is seen.

    Args:
        probs: (B,K,h,w).
        background_logits: (B,1,h,w), above 0 where an object is.
        delta: a class is sure from this probability on. Paper: 0.99, on VOC21 and COCO-Object alone.
        background: its class.

    Returns:
        (B,K,h,w); other classes keep theirs.
    """
    unsure = (probs.amax(1) < delta) & (background_logits[:, 0].sigmoid() <= 0.5)
    out = probs.clone()
    out[:, background] = out[:, background].masked_fill(unsure, 1)
    return out


def value_tokens(block: nn.Module, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """The last block with each token's own value for the attention's mix: (B,1+N,D) -> (B,1+N,D)."""
    return changed_block(block, x, block_heads(block, x, grid), build_attention('value'), True, True)[0]


def _map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    return tokens[:, 1:].float().transpose(1, 2).unflatten(2, grid)


@torch.no_grad()
def student_features(tower: DenseViT, images: Tensor, layer: int = -3, dense: bool = True
                     ) -> tuple[Tensor, Tensor | None]:
    """What the head reads and what it pools, in one forward of CLIP.

    Args:
        tower: of CLIP; the paper resizes its positions by the rule 'size'.
        images: (B,3,H,W), normalised.
        layer: block of X, before the last one.
        dense: whether F is wanted; without it the blocks behind ``layer`` are saved.

    Returns:
        X (B,D,h,w) and F (B,d,h,w) or None, float32.
    """
    grid, x, inner = tower.grid(images), tower.embed(images), None
    for number, block in enumerate(tower.blocks[:-1]):
        if number == layer % tower.depth:
            heads = block_heads(block, x, grid)
            x = x + attended(block, Score(heads.q, heads.k).apply(heads.v))
            inner = block.ln_2(x)
            if not dense:
                return _map(inner, grid), None
            x = x + block.ls_2(block.mlp(inner))
        else:
            x, _ = tower.block(x, number, grid)
    return _map(inner, grid), _map(tower.project(value_tokens(tower.blocks[-1], x, grid)), grid)


def dinoiser_losses(affinity: Tensor, background_logits: Tensor | None, teacher_affinity: Tensor,
                    foreground: Tensor | None, foreground_thr: float = 0.5) -> dict[str, Tensor]:
    """Both terms, means of binary cross-entropy; a cosine is itself the logit of its pair, and negative ones are 0.

    Args:
        affinity: (B,N,N), the student's, before the cut.
        background_logits: (B,1,h,w); None: no second term.
        teacher_affinity: (B,N,N), after the cut.
        foreground: (B,1,h',w') probabilities of FOUND; resized (bilinear) to (h,w), then cut at ``foreground_thr``.
    """
    together = (teacher_affinity > 0).to(affinity)
    loss_corr = F.binary_cross_entropy_with_logits(affinity.clamp(min=0), together)
    if background_logits is None:
        return dict(loss_corr=loss_corr)
    target = F.interpolate(full_precision(foreground), background_logits.shape[-2:], mode='bilinear',
                           align_corners=False) > foreground_thr
    logits = full_precision(background_logits)
    return dict(loss_corr=loss_corr,
                loss_bkg=F.binary_cross_entropy_with_logits(logits, target.to(logits)))


def head_weights(content: dict) -> dict[str, Tensor]:
    """The four weights of a head from any checkpoint: the authors' (``model_state_dict``), ours, or a plain dict.

    >>> sorted(head_weights(dict(epoch=99, model_state_dict={'obj_proj.bias': torch.zeros(1)})))
    ['obj_proj.bias']
    """
    state = content.get('model_state_dict', content.get('state_dict', content))
    found = {}
    for key, value in state.items():
        name = '.'.join(key.split('.')[-2:])
        if name.startswith(('obj_proj.', 'bkg_decoder.')):
            found[name] = value
    return found


@MODELS.register_module()
class CLIPDINOiserHead(BaseModule):
    """The two convolutions.

    Args:
        in_channels: D, of CLIP's tokens.
        channels: of Z. Paper: 256.
        kernel_size: of the first convolution. Paper: 3.
        gamma: affinities below are 0. Paper: 0.2.
        background: whether there is the second one, which tells objects from background.
        checkpoint: file of both, the authors' (``last.pt``) or of a training here; None: random. Nothing is downloaded.

    Raises:
        MissingFileError, CheckpointError: the file is not there, or holds another head.
    """

    def __init__(self, in_channels: int = 768, channels: int = 256, kernel_size: int = 3, gamma: float = 0.2,
                 background: bool = True, checkpoint: str | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.obj_proj = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2,
                                  padding_mode='replicate')
        self.bkg_decoder = nn.Conv2d(in_channels, 1, 1) if background else None
        self.gamma = gamma
        if checkpoint:
            self.load(checkpoint)

    def load(self, path: str) -> None:
        """Read the weights of a file, see :func:`head_weights`."""
        file = Path(resolve_weights(path))
        if not file.is_file():
            raise MissingFileError(f'model.head.checkpoint names {path}, which does not exist: give the authors\' '
                                   'last.pt or a checkpoint of your own training; None takes random weights.')
        state = head_weights(load_checkpoint_file(file, 'cpu'))
        own = self.state_dict()
        wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
        if wrong:
            found = f'of shape {tuple(state[wrong[0]].shape)}' if wrong[0] in state else 'missing'
            raise CheckpointError(f'{path} holds no head for this CLIP: {wrong[0]} is {found}, and '
                                  f'{tuple(own[wrong[0]].shape)} is wanted; give the head that was trained on it.')
        self.load_state_dict({key: state[key] for key in own})

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """X (B,D,h,w) -> A (B,N,N) before the cut, and background logits (B,1,h,w) where there are any."""
        background = None if self.bkg_decoder is None else self.bkg_decoder(F.normalize(features, dim=1))
        return cosine_affinity(self.obj_proj(features)), background

    def pool(self, features: Tensor, dense: Tensor) -> tuple[Tensor, Tensor | None]:
        """X (B,D,h,w), F (B,d,h,w) -> F' (B,d,h,w) and background logits (B,1,h,w) where there are any."""
        affinity, background = self(features)
        return guided_pool(dense, cut_affinity(affinity, self.gamma), tuple(features.shape[-2:])), background

    def loss(self, features: Tensor, teacher_affinity: Tensor, foreground: Tensor | None) -> dict[str, Tensor]:
        """See :func:`dinoiser_losses`."""
        return dinoiser_losses(*self(features), teacher_affinity, foreground)
