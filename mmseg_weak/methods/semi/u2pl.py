"""U2PL: Semi-Supervised Semantic Segmentation Using Unreliable Pseudo-Labels, CVPR 2022.

arXiv 2203.03884; official repository Haochen-Wang409/U2PL @ ab3d2be (Apache-2.0).

Steps 1 to 5 of :class:`EntropySelfTraining`, with the kept share p_e = 100 - (100 - 80)(1 - epoch/epochs), and

    6  alpha_t = 20 (1 - epoch/epochs); low mask H <= percentile(alpha_t), high mask H >= percentile(100 - alpha_t);
       labelled pixels are in both; masks and labels nearest-resized to the representation r (B,256,h,w), h = H/4
    7  L_c = mean over the classes present of InfoNCE( anchors of r_s | mean of r_t | bank of negatives ), see
       :class:`UnreliableContrastLoss`
    L = L_s + L_u + L_c

r is a branch of two 3x3 layers and a 1x1 on the features that the decode head's classifier sees: in :class:`U2PLHead`
the 512 channels of the published DeepLabV3+, in any other mmseg head what it has there. The branch has an EMA of its
own; the student stays a plain mmseg segmentor.

Deviations: those of :class:`EntropySelfTraining`; in the contrast everything is indexed by class id, negatives follow
the paper's rule, and prototypes are off as in the published configs (:class:`UnreliableContrastLoss`,
``as_published``). The release's weight of L_c is 1 / number of GPUs: set ``contrast.loss_weight``.
"""
import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmseg.models.decode_heads import ASPPHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.models.losses.unreliable_contrast import entropy_split, resize_mask, to_onehot
from mmseg_weak.models.segmentors import EntropySelfTraining
from mmseg_weak.models.teachers.ema import EMATeacher
from mmseg_weak.models.utils import decode_with_embedding, embedding_channels, train_mode

__all__ = ['U2PL', 'RepresentationBranch', 'U2PLHead']


def _branch(in_channels: int, channels: int, out_channels: int, dropout: float, norm_cfg: dict | None) -> nn.Sequential:
    """Twice (3x3, norm, ReLU, Dropout2d), then 1x1; the convolutions have biases."""
    layers: list[nn.Module] = []
    for width in (in_channels, channels):
        norm = [] if norm_cfg is None else [build_norm_layer(norm_cfg, channels)[1]]
        layers += [nn.Conv2d(width, channels, 3, padding=1), *norm, nn.ReLU(inplace=True), nn.Dropout2d(dropout)]
    return nn.Sequential(*layers, nn.Conv2d(channels, out_channels, 1))


class RepresentationBranch(nn.Module):
    """Features before the classifier (B,D,h,w) to representations (B,out_channels,h,w)."""

    def __init__(self, in_channels: int, channels: int = 256, out_channels: int = 256, dropout: float = 0.1,
                 norm_cfg: dict | None = None) -> None:
        super().__init__()
        self.layers = _branch(in_channels, channels, out_channels, dropout, norm_cfg)

    def forward(self, embedding: Tensor) -> Tensor:
        """Apply the branch."""
        return self.layers(embedding)


@MODELS.register_module()
class U2PLHead(ASPPHead):
    """U2PL's DeepLabV3+ decoder: ASPP, 3x3, concat with a 1x1 of low-level features, classifier of three layers.

    Args:
        c1_in_channels, c1_channels: of the low-level features (feature 0). Published: 256 and 256.
        dilations: of the ASPP. Published: 1, 12, 24, 36.
        classifier_dropout: channel dropout inside the classifier.
        kwargs: as of mmseg's ``ASPPHead``; ``channels`` 256.
    """

    def __init__(self, c1_in_channels: int = 256, c1_channels: int = 256,
                 dilations: tuple[int, ...] = (1, 12, 24, 36), classifier_dropout: float = 0.1, **kwargs) -> None:
        kwargs.setdefault('dropout_ratio', 0.0)
        super().__init__(dilations=dilations, **kwargs)
        style = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.c1_bottleneck = ConvModule(c1_in_channels, c1_channels, 1, **style)
        self.conv_seg = _branch(self.channels + c1_channels, self.channels, self.out_channels, classifier_dropout,
                                self.norm_cfg)
        self.init_cfg = dict(type='Normal', std=0.01, override=dict(name='conv_seg'))

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Logits (B,C,h,w) at the resolution of feature 0."""
        deep = self._forward_feature(inputs)
        low = self.c1_bottleneck(inputs[0])
        deep = resize(deep, size=low.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.cls_seg(torch.cat([low, deep], 1))


@MODELS.register_module()
class U2PL(EntropySelfTraining):
    """Entropy-filtered self-training with a contrast against unreliable pixels.

    Args:
        segmentor: any mmseg encoder-decoder whose head ends in ``cls_seg``; the paper's head is :class:`U2PLHead`.
        contrast: arguments of :class:`UnreliableContrastLoss` (``high_rank``, ``bank_size``, ...).
        low_entropy_percent: alpha_0, 20.
        rep_channels: width of the representation. rep_dropout: of its branch. rep_norm_cfg: norm layers; None takes
            the decode head's.
        sup_only_epochs: 1 (VOC), 0 (Cityscapes).
        kwargs: see :class:`EntropySelfTraining`.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, teacher: dict | None = None,
                 contrast: dict | None = None, low_entropy_percent: float = 20.0, rep_channels: int = 256,
                 rep_dropout: float = 0.1, rep_norm_cfg: dict | None = None, ramp_percent: bool = True,
                 sup_only_epochs: int = 1, **kwargs) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, teacher=teacher, ramp_percent=ramp_percent,
                         sup_only_epochs=sup_only_epochs, **kwargs)
        head = self.student.decode_head
        head = head[-1] if isinstance(head, nn.ModuleList) else head
        self.representation = RepresentationBranch(embedding_channels(self.student), rep_channels, rep_channels,
                                                   rep_dropout, rep_norm_cfg or head.norm_cfg)
        follow = dict(momentum=0.01, warmup='inverse', buffers='leave') if teacher is None else dict(teacher)
        self.representation_teacher = EMATeacher(self.representation, **follow)
        self.contrast = MODELS.build(dict(type='UnreliableContrastLoss', as_published=self.as_published)
                                     | dict(contrast or {}) | dict(num_classes=self.num_classes,
                                                                   feat_channels=rep_channels))
        self.low_entropy_percent = low_entropy_percent

    def update_teacher(self) -> None:
        """Both averages move together."""
        before = self.teacher.updates
        super().update_teacher()
        if self.teacher.updates > before:
            self.representation_teacher.update(self.representation)

    def teacher_pairs(self) -> list[tuple[nn.Module, EMATeacher]]:
        """Networks and their averages."""
        return [(self.student, self.teacher), (self.representation, self.representation_teacher)]

    def _start_teacher(self) -> None:
        first = not self._started
        super()._start_teacher()
        if first or (self.as_published and self.teacher.updates < self.epoch_length()):
            self.representation_teacher.copy_from(self.representation)

    def decode_student(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits and representation."""
        logits, embedding = decode_with_embedding(self.student, feats)
        return logits, self.representation(embedding)

    @torch.no_grad()
    def second_pass(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the teacher, in train mode."""
        network, branch = self.teacher.module, self.representation_teacher.module
        with train_mode(network, branch):
            logits, embedding = decode_with_embedding(network, self.features(images, network))
            return logits, branch(embedding)

    def more_losses(self, embedding: Tensor, teacher_embedding: Tensor, teacher: Tensor, teacher_logits: Tensor,
                    label: Tensor, samples: list) -> dict[str, Tensor]:
        """Steps 6 and 7."""
        truth = torch.cat([s.gt_sem_seg.data for s in samples])
        ignore, size = self.unsup.ignore_index, embedding.shape[-2:]
        percent = self.low_entropy_percent * (1 - self.epoch_share())
        low, high, *_ = entropy_split(label, teacher_logits, percent, ignore)
        known = truth.ne(ignore)
        low, high = (resize_mask(torch.cat([known, mask]), size) for mask in (low, high))
        onehot = torch.cat([to_onehot(x, self.num_classes, size) for x in (truth, label)])
        probs = resize(teacher.float(), size, mode='bilinear', align_corners=self.align_corners).softmax(1)
        return {self.contrast.loss_name: self.contrast(embedding, teacher_embedding, onehot, probs, low, high,
                                                       len(truth), step=self.teacher.updates)}
