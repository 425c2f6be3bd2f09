"""CLIP-ES: seeds from image tags by a frozen CLIP, without training.

Lin et al., CLIP is Also an Efficient Segmenter, CVPR 2023, arXiv 2212.09506; linyq2117/CLIP-ES @ 3893f81 (MIT),
clip/model.py, generate_cams_voc12.py, pytorch_grad_cam.

Z (B,1+hw,D) are the tokens before the last block, t_c the unit text of a class or background word:

    y = LN1(Z);  X = last block from y;  f = mean over patches of LNpost(X) proj;  p = softmax_c(s cos(f, t_c))
    M_c = minmax ReLU( sum_k mean(dp_c / dy_k) y_k )                 classes of the image against all background words
    M_c <- CAA of the last 8 blocks' attention, boxes at 0.4         models/cam/class_attention.py
    background (1 - max_c M_c)^a;  CRF;  pixels less sure than 0.95 count in no loss

The paper chooses its prompt, 'a clean origami {}.', by sharpness. The repository holds the outcome alone, so
:func:`prompt_sharpness` is our reading and not checked against theirs: the mean over images of the variance of p over
the image's classes; the lowest is best, since in an image of several classes none should take it all.

The maps are ``models/cam/text_cam``'s, the CRF is ``models/refine``'s (``refiner``). The second stage's
confidence-guided loss is cross-entropy on labels with ignored pixels (:func:`confident_mask`): ``mmseg-weak
pseudo-label --conf-thr 0.95`` writes them, and any segmentor of mmseg learns from them.

Deviation: images without tags are given those that CLIP finds (the paper always has tags).
"""
from typing import Any

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam.text_cam import competing, mean_attention, refined_maps, softmax_cams, tokens_and_attention
from mmseg_weak.models.segmentors.clip_tag import CLIPTagSegmentor

__all__ = ['CLIPES', 'confident_mask', 'prompt_sharpness']


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
class CLIPES(CLIPTagSegmentor):
    """Seeds of a frozen CLIP; there is nothing to train.

    Args:
        share: of :func:`.share_boxes`. VOC: 0.4; COCO: 0.7.
        last: blocks whose attention counts. Paper: 8; all of a tower that has fewer.
        **kwargs: of :class:`.CLIPTagSegmentor`.
    """

    def __init__(self, share: float = 0.4, last: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share, self.last = share, last

    def class_maps(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Refined class maps at patch resolution: (B,3,H,W) -> (B,K,h,w) in [0, 1], one scale.

        Args:
            images: normalised; of any size, see :meth:`fitted`.
            present: (B,K) bool, what competes with the background and is mapped. None: all classes.
        """
        images, tower = self.seen(images), self.clip.vision
        present = self.everything(images) if present is None else present
        tokens, attention = tokens_and_attention(tower, images)
        wanted = F.pad(present, (0, self.num_words))
        maps, _, final = softmax_cams(tower, tokens[-1], tower.grid(images), self.texts, self.clip.scale, wanted,
                                      competing(present, self.num_words))
        affinity = mean_attention([*attention, final], self.last)
        return refined_maps(maps[:, :self.num_tags], affinity, present, self.share)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Nothing.

        Raises:
            ConfigError: always, with what to do instead.
        """
        raise ConfigError('CLIPES trains nothing: write its masks with `mmseg-weak pseudo-label` and train any '
                          'segmentor on them.')
