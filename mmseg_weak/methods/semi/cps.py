"""CPS: Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision, CVPR 2021.

arXiv 2106.01226; official repository charlesCXK/TorchSemiSeg @ 5e0c29c (MIT).

Two networks f1, f2 of one architecture and pretrained backbone with differently initialised heads, both trained; hard
labels, no threshold:

    L = CE(f1(x), y) + CE(f2(x), y) + w ( CE(f1(z), P2) + CE(f2(z), P1) )

    plain    z = labelled and unlabelled images,  P_n = argmax f_n(z) of the same pass
    cutmix   z = mix(u0, u1, M),  P_n = argmax mix( f_n(u0), f_n(u1), M ) of passes without gradient in train mode,
             which move BatchNorm statistics; M has 3 boxes of U[0.25, 0.5] of the area together, toggling where
             they overlap

CE is the mean over labelled pixels of P, without gradient into P. w: VOC 1.5 plain, 1 with CutMix; Cityscapes 6 and 5.
The first network predicts. lr: 0.0025 (VOC) with ordinary DDP; the release multiplies it with the number of GPUs and
divides the loss by it.

Deviations: padding of unlabelled images is ignored. CutMix partner: another image by default, in the release another
crop of the same photograph (``MultiSourceSampler(partner='same_image')``).
"""
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.losses.common import masked_mean, pixel_cross_entropy
from mmseg_weak.models.segmentors import SemiSegmentor
from mmseg_weak.models.teachers.mixing import box_masks, draw_box_uniforms, mix
from mmseg_weak.models.teachers.pseudo import Pseudo, pseudo_from_logits
from mmseg_weak.models.utils import train_mode

__all__ = ['CrossPseudoSupervision', 'cross_pseudo_losses']


def cross_pseudo_losses(first: Tensor, second: Tensor, first_pseudo: Pseudo, second_pseudo: Pseudo) -> list[Tensor]:
    """CE(f1, P2) and CE(f2, P1), means over valid pixels; (B,C,H,W) logits."""
    return [masked_mean(pixel_cross_entropy(logits, pseudo.labels), pseudo.valid)
            for logits, pseudo in ((first, second_pseudo), (second, first_pseudo))]


@MODELS.register_module()
class CrossPseudoSupervision(SemiSegmentor):
    """Two networks teach each other.

    Args:
        segmentor: built twice; both load the pretrained backbone, their heads are drawn apart.
        data_preprocessor: see :class:`SemiSegmentor`.
        mix: 'cutmix' (needs the partner branch) or 'none'.
        cps_weight: w above.
        boxes: ``prop_range``, ``n_boxes`` and the other shape options of :func:`box_masks`.
    """

    def __init__(self, segmentor: dict, data_preprocessor: dict | None = None, mix: str = 'cutmix',
                 cps_weight: float = 1.0, boxes: dict | None = None, **kwargs) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, **kwargs)
        if mix not in ('cutmix', 'none'):
            raise ConfigError(f"model.mix is {mix!r}; CrossPseudoSupervision knows 'cutmix' and 'none'.")
        self.second: nn.Module = MODELS.build({k: v for k, v in segmentor.items() if k != 'data_preprocessor'})
        if self.channels_last:
            self.second.to(memory_format=torch.channels_last)
        self.mix, self.cps_weight = mix, cps_weight
        boxes = dict(prop_range=(0.25, 0.5), n_boxes=3) | dict(boxes or {})
        self.n_boxes, self.boxes = boxes.pop('n_boxes'), boxes

    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """Supervised losses of both networks and the crosswise ones."""
        images, = self.need(inputs, 'sup')
        networks, losses, labelled = (self.student, self.second), {}, []
        for prefix, network in zip(('sup', 'sup2'), networks):
            feats = self.features(images, network)
            logits = self.decode(feats, network)
            losses.update(self.supervised_loss(logits, data_samples['sup'], feats, prefix, network))
            labelled.append(logits)
        logits, pseudo = getattr(self, f'_{self.mix}')(inputs, [self.upsample(x, images.shape[-2:]) for x in labelled])
        first, second = cross_pseudo_losses(*logits, *pseudo)
        return dict(losses, loss_cps_first=self.cps_weight * first, loss_cps_second=self.cps_weight * second)

    def _none(self, inputs: dict[str, Tensor], labelled: list[Tensor]) -> tuple[list[Tensor], list[Pseudo]]:
        """Logits and pseudo labels of both networks on labelled and unlabelled images."""
        images, valid = self.need(inputs, 'unsup', 'unsup_valid')
        whole = torch.cat([torch.ones_like(valid[:1]).expand(len(labelled[0]), -1, -1), valid])
        logits = [torch.cat([part, self.logits(images, network)])
                  for part, network in zip(labelled, (self.student, self.second))]
        pseudo = [pseudo_from_logits(x, whole) for x in logits]
        own = pseudo[0].labels[-len(images):], pseudo[0].conf[-len(images):]
        self.monitor.update(*own, valid, valid)
        return logits, pseudo

    def _cutmix(self, inputs: dict[str, Tensor], labelled: list[Tensor]) -> tuple[list[Tensor], list[Pseudo]]:
        """The same on mixed images; labelled ones take no part."""
        own, partner, valid, partner_valid = self.need(inputs, 'unsup', 'partner', 'unsup_valid', 'partner_valid')
        mask = box_masks(draw_box_uniforms(len(own), self.n_boxes), tuple(own.shape[-2:]), device=own.device,
                         **self.boxes)
        mixed, mixed_valid = mix(own, partner, mask), mix(valid, partner_valid, mask)
        logits, pseudo = [], []
        for network in (self.student, self.second):
            with torch.no_grad(), train_mode(network):
                alone = self.logits(own, network)
                pasted = mix(alone, self.logits(partner, network), mask)
            if network is self.student:
                seen = pseudo_from_logits(alone, valid)
                self.monitor.update(seen.labels, seen.conf, valid, valid)
            pseudo.append(pseudo_from_logits(pasted, mixed_valid))
            logits.append(self.logits(mixed, network))
        return logits, pseudo
