"""Mean Teacher for segmentation, and CutMix-Seg.

CutMix-Seg: "Semi-supervised semantic segmentation needs strong, varied perturbations", BMVC 2020, arXiv 1906.01916;
official repository Britefury/cutmix-semisup-seg @ af6183a (MIT). Mean Teacher: charlesCXK/TorchSemiSeg @ 5e0c29c (MIT).

With student s, EMA teacher t, unlabelled batches u0, u1 and a box mask M (1 shows u1):

    cutmix  L = CE(s(x), y) + w d( s(mix(u0', u1', M)), mix(t(u0), t(u1), M) ) * mix(v0, v1, M)
            u' strong, u weak view; logits are mixed; the confidence factor is the batch's share of sure pixels
    cutout  L = CE(s(x), y) + w d( s(u' 0 inside the box), t(u) ) outside the box
    none    L = CE(s(x), y) + w d( s(v), t(v) ),  v = labelled and unlabelled images, no strong view

d, its confidence rule and w are those of :class:`ConsistencyLoss`. Published settings:

    CutMix-Seg    mix='cutmix', consistency 'var' 0.97 w 1, teacher momentum 0.01 on all floats, in train mode, updated
                  after the step (the defaults)
    Mean Teacher  mix='none', on_labeled=True, consistency 'mse' without threshold w 100, teacher momentum 0.01 on
                  parameters (buffers='leave'), in train mode, update_inside=True; the student is evaluated

Deviations: padding does not count in the consistency of unlabelled images in any form; the two summands are added and
sent back once, where CutMix-Seg calls backward twice (the same gradient); a teacher in eval mode labels both batches in
one pass. CutMix partner: see UniMatch.
"""
import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import SemiSegmentor
from mmseg_weak.models.teachers.mixing import box_masks, draw_box_uniforms, mix
from mmseg_weak.models.teachers.pseudo import pseudo_from_logits

__all__ = ['MeanTeacher']

_MIXES = ('none', 'cutmix', 'cutout')


@MODELS.register_module()
class MeanTeacher(SemiSegmentor):
    """A student agrees with the moving average of itself, on plain, mixed or cut images.

    Args:
        segmentor, data_preprocessor: see :class:`SemiSegmentor`.
        teacher: see :class:`EMATeacher`; by default CutMix-Seg's.
        mix: 'none', 'cutmix' (needs the partner branch) or 'cutout'.
        view: name of the strong view that the student sees; None gives it the weak one. Unused by mix='none'.
        consistency: config of a :class:`ConsistencyLoss`.
        boxes: ``prop_range``, ``n_boxes``, ``random_aspect_ratio``, ``prop_by_area``, ``within_bounds`` of
            :func:`box_masks`. CutMix-Seg: one box of half the area; cutout: U[0, 1].
        on_labeled: consistency on labelled images too (mix='none').
        update_inside: move the teacher between its labelled and its unlabelled pass, before the optimizer's step
            (TorchSemiSeg; the first update copies the parameters), instead of after the step.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, teacher: dict | None = None,
                 mix: str = 'cutmix', view: str | None = 'strong1', consistency: dict | None = None,
                 boxes: dict | None = None, on_labeled: bool = False, update_inside: bool = False, **kwargs) -> None:
        teacher = dict(momentum=0.01, buffers='average', mode='train') if teacher is None else teacher
        super().__init__(segmentor, teacher=teacher, data_preprocessor=data_preprocessor, **kwargs)
        if mix not in _MIXES:
            raise ConfigError(f"model.mix is {mix!r}; MeanTeacher knows {', '.join(map(repr, _MIXES))}.")
        if on_labeled and mix != 'none':
            raise ConfigError(f"model.on_labeled=True goes with mix='none', and mix is {mix!r}: labelled images are "
                              'not mixed.')
        self.mix, self.view, self.on_labeled, self.update_inside = mix, view, on_labeled, update_inside
        boxes = dict(prop_range=(0.0, 1.0) if mix == 'cutout' else (0.5, 0.5)) | dict(boxes or {})
        self.n_boxes, self.boxes = boxes.pop('n_boxes', 1), boxes
        self.consistency = MODELS.build(dict(consistency or dict(type='ConsistencyLoss')))

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """Supervised loss and consistency."""
        images, = self.need(inputs, 'sup')
        feats = self.features(images)
        logits = self.decode(feats)
        losses = self.supervised_loss(logits, data_samples['sup'], feats)
        pairs = [(self.upsample(logits, images.shape[-2:]), self.teacher_logits(images))] if self.on_labeled else []
        if self.update_inside:
            self._update_inside()
        student, teacher, valid = getattr(self, f'_{self.mix}')(inputs)
        if pairs:
            valid = torch.cat([torch.ones_like(valid[:1]).expand(len(images), -1, -1), valid])
            student, teacher = (torch.cat([part, whole]) for part, whole in zip(pairs[0], (student, teacher)))
        losses[self.consistency.loss_name] = self.consistency(student, teacher, valid)
        return losses

    def _none(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Student logits, teacher logits, valid pixels: both see the same weak view."""
        images, valid = self.need(inputs, 'unsup', 'unsup_valid')
        teacher = self.teacher_logits(images)
        self._watch(teacher, valid)
        return self.logits(images), teacher, valid

    def _cutmix(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The same for the mixed images."""
        own, partner, valid, partner_valid = self.need(inputs, 'unsup', 'partner', 'unsup_valid', 'partner_valid')
        seen = self._student_views(inputs, 'unsup', 'partner')
        mask = self._draw(own)
        teacher, other = self.label_pair(own, partner)
        self._watch(teacher, valid)
        return self.logits(mix(*seen, mask)), mix(teacher, other, mask), mix(valid, partner_valid, mask)

    def _cutout(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The same for images with a box set to zero (the mean colour); the box itself is not compared."""
        own, valid = self.need(inputs, 'unsup', 'unsup_valid')
        seen, = self._student_views(inputs, 'unsup')
        mask = self._draw(own)
        teacher = self.teacher_logits(own)
        self._watch(teacher, valid)
        return self.logits(mix(seen, torch.zeros_like(seen), mask)), teacher, valid & ~mask

    def label_pair(self, own: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher logits of two batches: apart in train mode (each has its own statistics), else in one pass."""
        if self.teacher.mode == 'train':
            return self.teacher_logits(own), self.teacher_logits(partner)
        return self.teacher_logits(torch.cat([own, partner])).split([len(own), len(partner)])

    def _student_views(self, inputs: dict[str, Tensor], *branches: str) -> list[Tensor]:
        return self.need(inputs, *(branch if self.view is None else f'{branch}_{self.view}' for branch in branches))

    def _draw(self, images: Tensor) -> Tensor:
        return box_masks(draw_box_uniforms(len(images), self.n_boxes), tuple(images.shape[-2:]), device=images.device,
                         **self.boxes)

    def _watch(self, teacher: Tensor, valid: Tensor) -> None:
        pseudo = pseudo_from_logits(teacher, valid)
        self.monitor.update(pseudo.labels, pseudo.conf, (pseudo.conf >= self.consistency.conf_thr) & valid, valid)

    def update_teacher(self) -> None:
        """After the step, unless it was done inside."""
        if not self.update_inside:
            super().update_teacher()

    def _update_inside(self) -> None:
        if self.teacher.updates == 0:
            self.teacher.copy_parameters_from(self.student)
        self.teacher.update(self.student)
