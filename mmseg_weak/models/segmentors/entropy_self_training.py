"""Self-training on the low-entropy labels of an EMA teacher: the frame of U2PL, and the loss inside FST.

U2PL: CVPR 2022, arXiv 2203.03884, Haochen-Wang409/U2PL @ ab3d2be (Apache-2.0); FST: usr922/FST @ 5b44c01, semi_seg/.

    1  m = argmax t(u), teacher in eval mode; with probability 1/2 images and labels are mixed with the next image
    2  one student pass over cat(x, u_mixed); L_s by the segmentor's own losses
    3  the teacher again on the same images, in *train mode* without gradient: logits t_u
    4  entropy H of softmax(t_u); labels with H >= its percentile p_e go; L_u = (B H W / kept) mean CE over the kept
    5  EMA a = min(1 - 1/(i+1), 0.99) of the parameters, i counted from the end of the supervised epochs

Before that, ``sup_only_epochs`` of supervised training.

Deviations: padding of unlabelled images has label 255. At the start of the semi-supervised part the teacher is set to
the student once, statistics included. The release sets the parameters at *every* step of the first such epoch, and
lets the teacher see the labelled images before (which moves its statistics): ``as_published=True``. An epoch is one
over the unlabelled list.
"""
import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.losses.entropy_filtered_ce import drop_high_entropy
from mmseg_weak.models.teachers.mixing import class_masks, half_area_boxes, mix
from mmseg_weak.models.teachers.pseudo import pseudo_from_logits
from mmseg_weak.models.utils import current_iter, iters_per_epoch, max_iters, train_mode

from .semi import SemiSegmentor

__all__ = ['EntropySelfTraining']

_MIXES = ('none', 'cutout', 'cutmix', 'classmix')


@MODELS.register_module()
class EntropySelfTraining(SemiSegmentor):
    """Steps 1 to 5 of the module.

    Args:
        segmentor, data_preprocessor: see :class:`SemiSegmentor`.
        teacher: see :class:`EMATeacher`; default momentum 0.01 with inverse warm-up, parameters only.
        mix: 'none', 'cutout', 'cutmix' or 'classmix'.
        mix_prob: chance of mixing a batch.
        unsup: config of an :class:`EntropyFilteredCE`.
        ramp_percent: raise the kept share from ``unsup.percent`` to 100 over the run (U2PL), or hold it (FST).
        sup_only_epochs: supervised epochs before. FST: 0; U2PL: 1 on VOC, 0 on Cityscapes.
        epoch_iters: length of an epoch; None takes the run's own.
        as_published: see the module.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, teacher: dict | None = None,
                 mix: str = 'cutmix', mix_prob: float = 0.5, unsup: dict | None = None, ramp_percent: bool = False,
                 sup_only_epochs: int = 0, epoch_iters: int | None = None, as_published: bool = False,
                 **kwargs) -> None:
        teacher = dict(momentum=0.01, warmup='inverse', buffers='leave', mode='eval') if teacher is None else teacher
        super().__init__(segmentor, teacher=teacher, data_preprocessor=data_preprocessor, **kwargs)
        if mix not in _MIXES:
            raise ConfigError(f"model.mix is {mix!r}; {type(self).__name__} knows {', '.join(map(repr, _MIXES))}.")
        self.mix, self.mix_prob = mix, mix_prob
        self.unsup = MODELS.build(dict(unsup or dict(type='EntropyFilteredCE')))
        self.ramp_percent, self.sup_only_epochs, self.epoch_iters = ramp_percent, sup_only_epochs, epoch_iters
        self.as_published = as_published
        self.register_buffer('started', torch.zeros((), dtype=torch.bool))
        self._started = False

    # ---- schedule -------------------------------------------------------------------------------------------------

    def epoch_length(self) -> int:
        """Iterations of one epoch."""
        return self.epoch_iters or iters_per_epoch()

    def semi_start(self) -> int:
        """First semi-supervised iteration."""
        return self.sup_only_epochs * self.epoch_length() if self.sup_only_epochs else 0

    def epoch_share(self) -> float:
        """epoch / epochs, both whole numbers as published; 0 outside of a run."""
        total = max_iters()
        if not total:
            return 0.0
        length = self.epoch_length()
        return min(1.0, (current_iter() // length) / max(1, round(total / length)))

    def update_teacher(self) -> None:
        """After the step, from the first semi-supervised iteration on."""
        if current_iter() >= self.semi_start():
            self.teacher.update(self.student)

    def _start_teacher(self) -> None:
        if not self._started:
            self._started = True
            self.started.fill_(True)
            if not self.as_published:
                self.teacher.copy_from(self.student)
        if self.as_published and current_iter() < self.semi_start() + self.epoch_length():
            self.teacher.copy_parameters_from(self.student)

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self._started = bool(self.started)

    # ---- step -----------------------------------------------------------------------------------------------------

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The algorithm box above."""
        labelled, images, valid = self.need(inputs, 'sup', 'unsup', 'unsup_valid')
        if current_iter() < self.semi_start():
            return self._supervised(labelled, data_samples['sup'])
        self._start_teacher()
        size, count = images.shape[-2:], len(labelled)
        own_logits = self.teacher_logits(images)
        pseudo = pseudo_from_logits(own_logits, valid)
        label = pseudo.labels.masked_fill(~valid, self.unsup.ignore_index)
        mixed, mixed_label = self.mix_batch(images, label)
        both = torch.cat([labelled, mixed])
        feats = self.features(both)
        logits, embedding = self.decode_student(feats)
        losses = self.supervised_loss(logits[:count], data_samples['sup'], [f[:count] for f in feats])
        teacher, teacher_embedding = self.second_pass(both)
        teacher_logits = self.upsample(teacher[count:], size)
        percent = self.unsup.percent_at(self.epoch_share()) if self.ramp_percent else self.unsup.percent
        losses[self.unsup.loss_name] = self.unsup(self.upsample(logits[count:], size), mixed_label, teacher_logits,
                                                  percent)
        kept = drop_high_entropy(label, own_logits, percent, self.unsup.ignore_index).ne(self.unsup.ignore_index)
        self.monitor.update(pseudo.labels, pseudo.conf, kept, valid)  # by the first pass: the second sees mixed images
        losses.update(self.more_losses(embedding, teacher_embedding, teacher, teacher_logits, mixed_label,
                                       data_samples['sup']))
        return losses

    def _supervised(self, images: Tensor, samples: list) -> dict[str, Tensor]:
        if self.as_published:
            self.second_pass(images)
        feats = self.features(images)
        return self.supervised_loss(self.decode(feats), samples, feats)

    def decode_student(self, feats: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Student logits (B,C,h,w), and what :meth:`more_losses` wants of its features."""
        return self.decode(feats), None

    @torch.no_grad()
    def second_pass(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The teacher's logits at head resolution in train mode, which moves its BatchNorm statistics."""
        network = self.teacher.module
        with train_mode(network):
            return self.decode(self.features(images, network), network), None

    def more_losses(self, embedding: Tensor | None, teacher_embedding: Tensor | None, teacher: Tensor,
                    teacher_logits: Tensor, label: Tensor, samples: list) -> dict[str, Tensor]:
        """Further terms of a method, from embeddings (B,D,h,w) and teacher logits, small and at image size."""
        return {}

    def mix_batch(self, images: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (B,3,H,W) and labels (B,H,W) with the next image of the batch, or leave them."""
        if self.mix == 'none' or float(torch.rand(())) >= self.mix_prob:
            return images, label
        following, next_label = images.roll(-1, 0), label.roll(-1, 0)
        if self.mix == 'classmix':
            mask = ~class_masks(label, torch.rand(len(label), self.num_classes), ignore_index=self.unsup.ignore_index)
        else:
            mask = half_area_boxes(torch.rand(len(label), 3), tuple(images.shape[-2:]), device=images.device)
        if self.mix == 'cutout':
            following = torch.zeros_like(images)
            next_label = torch.full_like(label, self.unsup.ignore_index)
        return mix(images, following, mask), mix(label, next_label, mask)
