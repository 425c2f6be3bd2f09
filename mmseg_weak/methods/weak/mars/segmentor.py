"""Step 6 of MARS: training on debiased labels, completed by a teacher as it goes."""
import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.segmentors import StudentSegmentor, stack_tags
from mmseg_weak.models.utils.colours import raw_images

from .equations import certain_mask, complement, weighted_cross_entropy

__all__ = ['MARS']


@MODELS.register_module()
class MARS(StudentSegmentor):
    """Any mmseg segmentor on debiased labels, with a teacher for the biased pixels.

    Args:
        segmentor: config of an ``EncoderDecoder``; its own losses are not used, auxiliary heads keep their weights.
        teacher: arguments of :class:`.EMATeacher`; the momentum is not published.
        crf: config of the refinement of the teacher's probabilities, RGB from 0 to 255; None leaves them.
        limit_to_tags: let the teacher choose among background and the image's own classes alone, which also makes the
            CRF cheap. Ours; the paper's teacher chooses among all.
        data_preprocessor, predict_with, channels_last, init_cfg: of :class:`.StudentSegmentor`.
    """

    def __init__(self, segmentor: dict, teacher: dict | None = None, crf: dict | None = None,
                 limit_to_tags: bool = False, data_preprocessor: dict | None = None, predict_with: str = 'student',
                 channels_last: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(segmentor, teacher or {}, data_preprocessor, predict_with, channels_last, init_cfg)
        self.crf = MODELS.build(crf) if crf else None
        self.limit_to_tags = limit_to_tags
        self._told = False

    def biased_pixels(self, samples: list, size: tuple[int, int], device: torch.device) -> Tensor:
        """(B,H,W) bool out of ``gt_biased``; False in the padding, and in a sample that carries none."""
        biased = torch.zeros(len(samples), *size, dtype=torch.bool, device=device)
        for row, sample in enumerate(samples):
            if 'gt_biased' in sample:
                found = sample.gt_biased.data[0] > 0
                biased[row, :found.shape[0], :found.shape[1]] = found
        if not self._told and not any('gt_biased' in sample for sample in samples):
            self._told = True
            print_log('No sample of this batch says which pixels are biased, so MARS trains on its labels as they are: '
                      'use DebiasedLabelDataset with a folder of `mmseg-weak debias`, and LoadDebiasedMask.',
                      logger='current', level=30)
        return biased

    @torch.no_grad()
    def teach(self, images: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's probabilities (B,C,H,W), and its labels (B,H,W) after the CRF."""
        probs = full_precision(self.teacher_logits(images)).softmax(1)
        present = torch.nn.functional.pad(tags.bool(), (1, 0), value=True)
        scores = probs * present[:, :, None, None] if self.limit_to_tags else probs
        if self.crf is not None:
            scores = self.crf(scores, raw_images(images, self.data_preprocessor),
                              present if self.limit_to_tags else None)
        return probs, scores.argmax(1)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Eqs. (6), (7) on completed labels; weights from before the CRF, labels from after it."""
        self.need_teacher()
        size = tuple(inputs.shape[-2:])
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples]).to(inputs.device)
        biased = self.biased_pixels(data_samples, size, inputs.device)
        weight = torch.ones(labels.shape, device=labels.device)
        rows = biased.flatten(1).any(1).nonzero().flatten()  # the CRF is dear: only images that need it
        if len(rows):
            tags = stack_tags([data_samples[row] for row in rows.tolist()], self.num_classes - 1, inputs.device)
            probs, taught = self.teach(inputs[rows], tags)
            labels[rows] = complement(labels[rows], biased[rows], taught)
            weight[rows] = certain_mask(probs, biased[rows], tags)
        feats = self.features(inputs)
        logits = self.upsample(self.decode(feats), size)
        losses = {'decode.loss_wce': weighted_cross_entropy(logits, labels, weight)}
        for number, head in enumerate(self._auxiliary_heads()):
            share = getattr(head.loss_decode, 'loss_weight', 1.0)
            losses[f'aux_{number}.loss_wce'] = share * weighted_cross_entropy(self.upsample(head(feats), size), labels,
                                                                             weight)
        share = biased.float().sum()
        return losses | dict(biased_pixels=share / biased.numel() * 100,
                             certain=(weight * biased).sum() / share.clamp_min(1))

    def _auxiliary_heads(self) -> list:
        if not self.student.with_auxiliary_head:
            return []
        heads = self.student.auxiliary_head
        return list(heads) if isinstance(heads, torch.nn.ModuleList) else [heads]
