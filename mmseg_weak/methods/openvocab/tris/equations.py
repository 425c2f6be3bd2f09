"""TRIS's equations and modules, in the order of the method; the formulas are in the package's docstring."""
import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.models.losses.common import full_precision

__all__ = ['BilateralPrompt', 'PixelWordAttention', 'TRISHead', 'calibration_loss', 'choose_response', 'clip_losses',
           'foreground_loss', 'mask_at', 'normalize_response', 'response_focal', 'sentence_logits', 'similarity']


def _conv_norm(channels: int, relu: bool) -> nn.Sequential:
    layers = [nn.Conv2d(channels, channels, 1), nn.InstanceNorm2d(channels, affine=True)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class BilateralPrompt(nn.Module):
    """Image and sentences look at each other.

    A_v = softmax over sentences of q_v k_t / sqrt(D), V' = A_v v_t; A_t = softmax over places of q_t k_v / sqrt(D),
    T' = A_t v_v; each through an output layer. Residuals are the caller's.

    Args:
        channels: D, of places and of sentences.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vision = nn.ModuleList(_conv_norm(channels, True) for _ in range(3))  # q, k, v
        self.text = nn.ModuleList(nn.Sequential(nn.Linear(channels, channels), nn.ReLU()) for _ in range(3))
        self.vision_out, self.text_out = _conv_norm(channels, False), nn.Linear(channels, channels)

    def forward(self, vision: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """(B,D,h,w), (B,N,D) -> (B,D,h,w), (B,N,D)."""
        vq, vk, vv = (layer(vision).flatten(2).transpose(1, 2) for layer in self.vision)
        tq, tk, tv = (layer(text) for layer in self.text)
        seen = F.scaled_dot_product_attention(vq, tk, tv)
        said = F.scaled_dot_product_attention(tq, vk, vv)
        return self.vision_out(seen.transpose(1, 2).unflatten(2, vision.shape[-2:])), self.text_out(said)


class PixelWordAttention(nn.Module):
    """Places gather the words that concern them (LAVT's PWAM, arXiv 2112.02244).

    q = norm conv V, k = conv W, v = conv W;  G = norm conv(softmax over words of q k / sqrt(C), times v)
    result: ReLU conv(G ReLU(conv V))

    Args:
        channels: C, of the image's features.
        text_channels: of the words.
    """

    def __init__(self, channels: int, text_channels: int) -> None:
        super().__init__()
        self.query = _conv_norm(channels, False)
        self.key, self.value = (nn.Conv1d(text_channels, channels, 1) for _ in range(2))
        self.gathered = _conv_norm(channels, False)
        self.image, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(2))

    def forward(self, vision: Tensor, words: Tensor) -> Tensor:
        """(B,C,h,w), (B,Ct,T) -> (B,C,h,w)."""
        query = self.query(vision).flatten(2).transpose(1, 2)
        key, value = self.key(words).transpose(1, 2), self.value(words).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = self.gathered(mixed.transpose(1, 2).unflatten(2, vision.shape[-2:]))
        return F.relu(self.out(F.relu(self.image(vision)) * mixed))


def response_focal(share: Tensor, power: float = 3.0, offset: float = 0.01) -> Tensor:
    """f(x) = (1 - x)^power log(offset + x): a sentence with a tiny share of the image is punished."""
    return (1 - share).pow(power) * (offset + share).log()


def sentence_logits(scores: Tensor, power: float = 3.0, offset: float = 0.01) -> tuple[Tensor, Tensor]:
    """How much an image is about each sentence.

    Args:
        scores: (B,N,h,w), S.
        power, offset: of :func:`response_focal`.

    Returns:
        y (B,N), and the share of the image that each sentence takes (B,N).
    """
    scores = full_precision(scores)
    masks = F.pad(scores, (0, 0, 0, 0, 1, 0), value=1.0).softmax(1)[:, 1:]
    share = masks.mean((2, 3))
    return scores.mean((2, 3)) + scores.amax((2, 3)) + response_focal(share, power, offset), share


@MODELS.register_module()
class TRISHead(BaseModule):
    """Stage 1 on top of CLIP's last map and its sentences.

    Args:
        in_channels: C. CLIP RN50: 2048.
        text_channels: Ct. CLIP RN50: 1024.
        channels: D. Paper: 1024.
        prompt: use the bilateral prompt.
        factor: of what it adds. Paper: 0.1.
        power, offset: of :func:`response_focal`.
    """

    def __init__(self, in_channels: int = 2048, text_channels: int = 1024, channels: int = 1024, prompt: bool = True,
                 factor: float = 0.1, power: float = 3.0, offset: float = 0.01, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.vis_project, self.lan_project = nn.Conv2d(in_channels, channels, 1), nn.Linear(text_channels, channels)
        self.prompt = BilateralPrompt(channels) if prompt else None
        # not in the official optimiser's groups, so it keeps its value
        self.register_buffer('logit_scale', torch.tensor(math.log(1 / 0.07)))
        self.factor, self.power, self.offset = factor, power, offset

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """S: features (B,C,h,w), sentences (N,Ct) that every image meets -> (B,N,h,w)."""
        vision = F.normalize(self.vis_project(features), dim=1)
        text = F.normalize(self.lan_project(sentences), dim=1).expand(len(features), -1, -1)
        if self.prompt is not None:
            seen, said = self.prompt(vision, text)
            vision, text = vision + self.factor * seen, text + self.factor * said
        return self.logit_scale.exp() * torch.einsum('bdhw,bnd->bnhw', vision, text)

    def loss(self, scores: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        """L_cls of S; weigh it by 5 beside :func:`clip_losses`.

        Args:
            scores: (B,N,h,w).
            target: (B,N), 1 where an image shows what a sentence means; None: image i sentence i alone, as published.
        """
        logits, _ = sentence_logits(scores, self.power, self.offset)
        target = torch.eye(len(logits), device=logits.device) if target is None else target
        return dict(loss_cls=F.multilabel_soft_margin_loss(logits, target.to(logits)))

    @staticmethod
    def responses(scores: Tensor, size: tuple[int, int], activation: str = 'relu') -> Tensor:
        """Each image's own sentence, S[i,i], at image size: (B,B,h,w) -> (B,1,H,W).

        Args:
            activation: 'relu' (class maps, evaluation) or 'sigmoid' (what CLIP's losses multiply images with).
        """
        own = scores.diagonal(dim1=0, dim2=1).permute(2, 0, 1)[:, None]
        own = F.interpolate(own, size, mode='bilinear', align_corners=False)
        return own.sigmoid() if activation == 'sigmoid' else own.relu()


def similarity(images: Tensor, sentences: Tensor) -> Tensor:
    """Cosines (B,) of each image with its sentence, (B,d) each, of any length."""
    return F.cosine_similarity(full_precision(images), full_precision(sentences))


def foreground_loss(cosines: Tensor, low: float = 1e-4, high: float = 0.9999) -> Tensor:
    """L_fg: -mean log of cosines, kept between ``low`` and ``high``."""
    return -cosines.clamp(low, high).log().mean()


def calibration_loss(images: Tensor, negatives: Tensor, eps: float = 1e-4) -> Tensor:
    """L_cal: what the response shows should not fit sentences of other objects.

    Args:
        images: (B,d) of CLIP, any length.
        negatives: (B,n,d) sentences, any length. Paper: n = 3.
        eps: 1 - cos is at least this.
    """
    cosines = F.cosine_similarity(full_precision(images)[:, None], full_precision(negatives), dim=2)
    return -(1 - cosines).clamp(min=eps).log().mean()


def clip_losses(images: Tensor, sentences: Tensor, negatives: Tensor, fg_weight: float = 1.0, cal_weight: float = 2.0
                ) -> dict[str, Tensor]:
    """L_fg and L_cal, weighted.

    Args:
        images: (B,d) frozen CLIP's features of response * image.
        sentences: (B,d), the images' own.
        negatives: (B,n,d), of other objects.
        fg_weight, cal_weight: paper: 1 and 2.
    """
    return dict(loss_fg=fg_weight * foreground_loss(similarity(images, sentences)),
                loss_cal=cal_weight * calibration_loss(images, negatives))


def choose_response(similarity: Tensor) -> int:
    """PRMS: of an object's responses, the one that all its sentences together fit best; (responses, sentences)."""
    return int(similarity.sum(1).argmax())


def normalize_response(response: Tensor, size: tuple[int, int], eps: float = 1e-5) -> Tensor:
    """ReLU'd responses at the original size over their maximum: (B,1,h,w) -> (B,H,W)."""
    full = F.interpolate(response, size, mode='bilinear', align_corners=True)[:, 0]
    return full / (full.amax((1, 2), keepdim=True) + eps)


def mask_at(normalized: Tensor, thr: float = 1e-9) -> Tensor:
    """Evaluation's mask, in effect S above 0: (B,H,W) -> (B,H,W) bool."""
    return normalized > thr
