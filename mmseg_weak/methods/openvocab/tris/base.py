"""What both stages share: sentences on samples, and masks of them at the photographs' own sizes."""
from abc import abstractmethod

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.errors import DataError
from mmseg_weak.models.segmentors import image_boxes

from .equations import mask_at, normalize_response

__all__ = ['ReferringSegmentor', 'sentences_of']


def sentences_of(samples: list, key: str = 'expression') -> list:
    """``expression`` or another field of each sample.

    Raises:
        DataError: a sample has none.
    """
    missing = next((sample for sample in samples if sample.get(key, None) is None), None)
    if missing is not None:
        raise DataError(f"{missing.metainfo.get('img_path', 'An image')} came without {key}; use ReferringDataset with "
                        'PackReferring in the pipeline.')
    return [sample.get(key) for sample in samples]


class ReferringSegmentor(BaseSegmentor):
    """Base of the networks that find what a sentence means. Class 1 is the object.

    A method implements :meth:`response` and :meth:`loss`.

    Args:
        score_thr: of the response over its largest value, above which the mask is. Paper: 1e-9, in effect 0.
        data_preprocessor, init_cfg: as in mmseg.
    """

    refers = True  # whether samples need sentences
    num_classes = 2

    def __init__(self, score_thr: float = 1e-9, data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.score_thr, self.align_corners = score_thr, True

    @abstractmethod
    def response(self, images: Tensor, sentences: list[str]) -> Tensor:
        """Where each image shows what its sentence means: (B,3,H,W) normalised -> (B,1,H,W), at least 0."""

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Masks at the photographs' own sizes.

        Returns:
            the samples, with ``pred_sem_seg`` (1,H,W), 1 the object, and ``seg_logits`` (2,H,W): the response over its
            largest value behind what is left to 1.
        """
        samples = data_samples or [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        responses = self.response(inputs, sentences_of(samples))
        for response, sample in zip(responses, samples, strict=True):
            y0, y1, x0, x1 = image_boxes([sample], tuple(inputs.shape[-2:]))[0].tolist()
            size = tuple(sample.metainfo.get('ori_shape', (y1 - y0, x1 - x0)))[:2]
            scores = normalize_response(response[None, :, y0:y1, x0:x1].float(), size)
            sample.set_data(dict(pred_sem_seg=PixelData(data=mask_at(scores, self.score_thr).long()),
                                 seg_logits=PixelData(data=torch.cat([1 - scores, scores]))))
        return samples

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features of the image's tower."""
        return self._forward(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """See :meth:`_forward`."""
        return self._forward(inputs)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Responses (B,1,H,W) to the samples' sentences, or to 'object'."""
        return self.response(inputs, sentences_of(data_samples) if data_samples else ['object'] * len(inputs))

    @staticmethod
    def resized(images: Tensor, side: int) -> Tensor:
        """(B,C,H,W) -> (B,C,side,side), bilinear with aligned corners, as CLIP's losses want it."""
        return F.interpolate(images, (side, side), mode='bilinear', align_corners=True)
