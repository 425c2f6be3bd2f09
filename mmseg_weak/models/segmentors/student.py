"""The frame of a method around any mmseg segmentor: a student, perhaps a teacher that follows it."""
import torch
from mmengine.config import ConfigDict
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import BaseSegmentor
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers.ema import EMATeacher

__all__ = ['StudentSegmentor']


class StudentSegmentor(BaseSegmentor):
    """Base of methods that train, and predict with, an mmseg segmentor of the config; a method implements ``loss``.

    Args:
        segmentor: config of any mmseg ``EncoderDecoder`` (or ``CascadeEncoderDecoder``) with softmax logits.
        teacher: arguments of :class:`EMATeacher` without the student; None builds no teacher.
        data_preprocessor: config; the segmentor's own where it is None.
        predict_with: 'student' or 'teacher', which network validation and inference run.
        channels_last: run the networks in channels-last memory format.
        init_cfg: as in mmengine.

    Raises:
        ConfigError: the segmentor has a sigmoid output or is no encoder-decoder, or the teacher is asked for
            predictions and there is none.
    """

    student: nn.Module

    def __init__(self, segmentor: dict, teacher: dict | None = None, data_preprocessor: dict | None = None,
                 predict_with: str = 'student', channels_last: bool = False, init_cfg: dict | None = None) -> None:
        segmentor = ConfigDict(segmentor)  # mmseg reads test_cfg by attribute
        inner = segmentor.pop('data_preprocessor', None)
        super().__init__(data_preprocessor=data_preprocessor or inner, init_cfg=init_cfg)
        self.student = MODELS.build(segmentor)
        if not isinstance(self.student, BaseSegmentor) or not self.student.with_decode_head:
            raise ConfigError(f"model.segmentor.type is {segmentor.get('type')!r}, which has no decode head; use an "
                              'EncoderDecoder config of mmseg.')
        self.num_classes = self.student.num_classes
        if self.student.out_channels != self.num_classes:
            raise ConfigError(
                f'model.segmentor.decode_head has out_channels={self.student.out_channels} for {self.num_classes} '
                'classes; pseudo labels need one softmax channel a class: set num_classes=2 and out_channels=2 for a '
                'two-class task.')
        self.align_corners = self.student.align_corners
        self.teacher = EMATeacher(self.student, **teacher) if teacher is not None else None
        if predict_with not in ('student', 'teacher') or (predict_with == 'teacher' and self.teacher is None):
            raise ConfigError(f"model.predict_with is {predict_with!r}; it is 'student', or 'teacher' where the method "
                              'has one.')
        self.predict_with = predict_with
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=torch.channels_last)

    # ---- networks -------------------------------------------------------------------------------------------------

    @property
    def predictor(self) -> nn.Module:
        """The plain mmseg segmentor that validation and export use."""
        return self.student if self.predict_with == 'student' else self.teacher.module

    def features(self, images: Tensor, network: nn.Module | None = None) -> list[Tensor]:
        """Backbone (and neck) features of (B,3,H,W) images; of the student unless another network is given."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return (network or self.student).extract_feat(images)

    @staticmethod
    def decode_features(network: nn.Module, feats: list[Tensor]) -> Tensor:
        """Logits at the head's resolution; cascaded heads are run in turn."""
        head = network.decode_head
        if not isinstance(head, nn.ModuleList):
            return head(feats)
        out = head[0](feats)
        for stage in head[1:]:
            out = stage(feats, out)
        return out

    def decode(self, feats: list[Tensor], network: nn.Module | None = None) -> Tensor:
        """Logits (B,C,h,w) at the head's resolution."""
        return self.decode_features(network or self.student, feats)

    def upsample(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits at image size, interpolated as the head does."""
        return resize(logits, size=tuple(size), mode='bilinear', align_corners=self.align_corners, warning=False)

    def logits(self, images: Tensor, network: nn.Module | None = None) -> Tensor:
        """Logits (B,C,H,W) at the size of the images."""
        return self.upsample(self.decode(self.features(images, network), network), images.shape[-2:])

    @torch.no_grad()
    def teacher_logits(self, images: Tensor) -> Tensor:
        """The teacher's logits at image size, in the teacher's own mode."""
        return self.logits(images, self.teacher.module)

    def update_teacher(self) -> None:
        """One step of the teacher's average, after the optimizer's; methods whose teacher moves otherwise override."""
        self.teacher.update(self.student)

    def need_teacher(self) -> None:
        """Refuse to train with a teacher that has not had its first copy.

        Raises:
            ConfigError: the hook that starts it is missing.
        """
        if self.teacher is not None and not self.teacher.is_ready:
            raise ConfigError(f'The teacher of {type(self).__name__} was never started: add '
                              "dict(type='EMATeacherHook') to custom_hooks.")

    # ---- losses ---------------------------------------------------------------------------------------------------

    def supervised_loss(self, logits: Tensor, samples: list, feats: list[Tensor] | None = None,
                        prefix: str = 'sup', network: nn.Module | None = None) -> dict[str, Tensor]:
        """The losses that the segmentor's own config names, on labelled images.

        mmseg's ``loss_by_feat`` also computes the pixel accuracy at every step, 14 % of a light network's step on
        CPU; heads that do not override it are therefore evaluated here without.

        Args:
            logits: (B,C,h,w) of the decode head at any resolution.
            samples: labelled samples, ``gt_sem_seg`` at image size.
            feats: features of the same images; given, auxiliary heads are trained too.
            prefix: of the keys. network: the student unless given.
        """
        network = network or self.student
        head = network.decode_head
        last = head[-1] if isinstance(head, nn.ModuleList) else head
        losses = self._head_loss(last, logits, samples, f'{prefix}.decode')
        if feats is None:
            return losses
        if isinstance(head, nn.ModuleList):
            out = head[0](feats)
            losses.update(self._head_loss(head[0], out, samples, f'{prefix}.decode_0'))
            for i, stage in enumerate(head[1:-1], 1):
                out = stage(feats, out)
                losses.update(self._head_loss(stage, out, samples, f'{prefix}.decode_{i}'))
        if network.with_auxiliary_head:
            aux = network.auxiliary_head
            for i, extra in enumerate(aux if isinstance(aux, nn.ModuleList) else [aux]):
                losses.update(self._head_loss(extra, extra(feats), samples, f'{prefix}.aux_{i}'))
        return losses

    @staticmethod
    def _head_loss(head: nn.Module, logits: Tensor, samples: list, prefix: str) -> dict[str, Tensor]:
        if type(head).loss_by_feat is not BaseDecodeHead.loss_by_feat:
            out = head.loss_by_feat(logits, samples)
            return {f'{prefix}.{k}': v for k, v in out.items() if 'loss' in k}
        label = torch.stack([s.gt_sem_seg.data for s in samples])
        logits = resize(logits, size=label.shape[2:], mode='bilinear', align_corners=head.align_corners,
                        warning=False)
        weight = head.sampler.sample(logits, label) if head.sampler is not None else None
        label = label.squeeze(1)
        losses: dict[str, Tensor] = {}
        for loss in head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]:
            key = f'{prefix}.{loss.loss_name}'
            value = loss(logits, label, weight=weight, ignore_index=head.ignore_index)
            losses[key] = losses[key] + value if key in losses else value
        return losses

    # ---- mmseg's interface ----------------------------------------------------------------------------------------

    def extract_feat(self, inputs: Tensor) -> list[Tensor]:
        """Features of the predicting network."""
        return self.features(inputs, self.predictor)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the predicting network, as its own config says."""
        return self.predictor.encode_decode(inputs, batch_img_metas)

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The predicting network's own ``predict``: whole or sliding, by its ``test_cfg``."""
        return self.predictor.predict(inputs, data_samples)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Logits at the head's resolution."""
        return self.decode(self.extract_feat(inputs), self.predictor)
