"""TRIS, stage 1: responses to sentences, learnt from images and sentences alone."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.utils.late import LateNetwork

from .base import ReferringSegmentor, sentences_of
from .equations import TRISHead, choose_response, clip_losses
from .tower import encode_sentences, freeze_unused, map_channels, text_channels, token_ids, visual_maps

__all__ = ['TRIS']

TARGETS = ('identity', 'image')


@MODELS.register_module()
class TRIS(ReferringSegmentor):
    """Stage 1 of TRIS; see the package.

    Args:
        clip: config of :class:`.OpenCLIP`, trained further. Paper: RN50.
        judge: config of a frozen :class:`.OpenCLIP` that says how well what a response shows fits sentences; built when
            training starts, in no checkpoint. Paper: ViT-B/32.
        head: arguments of :class:`.TRISHead`; its input channels are ``clip``'s.
        cls_weight, fg_weight, cal_weight: of the losses. Paper: 5, 1, 2; a ``cal_weight`` of 0 needs no negatives.
        target: which sentences of a batch an image is about: its own ('identity', as published), or all that the data
            have about the image ('image'), where many images show what another's sentence says.
        num_tokens: of a sentence. Paper: 20.
        judge_px: side of the square that the judge sees. Paper: 224.
        cut_as_published: see :func:`.token_ids`.
        **kwargs: of :class:`.ReferringSegmentor`.

    Raises:
        ConfigError: an unknown target, or a tower of another library.
    """

    def __init__(self, clip: dict, judge: dict, head: dict | None = None, cls_weight: float = 5.0,
                 fg_weight: float = 1.0, cal_weight: float = 2.0, target: str = 'identity', num_tokens: int = 20,
                 judge_px: int = 224, cut_as_published: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        if target not in TARGETS:
            raise ConfigError(f"model.target={target!r} of TRIS; it is {' or '.join(map(repr, TARGETS))}.")
        self.clip = MODELS.build(dict(clip, frozen=False))
        freeze_unused(self.clip)
        self.head = TRISHead(map_channels(self.clip)[-1], text_channels(self.clip)[1], **(head or {}))
        self.judge = LateNetwork(judge)
        self.weights = dict(loss_cls=cls_weight, loss_fg=fg_weight, loss_cal=cal_weight)
        self.target, self.num_tokens, self.judge_px = target, num_tokens, judge_px
        self.cut_as_published = cut_as_published

    def init_weights(self) -> None:
        """Build the judge, so that missing weights are told before the first iteration."""
        super().init_weights()
        self.judge.build()

    def sentences(self, texts: list[str]) -> Tensor:
        """(B,d) of sentences, with gradients."""
        return encode_sentences(self.clip, token_ids(self.clip, texts, self.num_tokens, self.cut_as_published))[1]

    def response(self, images: Tensor, sentences: list[str]) -> Tensor:
        """See :class:`.ReferringSegmentor`; each image meets its own sentence alone, as published."""
        features = visual_maps(self.clip, images)[-1]
        return self._responses(features, sentences, tuple(images.shape[-2:]))

    def _responses(self, features: Tensor, sentences: list[str], size: tuple[int, int]) -> Tensor:
        """(B,1,H,W) of the features of B images, or of one, and as many sentences."""
        texts, last = self.sentences(sentences), len(features) - 1
        return torch.cat([self.head.responses(self.head(features[[min(i, last)]], texts[i:i + 1]), size)
                          for i in range(len(sentences))])

    def _target(self, samples: list, own: list[str], device: torch.device) -> Tensor | None:
        """(B,B), or None for the identity."""
        if self.target == 'identity':
            return None
        about = [set(texts) for texts in sentences_of(samples, 'image_expressions')]
        return torch.tensor([[float(text in known) for text in own] for known in about], device=device)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """L_cls on all pairs of the batch; L_fg and L_cal on what the responses show the judge."""
        own = sentences_of(data_samples)
        scores = self.head(visual_maps(self.clip, inputs)[-1], self.sentences(own))
        losses = self.head.loss(scores, self._target(data_samples, own, scores.device))
        shown = self.head.responses(scores, inputs.shape[-2:], 'sigmoid')
        judge = self.judge.on(inputs.device)
        seen = judge.encode_image(self.resized(inputs, self.judge_px) * self.resized(shown, self.judge_px))
        negatives = self._negatives(data_samples) if self.weights['loss_cal'] else [[text] for text in own]
        texts = judge.text.encode_texts([*own, *(text for some in negatives for text in some)])
        others = texts[len(own):].unflatten(0, (len(own), -1))
        losses.update(clip_losses(seen, texts[:len(own)], others, 1.0, 1.0))
        losses = {name: self.weights[name] * value for name, value in losses.items() if self.weights[name]}
        return losses | dict(shown_share=shown.detach().mean() * 100)

    @staticmethod
    def _negatives(samples: list) -> list[list[str]]:
        found = sentences_of(samples, 'negatives')
        if not found[0] or len({len(some) for some in found}) > 1:
            raise DataError(f'The samples have {sorted({len(some) for some in found})} negative sentences; give every '
                            'one the same number, at least 1: dataset.negatives=3.')
        return found

    @torch.no_grad()
    def best_response(self, image: Tensor, sentences: list[str]) -> tuple[int, Tensor]:
        """PRMS: of the responses of an object's sentences, the one that fits all of them best.

        Args:
            image: (3,H,W), normalised.
            sentences: of one object.

        Returns:
            the number of the sentence, and its response (1,H,W), at least 0.
        """
        features = visual_maps(self.clip, image[None])[-1]
        responses = self._responses(features, sentences, tuple(image.shape[-2:]))
        if len(sentences) == 1:
            return 0, responses[0]
        judge = self.judge.on(image.device)
        seen = judge.encode_image(self.resized(responses, self.judge_px) * self.resized(image[None], self.judge_px))
        fit = seen @ F.normalize(judge.text.encode_texts(sentences), dim=1).T
        best = choose_response(fit)
        return best, responses[best]
