"""CLIP-ES: seeds from image tags by a frozen CLIP, without training.

Lin et al., CLIP is Also an Efficient Segmenter, CVPR 2023, arXiv 2212.09506; linyq2117/CLIP-ES @ 3893f81 (MIT),
clip/model.py, generate_cams_voc12.py, pytorch_grad_cam.

Z (B,1+hw,D) are the tokens before the last block, t_c the unit text of a class or background word:

    y = LN1(Z);  X = last block from y;  f = mean over patches of LNpost(X) proj;  p = softmax_c(s cos(f, t_c))
    M_c = minmax ReLU( sum_k mean(dp_c / dy_k) y_k )                 classes of the image against all background words
    M_c <- CAA of the last 8 blocks' attention, boxes at 0.4         models/cam/class_attention.py
    background (1 - max_c M_c)^a;  CRF;  pixels less sure than 0.95 count in no loss

Only the last block is run with a gradient, and once for every class of the image with the most.

The paper chooses its prompt, 'a clean origami {}.', by sharpness. The repository holds the outcome alone, so
:func:`prompt_sharpness` is our reading and not checked against theirs: the mean over images of the variance of p over
the image's classes; the lowest is best, since in an image of several classes none should take it all.

The CRF is ``models/refine``'s (``refiner``), the background score and the texts are ``models/cam``'s and
``models/clip``'s; labels with ignored pixels are what ``mmseg-weak pseudo-label --conf-thr 0.95`` writes, and any
segmentor of mmseg learns from them. Configs are not there yet.

Deviation: images without tags are given those that CLIP finds (the paper always has tags).
"""
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import grad_cam, normalize_cam, tokens_to_map
from mmseg_weak.models.cam.class_attention import attention_transition, refine_by_attention
from mmseg_weak.models.clip import DenseViT, Score
from mmseg_weak.models.clip.blocks import attended, fed, split_heads
from mmseg_weak.models.clip.tag_names import tag_background, tag_texts
from mmseg_weak.models.segmentors import TagSegmentor

__all__ = ['CLIPES', 'competing', 'confident_mask', 'mean_attention', 'prompt_sharpness', 'refined_maps',
           'softmax_cams']


def competing(present: Tensor, num_background: int) -> Tensor:
    """Which texts an image is compared with: its own classes and all background words, (B,K) -> (B,K+n) bool."""
    return F.pad(present.bool(), (0, num_background), value=True)


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
    with torch.enable_grad():
        y = block.ln_1(tokens.detach()).detach().requires_grad_()
        q, k, v = split_heads(y, block.attn.in_proj_weight, block.attn.in_proj_bias, block.attn.num_heads)
        score = Score(q, k)
        x = tokens.detach() + attended(block, score.apply(v))
        x = x + fed(block, x)
        pooled = visual.ln_post(x[:, 1:]).mean(1) @ visual.proj
        logits = scale * F.normalize(pooled.float(), dim=-1) @ texts.T.float()
        if used is not None:
            logits = logits.masked_fill(~used, -torch.inf)
    maps = grad_cam(logits, y, wanted, softmax=True, reshape=lambda t: tokens_to_map(t, grid))
    with torch.no_grad():
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
    refined = refine_by_attention(maps, attention_transition(affinity), share, present)
    return normalize_cam(refined, 'minmax', 1e-7, present)


def confident_mask(scores: Tensor, conf_thr: float = 0.95, ignore_index: int = 255) -> Tensor:
    """Labels for the confidence-guided loss: (B,C,H,W) probabilities -> (B,H,W) long.

    Args:
        scores: of the CRF, background first.
        conf_thr: pixels whose best class is less probable count in no loss. Paper: 0.95.
        ignore_index: their label.
    """
    conf, labels = scores.max(1)
    return labels.masked_fill(conf < conf_thr, ignore_index)


def prompt_sharpness(probs: Tensor, present: Tensor) -> Tensor:
    """How unevenly a prompt spreads its probability over the classes that an image shows; lower is better.

    Mean over the images with two classes or more of the (population) variance of p over them.

    Args:
        probs: (B,K), softmax over the classes.
        present: (B,K) bool.

    Returns:
        Scalar; 0 where no image has two classes.
    """
    present = present.to(probs)
    count = present.sum(1)
    mean = (probs * present).sum(1) / count.clamp(min=1)
    variance = ((probs - mean[:, None]).square() * present).sum(1) / count.clamp(min=1)
    several = count > 1
    return variance[several].mean() if bool(several.any()) else variance.sum() * 0


@MODELS.register_module()
class CLIPES(TagSegmentor):
    """Seeds of a frozen CLIP; there is nothing to train.

    Args:
        clip: config of an ``OpenCLIP`` with a ViT, ``positions='bilinear'`` and ``templates='origami'``.
        classes: names of the foreground classes, in order. Those that CLIP-ES calls otherwise are replaced.
        num_classes: all classes, the background among them.
        background: words that compete with the classes; None: CLIP-ES's, without those that a class is called by.
        share: of :func:`.share_boxes`. Paper: 0.4.
        last: blocks whose attention counts. Paper: 8; all of a tower that has fewer.
        **kwargs: of :class:`.TagSegmentor`. Of ``seed`` only ``background`` and ``thr`` matter, 'power' and 1 here:
            maps are made at one scale.

    Raises:
        ConfigError: names and ``num_classes`` do not agree, or the tower is no ViT.
    """

    def __init__(self, clip: dict, classes: Sequence[str], num_classes: int, background: Sequence[str] | None = None,
                 share: float = 0.4, last: int = 8, seed: dict | None = None, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, seed=dict(dict(background='power', thr=1.0), **(seed or {})),
                         **kwargs)
        if len(classes) != self.num_tags:
            raise ConfigError(f'model.classes names {len(classes)} classes and model.num_classes={num_classes} leaves '
                              f'{self.num_tags} beside the background; name every foreground class.')
        self.clip = MODELS.build(clip)
        if not isinstance(self.clip.vision, DenseViT):
            raise ConfigError(f'model.clip.name is {self.clip.name!r}, whose image tower is no ViT; CLIP-ES needs its '
                              'attention, as of ViT-B-16-quickgelu.')
        words = tag_background(classes) if background is None else tuple(background)
        self.names, self.num_words = (*tag_texts(classes), *words), len(words)
        self.share, self.last = share, last
        self._texts: Tensor | None = None

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._texts = None

    @property
    def texts(self) -> Tensor:
        """(K+n,d) unit vectors of classes and background words; encoded once."""
        if self._texts is None or self._texts.device != self.clip.logit_scale.device:
            self._texts = self.clip.encode_names(self.names)
        return self._texts

    def class_maps(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Refined class maps at patch resolution: (B,3,H,W) -> (B,K,h,w) in [0, 1], one scale.

        Sides that are no multiples of the patch are resized (bicubic) to the next ones.

        Args:
            images: normalised.
            present: (B,K) bool, what competes with the background and is mapped. None: all classes.
        """
        tower, patch = self.clip.vision, self.clip.vision.patch_size
        size = tuple(math.ceil(n / patch) * patch for n in images.shape[-2:])
        if size != tuple(images.shape[-2:]):
            images = F.interpolate(images, size, mode='bicubic', align_corners=False)
        if present is None:
            present = torch.ones(len(images), self.num_tags, dtype=torch.bool, device=images.device)
        used = competing(present, self.num_words)
        wanted = F.pad(present, (0, self.num_words))
        with torch.no_grad():
            grid, x, attention = tower.grid(images), tower.embed(images), []
            for layer in range(tower.depth - 1):
                x, heads = tower.block(x, layer, grid)
                if layer >= tower.depth - self.last:
                    attention.append(Score(heads.q, heads.k).weights().mean(1))
        maps, _, final = softmax_cams(tower, x, grid, self.texts, self.clip.scale, wanted, used)
        affinity = mean_attention([*attention, final], self.last)
        return refined_maps(maps[:, :self.num_tags], affinity, present, self.share)

    def seed_scores(self, images: Tensor, present: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """:meth:`class_maps` at image size (B,K,H,W)."""
        return F.interpolate(self.class_maps(images, present), size or tuple(images.shape[-2:]), mode='bilinear',
                             align_corners=False)

    def tag_logits(self, images: Tensor) -> Tensor:
        """Log-odds of each class among all classes and background words, by the image's feature: (B,3,H,W) -> (B,K)."""
        probs = (self.clip.scale * self.clip.encode_image(images) @ self.texts.T).softmax(1)
        return probs[:, :self.num_tags].logit(eps=1e-6)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Nothing.

        Raises:
            ConfigError: always, with what to do instead.
        """
        raise ConfigError('CLIPES trains nothing: write its masks with `mmseg-weak pseudo-label` and train any '
                          'segmentor on them.')
