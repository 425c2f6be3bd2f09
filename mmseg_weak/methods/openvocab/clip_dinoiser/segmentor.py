"""CLIP-DINOiser as a segmentor: inference, and the training of its head."""
import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import ClassNames, DenseViT, KeptFeatures, max_over_names
from mmseg_weak.models.segmentors import OpenVocabSegmentor
from mmseg_weak.models.utils import LateNetwork

from .equations import clean_background, cosine_affinity, cut_affinity, head_weights, patch_probs, student_features
from .teachers import attention_features

__all__ = ['CLIPDINOiser']


class _PatchProbs(KeptFeatures):
    """Pooled features, their background logits behind them; probabilities of patches, not cosines, are enlarged."""

    def __init__(self, *args, dim: int, delta: float) -> None:
        super().__init__(*args)
        self.dim, self.delta = dim, delta
        self.clean, self.scale = False, 100.0

    def seen_as(self, clean: bool, scale: float) -> '_PatchProbs':
        """The same features with another treatment."""
        other = copy.copy(self)
        other.clean, other.scale = clean, scale
        return other

    def low(self, texts: Tensor, part: slice = slice(None)) -> Tensor:
        """Probabilities of names at patches: (n,names,h,w), of some windows."""
        features = self.features[part]
        probs = patch_probs(features[:, :self.dim], texts.to(features), scale=self.scale)
        return clean_background(probs, features[:, self.dim:], self.delta) if self.clean else probs

    def probs(self, cosines: Tensor, owner: Sequence[int], scale: float) -> Tensor:
        """A class has the best of its names."""
        return max_over_names(cosines, owner, 0)


@MODELS.register_module()
class CLIPDINOiser(OpenVocabSegmentor):
    """CLIP-DINOiser: see the package.

    Without ``dino`` it is tested, with it trained. Teachers are built when training starts; checkpoints hold neither
    them nor a CLIP whose weights the config names. The authors' checkpoint is read as it is, by ``head.checkpoint`` or
    as the checkpoint of a test.

    Args:
        clip: config of :class:`.OpenCLIP`, of a ViT. Paper: ViT-B-16 with laion2b_s34b_b88k, ``positions='size'``. Its
            attention does not matter.
        head: settings of :class:`.CLIPDINOiserHead`; ``in_channels`` is the tower's.
        layer: block that the head reads, from the end if negative. Paper: -3.
        clean: see :func:`.clean_background`; for names with a background, class 0. Paper: on VOC21 and COCO-Object.
        delta: see there. Paper: 0.99.
        dino: config of a ``TimmViT`` with the patches of CLIP. Paper: DINO ViT-B/16.
        dino_features: what of its last attention, 'q', 'k' or 'v'. Paper: 'v'.
        found: config of :class:`.FOUND`; a head without ``background`` needs none.
        view: config of a photometric view of training images, RGB in [0, 1].
        kwargs: of :class:`.OpenVocabSegmentor`.

    Raises:
        ConfigError: a ResNet, or settings that contradict each other.
    """

    def __init__(self, clip: dict, head: dict | None = None, layer: int = -3, clean: bool = False, delta: float = 0.99,
                 dino: dict | None = None, dino_features: str = 'v', found: dict | None = None,
                 view: dict | None = None, **kwargs) -> None:
        super().__init__(clip=clip, **kwargs)
        tower = self.clip.vision
        if not isinstance(tower, DenseViT):
            raise ConfigError(f'{self.clip.name} is a ResNet; CLIP-DINOiser reads the tokens of a ViT: take one.')
        if self.refiner is not None:
            raise ConfigError('model.refiner refines cosines, and CLIP-DINOiser averages probabilities; set it to '
                              'None.')
        if not 0 <= layer % tower.depth < tower.depth - 1 or not -tower.depth <= layer < tower.depth:
            raise ConfigError(f'model.layer={layer}; name a block before the last one of {tower.depth}.')
        if dino_features not in ('q', 'k', 'v'):
            raise ConfigError(f"model.dino_features={dino_features!r}; it is 'q', 'k' or 'v'.")
        self.head = MODELS.build({'type': 'CLIPDINOiserHead', **(head or {}), 'in_channels': tower.width})
        background = self.head.bkg_decoder is not None
        if clean and self.names.classes[0] != 'background':
            raise ConfigError('model.clean=True puts unsure places into the background, and model.names has none: give '
                              'model.background, or leave it off.')
        if clean and not background:
            raise ConfigError('model.clean=True needs the convolution that tells objects from background; set '
                              'model.head.background=True.')
        if (dino is None) != (found is None) and (background or dino is None):
            raise ConfigError(f'model.{"found" if found is None else "dino"} is missing: CLIP-DINOiser learns from '
                              'DINO and FOUND; with model.head.background=False from DINO alone.')
        self.clean, self.delta, self.layer = clean and self.protocol == 'paper', delta, layer
        self.dino = LateNetwork(dict(dino)) if dino else None
        self.found = LateNetwork(dict(found)) if found and background else None
        self.dino_features = dino_features
        self.view = MODELS.build(view) if view else None
        if self.dino is None:
            self.head.requires_grad_(False)
        if clip.get('pretrained'):
            self.left_out = ('clip.', )

    # ---- inference --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, windows: Tensor) -> Tensor:
        """(n,3,c,c) -> (n,d+1,h,w): pooled unit features, then background logits where the head has them."""
        pooled, background = self.head.pool(*student_features(self.clip.vision, windows, self.layer))
        pooled = F.normalize(pooled, dim=1)
        return pooled if background is None else torch.cat([pooled, background], 1)

    def kept_kind(self, *args) -> KeptFeatures:
        """See :class:`.OpenVocabSegmentor`."""
        return _PatchProbs(*args, dim=self.clip.vision.embed_dim, delta=self.delta)

    def _seen_as(self, kept: _PatchProbs, names: ClassNames | None, scale: float | None = None) -> _PatchProbs:
        clean = self.clean and (names or self.names).classes[0] == 'background'
        return kept.seen_as(clean, self.test_cfg['scale'] if scale is None else scale)

    def label(self, kept: _PatchProbs, names: ClassNames | None = None, image: Tensor | None = None,
              **settings) -> tuple[Tensor, Tensor]:
        """See :class:`.OpenVocabSegmentor`; cleaned where the names have a background."""
        return super().label(self._seen_as(kept, names, settings.get('scale')), names, image, **settings)

    def class_scores(self, kept: _PatchProbs, names: ClassNames | None = None) -> Tensor:
        """See :class:`.OpenVocabSegmentor`."""
        return super().class_scores(self._seen_as(kept, names), names)

    # ---- training ---------------------------------------------------------------------------------------------------

    def init_weights(self) -> None:
        """Build the teachers too, so that a missing file is told before the first iteration."""
        super().init_weights()
        for network in (self.dino, self.found):
            if network is not None:
                network.build()

    @torch.no_grad()
    def targets(self, images: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """What the teachers say of images normalised for CLIP: affinity (B,N,N) after the cut, objects (B,1,h',w').

        Raises:
            ConfigError: DINO's patches are others than CLIP's.
        """
        images = self.for_imagenet(images)
        values = attention_features(self.dino.on(images.device), images, self.dino_features)
        if tuple(values.shape[-2:]) != tuple(grid):
            raise ConfigError(f'model.dino sees {"x".join(map(str, values.shape[-2:]))} patches where CLIP sees '
                              f'{"x".join(map(str, grid))}; take a ViT with patches of {self.patch_size} pixels.')
        objects = None if self.found is None else self.found.on(images.device)(images)
        return cut_affinity(cosine_affinity(values), self.head.gamma), objects

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Both terms of the package on images (B,3,H,W), RGB from 0 to 255.

        Raises:
            ConfigError: there is no teacher.
        """
        if self.dino is None:
            raise ConfigError('CLIPDINOiser learns from DINO and FOUND, and this config has neither: train with '
                              'configs/clip_dinoiser/clip_dinoiser_vit-b16_1xb16-6.3k_imagenet-1000.py.')
        images = inputs.float()
        if self.view is not None:
            images = self.view(images / 255) * 255
        images = self.for_clip(images)
        features, _ = student_features(self.clip.vision, images, self.layer, dense=False)
        return self.head.loss(features, *self.targets(images, tuple(features.shape[-2:])))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Take the authors' checkpoint as it is."""
        if isinstance(state_dict.get('model_state_dict'), dict):
            found = head_weights(state_dict)
            for key in list(state_dict):
                del state_dict[key]
            state_dict.update({f'{prefix}head.{key}': value for key, value in found.items()})
            state_dict.update({f'{prefix}{key}': value for key, value in self.state_dict().items()
                               if not key.startswith('head.')})
        super()._load_from_state_dict(state_dict, prefix, *args)
