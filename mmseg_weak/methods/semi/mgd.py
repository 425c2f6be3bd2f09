"""MGD: Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised Semantic Segmentation, ECCV 2022.

arXiv 2208.10169; official repository JayQine/MGD-SSSS @ 9309105 (MIT), built on CPS.

A small student S learns from two frozen teachers that were trained semi-supervised (by CPS with CutMix): W wide, D
deep. Unlabelled u0, u1 and a box mask M, um = mix(u0, u1, M), P_T = argmax mix( T(u0), T(u1), M ), s = S(um):

    L_pix_u = CE(s, P_W) + CE(s, P_D)
    L_sem   = lambda1 sum_{b,c} | GAP(s) - GAP(D(um)) |                               (a sum over images and classes)
    L_con   = lambda2 mean( (K_S - K_W)^2 ),  K = cosine similarities of the 7x7-pooled features before the classifier
    L_pix_l = CE(S(x), argmax W(x)) + CE(S(x), argmax D(x)),  L_sup = the segmentor's own losses
    L = L_sup + L_pix_u + L_pix_l + L_sem + L_con

CE is the mean over labelled pixels. Teachers run in train mode (BatchNorm statistics of the batch; running ones
drift), as in the release; ``teacher_mode='eval'`` is the other choice, and cheaper.

Deviations: the terms CE(W, .) and CE(D, .) of the release are constants, and neither they nor the student's passes
that only serve them are computed (so the student's BatchNorm statistics see um and x only). Padding of unlabelled
images is ignored by CE; GAP is over all pixels as published. A zero region has similarity 0 instead of NaN. lr 0.0025
(VOC) with ordinary DDP, as CPS. CutMix partner: see CPS.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.models.losses.common import masked_mean, pixel_cross_entropy
from mmseg_weak.models.segmentors import SemiSegmentor
from mmseg_weak.models.teachers.mixing import box_masks, draw_box_uniforms, mix
from mmseg_weak.models.teachers.pseudo import Pseudo, pseudo_from_logits
from mmseg_weak.models.utils import decode_with_embedding

__all__ = ['Answers', 'FrozenTeacher', 'MultiGranularityDistiller', 'cross_labels']


def cross_labels(student: Tensor, teachers: Sequence[tuple[Tensor | None, Tensor]],
                 student_labels: Tensor | None = None, ignore_index: int = 255) -> list[Tensor]:
    """Pixel-level consistency: CE(s, P_T) of every teacher T, and CE(t, P_S) where the student's labels are given.

    Args:
        student: (B,C,H,W) logits.
        teachers: (logits (B,C,H,W), pseudo labels (B,H,W)) of each.
        student_labels: (B,H,W); with frozen teachers their terms are constants that change the log alone.

    Returns:
        The terms, means over labelled pixels.
    """
    pairs = [(student, labels) for _, labels in teachers]
    if student_labels is not None:
        pairs += [(logits, student_labels) for logits, _ in teachers]
    return [masked_mean(pixel_cross_entropy(logits, labels, ignore_index), labels.ne(ignore_index))
            for logits, labels in pairs]


# Where a network lies in checkpoints of our own methods, of plain mmseg, and of TorchSemiSeg and MGD themselves.
_PREFIXES = ('student.', '', 'branch1.')


class FrozenTeacher(nn.Module):
    """A trained segmentor without gradient, in train or eval mode for good.

    Args:
        segmentor: config of an encoder-decoder, or path of a config file that has one as ``model`` (or as
            ``model.segmentor``).
        checkpoint: file of its weights, of a plain mmseg run or of a method of ours (then its student is taken).
        mode: 'train' or 'eval'.

    Raises:
        ConfigError: there is no checkpoint. CheckpointError (in :meth:`init_weights`): it does not fit.
    """

    def __init__(self, segmentor: dict | str, checkpoint: str | None = None, mode: str = 'train') -> None:
        super().__init__()
        if mode not in ('train', 'eval'):
            raise ConfigError(f"model.teacher_mode is {mode!r}; it is 'train' or 'eval'.")
        if isinstance(segmentor, (str, Path)):
            segmentor = Config.fromfile(segmentor).model
            segmentor = segmentor.get('segmentor', segmentor)
        segmentor = {k: v for k, v in segmentor.items() if k != 'data_preprocessor'}
        self.module = MODELS.build(segmentor).requires_grad_(False)
        self.checkpoint, self.mode = checkpoint, mode

    def train(self, mode: bool = True) -> 'FrozenTeacher':
        """Stay in the own mode."""
        return super().train(self.mode == 'train')

    def init_weights(self) -> None:
        """Load the checkpoint."""
        if self.checkpoint is None:
            self.module.init_weights()
            return
        content = CheckpointLoader.load_checkpoint(self.checkpoint, map_location='cpu')
        weights = content.get('state_dict', content)
        wanted = self.module.state_dict().keys()
        found = {prefix: {k[len(prefix):]: v for k, v in weights.items() if k.startswith(prefix)}
                 for prefix in _PREFIXES}
        prefix = max(found, key=lambda p: len(wanted & found[p].keys()))
        chosen = {k: v for k, v in found[prefix].items() if k in wanted}
        missing = sorted(wanted - chosen.keys())
        wrong = [k for k, v in chosen.items() if v.shape != self.module.state_dict()[k].shape]
        if missing or wrong:
            raise CheckpointError(
                f'{self.checkpoint} does not hold the teacher that the config describes: {len(missing)} weights are '
                f'missing and {len(wrong)} have another shape (first: {(missing + wrong)[0]}); give the config that it '
                'was trained with.')
        self.module.load_state_dict(chosen)


@dataclass
class Answers:
    """What a teacher says in a step.

    own: pseudo labels of the unlabelled images; pasted, labelled: (B,H,W) classes of the mixed ones, pasted along the
    mask, and of the labelled ones; logits (B,C,H,W), embedding (B,D,h,w): of the mixed images.
    """
    own: Pseudo
    pasted: Tensor
    labelled: Tensor
    logits: Tensor
    embedding: Tensor


@MODELS.register_module()
class MultiGranularityDistiller(SemiSegmentor):
    """A small student learns pixels, regions and images from a wide and a deep teacher.

    Args:
        segmentor, data_preprocessor: see :class:`SemiSegmentor`; the student.
        wide, deep: config (or config file) of each teacher.
        wide_checkpoint, deep_checkpoint: their weights; without one a teacher keeps its own initialisation.
        semantic, content: configs of a :class:`SemanticSensitiveLoss` and a :class:`RegionContentLoss`; lambda1 0.002
            and lambda2 100 on VOC with ResNet-18.
        boxes: as in :class:`CrossPseudoSupervision`.
        teacher_mode: 'train' or 'eval'.
    """

    def __init__(self, segmentor: dict, wide: dict | str, deep: dict | str, data_preprocessor: dict | None = None,
                 wide_checkpoint: str | None = None, deep_checkpoint: str | None = None, semantic: dict | None = None,
                 content: dict | None = None, boxes: dict | None = None, teacher_mode: str = 'train',
                 **kwargs) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, **kwargs)
        self.wide = FrozenTeacher(wide, wide_checkpoint, teacher_mode)
        self.deep = FrozenTeacher(deep, deep_checkpoint, teacher_mode)
        for name in ('wide', 'deep'):
            classes = getattr(self, name).module.num_classes
            if classes != self.num_classes:
                raise ConfigError(f'model.{name} has {classes} classes and the student {self.num_classes}; teachers '
                                  'and student must know the same classes.')
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        self.semantic = MODELS.build(dict(semantic or dict(type='SemanticSensitiveLoss')))
        self.content = MODELS.build(dict(content or dict(type='RegionContentLoss')))
        boxes = dict(prop_range=(0.25, 0.5), n_boxes=3) | dict(boxes or {})
        self.n_boxes, self.boxes = boxes.pop('n_boxes'), boxes

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The algorithm box above."""
        labelled, own, partner = self.need(inputs, 'sup', 'unsup', 'partner')
        valid, partner_valid = self.need(inputs, 'unsup_valid', 'partner_valid')
        mask = box_masks(draw_box_uniforms(len(own), self.n_boxes), tuple(own.shape[-2:]), device=own.device,
                         **self.boxes)
        mixed, mixed_valid = mix(own, partner, mask), mix(valid, partner_valid, mask)
        wide, deep = (self.ask(teacher, own, partner, mixed, labelled, mask) for teacher in (self.wide, self.deep))
        self.monitor.update(deep.own.labels, deep.own.conf, valid, valid)

        logits, embedding = decode_with_embedding(self.student, self.features(mixed))
        logits = self.upsample(logits, mixed.shape[-2:])
        feats = self.features(labelled)
        small = self.decode(feats)
        losses = self.supervised_loss(small, data_samples['sup'], feats)
        targets = [(None, t.pasted.masked_fill(~mixed_valid, 255)) for t in (wide, deep)]
        losses['loss_pixel_unsup'] = sum(cross_labels(logits, targets))
        losses['loss_pixel_sup'] = sum(cross_labels(self.upsample(small, labelled.shape[-2:]),
                                                    [(None, t.labelled) for t in (wide, deep)]))
        losses[self.semantic.loss_name] = self.semantic(logits, deep.logits)
        losses[self.content.loss_name] = self.content(embedding, wide.embedding)
        return losses

    @torch.no_grad()
    def ask(self, teacher: FrozenTeacher, own: Tensor, partner: Tensor, mixed: Tensor, labelled: Tensor,
            mask: Tensor) -> 'Answers':
        """A teacher on everything; in train mode every batch passes alone, since each has its own statistics."""
        network, batches = teacher.module, [own, partner, labelled]
        if teacher.mode == 'train':
            own_logits, partner_logits, known = (self.logits(x, network) for x in batches)
        else:
            together = self.logits(torch.cat(batches), network)
            own_logits, partner_logits, known = together.split([len(x) for x in batches])
        logits, embedding = decode_with_embedding(network, self.features(mixed, network))
        return Answers(pseudo_from_logits(own_logits), mix(own_logits, partner_logits, mask).argmax(1), known.argmax(1),
                       self.upsample(logits, mixed.shape[-2:]), embedding)
