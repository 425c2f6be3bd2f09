"""A sentence without training: it is a name among words of the background. The baseline of TRIS on ToyWorld."""
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.models.clip import ClassNames
from mmseg_weak.models.segmentors import OpenVocabSegmentor, image_boxes

__all__ = ['ReferringCLIP']


@MODELS.register_module()
class ReferringCLIP(OpenVocabSegmentor):
    """Where CLIP's patches resemble a sentence more than any word of the background.

    Args:
        kwargs: of :class:`.OpenVocabSegmentor`; ``names`` is one name, whose place each sample's ``expression`` takes.
    """

    def named(self, expression: str | None) -> ClassNames:
        """Words of the background, and a sentence in the place of the name."""
        if expression is None:
            return self.names
        words = [name for name, owner in zip(self.names.names, self.names.owner) if owner == 0]
        return ClassNames(('background', 'referred'), (*words, expression), (*[0] * len(words), 1))

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The samples, with ``pred_sem_seg`` (1,H,W), ``confidence`` (1,H,W) and ``seg_logits`` (2,H,W)."""
        samples = data_samples or [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        images = []
        for image, sample in zip(inputs, samples, strict=True):
            y0, y1, x0, x1 = image_boxes([sample], tuple(inputs.shape[-2:]))[0].tolist()
            images.append(image[:, y0:y1, x0:x1])
        originals = [tuple(sample.metainfo.get('ori_shape', image.shape[-2:]))[:2]
                     for sample, image in zip(samples, images)]
        for kept, sample in zip(self.keep(images, originals), samples):
            scores = self.class_scores(kept, self.named(sample.get('expression', None)))
            best, labels = scores.max(0)
            sample.set_data(dict(pred_sem_seg=PixelData(data=labels[None]), confidence=PixelData(data=best[None]),
                                 seg_logits=PixelData(data=scores)))
        return samples
