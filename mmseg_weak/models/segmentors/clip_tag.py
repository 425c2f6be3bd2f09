"""The frame of the methods that learn from image tags with a frozen CLIP: its tower and the texts of the classes."""
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.clip import BACKGROUNDS, DenseViT, named_classes
from mmseg_weak.models.clip.tag_names import tag_background, tag_texts

from .tag import TagSegmentor

__all__ = ['CLIPTagSegmentor']


class CLIPTagSegmentor(TagSegmentor):
    """Base of CLIP-ES, WeCLIP and ExCEL. A method implements :meth:`class_maps`.

    Maps are made at one scale, and by their classes: a class competes with those that the image shows and with words
    of the background.

    Args:
        clip: config of an ``OpenCLIP`` with a ViT, ``positions='bilinear'`` and ``templates='origami'``.
        classes: one text a foreground class, in order, or a list of :func:`.benchmark_names.class_lists`
            ('voc12_tags', 'coco14_tags', 'toyworld'). Names that CLIP-ES calls otherwise are replaced.
        num_classes: all classes, the background among them.
        background: words that compete with the classes, or a key of :data:`.benchmark_names.BACKGROUNDS`; None:
            CLIP-ES's, without those that a class is called by.
        seed: of :class:`.TagSegmentor`; ``background`` and ``thr`` are 'power' and 1 by default, ``multiple`` is the
            tower's patch, and scales have no effect.
        **kwargs: of :class:`.TagSegmentor`.

    Raises:
        ConfigError: names and ``num_classes`` do not agree, or the tower is no ViT.
    """

    def __init__(self, clip: dict, classes: str | Sequence[str], num_classes: int,
                 background: str | Sequence[str] | None = None, seed: dict | None = None, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, seed=dict(dict(background='power', thr=1.0), **(seed or {})),
                         **kwargs)
        if isinstance(classes, str):
            classes = named_classes(classes).names
        if len(classes) != self.num_tags:
            raise ConfigError(f'model.classes names {len(classes)} classes and model.num_classes={num_classes} leaves '
                              f'{self.num_tags} beside the background; name every foreground class.')
        self.clip = MODELS.build(clip)
        if not isinstance(self.clip.vision, DenseViT):
            raise ConfigError(f'model.clip.name is {self.clip.name!r}, whose image tower is no ViT; '
                              f'{type(self).__name__} needs its attention, as of ViT-B-16-quickgelu.')
        if isinstance(background, str):
            if background not in BACKGROUNDS:
                raise ConfigError(f'model.background={background!r} is no list of background words. '
                                  f'{near(background, BACKGROUNDS)} Known: {", ".join(BACKGROUNDS)}; or give the '
                                  'words.'.replace('  ', ' '))
            background = BACKGROUNDS[background]
        texts = tag_texts(classes)
        words = tag_background(texts) if background is None else tuple(background)
        self.names, self.num_words = (*texts, *words), len(words)
        self.seed['multiple'] = math.lcm(self.seed['multiple'], self.clip.vision.patch_size)
        self._texts: Tensor | None = None

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._texts = None

    def encode_texts(self) -> Tensor:
        """(K+n,d) unit vectors of classes and background words."""
        return self.clip.encode_names(self.names)

    @property
    def texts(self) -> Tensor:
        """:meth:`encode_texts`, computed once."""
        if self._texts is None or self._texts.device != self.clip.logit_scale.device:
            self._texts = self.encode_texts()
        return self._texts

    def everything(self, images: Tensor) -> Tensor:
        """(B,K) bool, all classes."""
        return torch.ones(len(images), self.num_tags, dtype=torch.bool, device=images.device)

    def fitted(self, images: Tensor) -> Tensor:
        """Images whose sides are multiples of the patch: resized (bicubic) to the next ones above."""
        patch = self.clip.vision.patch_size
        size = tuple(math.ceil(n / patch) * patch for n in images.shape[-2:])
        if size == tuple(images.shape[-2:]):
            return images
        return F.interpolate(images, size, mode='bicubic', align_corners=False)

    def seen(self, images: Tensor) -> Tensor:
        """Images as prediction sees them, whole patches: (B,3,H,W) -> (B,3,h,w)."""
        return self.fitted(images)

    def decode_scales(self, images: Tensor) -> Tensor:
        """The decoder's logits over the scales of :meth:`seen`, at the images' size."""
        logits = super().decode_scales(self.seen(images))
        return F.interpolate(logits, images.shape[-2:], mode='bilinear', align_corners=False)

    def seed_scores(self, images: Tensor, present: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """:meth:`class_maps` of the present classes at image size (B,K,H,W), in [0, 1]."""
        return F.interpolate(self.class_maps(images, present), size or tuple(images.shape[-2:]), mode='bilinear',
                             align_corners=False)

    def tag_logits(self, images: Tensor) -> Tensor:
        """Log-odds of each class among all classes and background words, by the image's feature: (B,3,H,W) -> (B,K)."""
        probs = (self.clip.scale * self.clip.encode_image(images) @ self.texts.T).softmax(1)
        return probs[:, :self.num_tags].logit(eps=1e-6)
