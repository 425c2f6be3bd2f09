"""CW-BASS: Confidence-Weighted Boundary-Aware Learning for Semi-Supervised Semantic Segmentation, IJCNN 2025.

arXiv 2502.15152 (v2); official repository psychofict/CW-BASS @ 4cad82c (MIT). Read from the code: the paper describes
two stages, the code trains online in one loop, and so does this.

Student s and EMA teacher t (eval mode, fixed decay 0.999, BatchNorm statistics copied) see the *same* view u:

    p = softmax t(u),  c = max p,  q = argmax p,  b = [Sobel of onehot(q) is not 0]            (q before thresholding)
    T = clip( T0 / (1 + exp(-beta (mean c - 1/2))), 0.3, 0.8 ),  q' = q where c > T, else 255
    L_u = sum(c^gamma e v) / max(sum v, 1) + 1/2 sum(e b v) / max(sum(b v), 1),  e = CE(s(u), q'),  v = [q' != 255]
    L = CE(s(x), y) + lambda_u min(1, i / (warm-up epochs * iterations of one)) L_u

Labelled and unlabelled images pass the student apart (BatchNorm statistics per sub-batch).

Deviations: padding of unlabelled images has label 255 and does not enter the mean of c. An epoch is one over the
unlabelled list (the release: the longer of the two loaders). Known from its author's later work: the threshold drifts
to its clamp; ``unsup=dict(type='ConfidenceWeightedBoundaryLoss', fixed_thr=0.95)`` is the strict alternative.
"""
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.models.segmentors import SemiSegmentor
from mmseg_weak.models.utils import current_iter, iters_per_epoch

__all__ = ['CWBASS', 'linear_ramp']


def linear_ramp(iteration: int, length: float) -> float:
    """min(1, iteration / length); 1 where the length is 0."""
    return min(1.0, iteration / length) if length > 0 else 1.0


@MODELS.register_module()
class CWBASS(SemiSegmentor):
    """A student learns its teacher's labels by confidence, and once more along their boundaries.

    Args:
        segmentor, data_preprocessor: see :class:`SemiSegmentor`.
        teacher: see :class:`EMATeacher`; default momentum 0.001, buffers copied, eval mode.
        unsup: config of a :class:`ConfidenceWeightedBoundaryLoss`; its ``loss_weight`` is lambda_u.
        warmup_epochs: over the unlabelled list. Paper: 5.
        warmup_iters: the same in iterations, in place of ``warmup_epochs``.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, teacher: dict | None = None,
                 unsup: dict | None = None, warmup_epochs: float = 5, warmup_iters: int | None = None,
                 **kwargs) -> None:
        teacher = dict(momentum=0.001, buffers='copy', mode='eval') if teacher is None else teacher
        super().__init__(segmentor, teacher=teacher, data_preprocessor=data_preprocessor, **kwargs)
        self.unsup = MODELS.build(dict(unsup or dict(type='ConfidenceWeightedBoundaryLoss')))
        self.warmup_epochs, self.warmup_iters = warmup_epochs, warmup_iters

    def ramp(self) -> float:
        """r(i), from the run's iteration."""
        length = self.warmup_iters
        if length is None:
            length = self.warmup_epochs * iters_per_epoch() if self.warmup_epochs > 0 else 0
        return linear_ramp(current_iter(), length)

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The algorithm box above."""
        labelled, images, valid = self.need(inputs, 'sup', 'unsup', 'unsup_valid')
        feats = self.features(labelled)
        losses = self.supervised_loss(self.decode(feats), data_samples['sup'], feats)
        pseudo = self.unsup.pseudo(self.teacher_logits(images), valid)
        kept = pseudo['labels'].ne(self.unsup.ignore_index)
        self.monitor.update(pseudo['argmax'], pseudo['conf'], kept, valid)
        weighted, edge = self.unsup.from_pseudo(self.logits(images), pseudo)
        weight = self.unsup.loss_weight * self.ramp()
        return dict(losses, loss_weighted=weight * weighted,
                    loss_boundary=weight * self.unsup.boundary_weight * edge, conf_thr=pseudo['thr'],
                    kept_ratio=kept.sum() / valid.sum().clamp_min(1))
