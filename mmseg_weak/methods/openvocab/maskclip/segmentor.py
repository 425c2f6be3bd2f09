"""MaskCLIP with its refinement as a segmentor."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import DenseViT, KeptFeatures, OpenCLIP, max_over_names
from mmseg_weak.models.segmentors import OpenVocabSegmentor

from .refine import refine_scores

__all__ = ['MaskCLIPSegmentor', 'dense_and_keys']


def dense_and_keys(clip: OpenCLIP, images: Tensor, keys: bool = True) -> tuple[Tensor, Tensor | None]:
    """Patches (B,d,h,w) of normalised images, not normalised; keys (B,hw,D) of the last block where they are wanted."""
    if not keys:
        return clip(images, whole=False).dense, None
    tower = clip.vision
    out, last = clip(images, layers=(tower.depth - 2, ), whole=False), tower.depth - 1
    k = tower.heads(out.layers[last - 1], last, tuple(out.dense.shape[-2:])).k[:, :, 1:]
    return out.dense, k.transpose(1, 2).flatten(2).float()


class _KeyedFeatures(KeptFeatures):
    """Unit features with the keys of their patches behind them; their scores are refined window by window."""

    def __init__(self, *args, dim: int, refine: dict) -> None:
        super().__init__(*args)
        self.dim, self.refine = dim, refine

    def low(self, texts: Tensor, part: slice = slice(None)) -> Tensor:
        """Refined scores of patches: (n,names,h,w), of some windows."""
        features, keys = self.features[part, :self.dim], self.features[part, self.dim:]
        scores = torch.einsum('md,ndhw->nmhw', texts.to(features), features)
        return refine_scores(scores, keys.flatten(2).transpose(1, 2), **self.refine)

    def probs(self, cosines: Tensor, owner: Sequence[int], scale: float) -> Tensor:
        """After key smoothing scores are no probabilities any more; shares of the positive ones are given."""
        if not self.refine['ks_thr']:
            return super().probs(cosines, owner, scale)
        positive = cosines.clamp_min(0)
        return max_over_names(positive / positive.sum(0, keepdim=True).clamp_min(1e-12), owner, 0)


@MODELS.register_module()
class MaskCLIPSegmentor(OpenVocabSegmentor):
    """MaskCLIP with its refinement; without it an ``OpenVocabSegmentor`` does.

    Args:
        pd_thr: see :func:`denoise_prompts`; 0: off. The official configs that refine: 0.5.
        ks_thr: see :func:`smooth_by_keys`; 0: off. The official configs that refine: 1.
        keys_as_published: keys are divided by their norm over positions.
        kwargs: of :class:`.OpenVocabSegmentor`.

    Raises:
        ConfigError: a tower without keys (a ResNet), or a refiner of cosines beside this one.
    """

    def __init__(self, pd_thr: float = 0.5, ks_thr: float = 1.0, keys_as_published: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.clip.vision, DenseViT):
            raise ConfigError(f'{self.clip.name} is a ResNet, whose patches have no keys to smooth by; take a ViT.')
        if self.refiner is not None:
            raise ConfigError('model.refiner refines cosines of some names at a time, MaskCLIP those of all; set it to '
                              'None.')
        self.refine = dict(pd_thr=pd_thr, ks_thr=ks_thr, scale=self.test_cfg['scale'], as_published=keys_as_published)

    def encode(self, windows: Tensor) -> Tensor:
        """(n,3,c,c) -> (n,d+D,h,w): unit features, then the last block's keys."""
        dense, keys = dense_and_keys(self.clip, windows)
        return torch.cat([F.normalize(dense, dim=1), keys.transpose(1, 2).unflatten(2, dense.shape[-2:])], 1)

    def kept_kind(self, *args) -> KeptFeatures:
        """See :class:`.OpenVocabSegmentor`."""
        return _KeyedFeatures(*args, dim=self.clip.vision.embed_dim, refine=self.refine)
