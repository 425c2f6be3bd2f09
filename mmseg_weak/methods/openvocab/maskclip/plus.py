"""MaskCLIP+: a segmentation network learns from MaskCLIP's labels, later from its own.

The published half of the paper that trains; chongzhou96/MaskCLIP @ 245d31f809be, maskclip_plus_head.py.

f (B,d,h,w): what an mmseg decode head hands to its classifier; t_k: unit text vector of class k, fixed; b: vector of a
background that is learned, where no word can name it; U: classes without labels.

    z_k = f . t_k   (z_0 = f . b / |b|)
    y   = the given label where there is one, and elsewhere, among U,
          argmax_k cos(CLIP's patch, t_k)     in the first ``self_train_from`` iterations; refined as in MaskCLIP
          argmax_k z_k                        from then on, by the network itself
    L   = CE(z, y)

Without masks every pixel of an image is without label and U is all classes (annotation-free). With masks, classes U
are taken out of them first: which pixels they cover stays known, which class they are does not (transductive
zero-shot). ``guide='features'`` lets the network imitate CLIP's features instead of its labels:
mean |f/|f| - F/|F|| over pixels and channels.

Deviations. CLIP sees images with its own mean and deviation; the official code hands it the network's. ``conf_thr``
ignores pixels that CLIP labels, officially given labels as well. The official distillation cuts the network off from
its loss (the features are detached) and trains nothing. The official code has two windows of iterations, which crash
where they overlap and otherwise follow each other: one switch here. A class of several names has the mean of their
vectors in the network and the best of them in CLIP.
"""
import copy
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD, ClassNames, DenseViT, OpenCLIP, max_over_names, named_classes
from mmseg_weak.models.clip.weights import text_length
from mmseg_weak.models.segmentors import StudentSegmentor
from mmseg_weak.models.utils import LateNetwork, current_iter, decode_with_embedding

from .refine import cosine_scores, refine_scores
from .segmentor import dense_and_keys

__all__ = ['MaskCLIPPlus', 'TextClassifier', 'best_unseen', 'class_vectors', 'feature_distance', 'hide_unseen']


def class_vectors(texts: Tensor, owner: Sequence[int]) -> Tensor:
    """Unit vectors of names (n,d) -> of classes (K,d): the mean of a class's names, of unit length."""
    index = torch.tensor(list(owner), device=texts.device)
    return F.normalize(texts.new_zeros(int(index[-1]) + 1, texts.shape[1]).index_add_(0, index, texts), dim=1)


def hide_unseen(labels: Tensor, unseen: Tensor, ignore_index: int = 255) -> tuple[Tensor, Tensor]:
    """Take classes out of masks.

    Args:
        labels: (B,H,W) long.
        unseen: (u,) classes.
        ignore_index: of the mask.

    Returns:
        (B,H,W) labels, ``ignore_index`` where a class was taken out; (B,H,W) bool, True there.
    """
    hidden = torch.isin(labels, unseen)
    return labels.masked_fill(hidden, ignore_index), hidden


def best_unseen(scores: Tensor, unseen: Tensor, size: tuple[int, int], align_corners: bool = False,
                conf_thr: float = 0.0, ignore_index: int = 255) -> Tensor:
    """Label every pixel with a class that has no labels.

    Args:
        scores: (B,u,h,w) of those classes; enlarged (bilinear) to ``size``.
        unseen: (u,) their indices.
        size: (H,W).
        align_corners: of the enlargement.
        conf_thr: pixels whose best score is lower are ``ignore_index``; 0: none.
        ignore_index: see there.

    Returns:
        (B,H,W) long.
    """
    best, place = F.interpolate(scores, size, mode='bilinear', align_corners=align_corners).max(1)
    labels = unseen[place]
    return labels.masked_fill(best < conf_thr, ignore_index) if conf_thr > 0 else labels


def feature_distance(features: Tensor, target: Tensor, mask: Tensor, align_corners: bool = False) -> Tensor:
    """Mean |f/|f| - F/|F|| over channels and the pixels of a mask; 0 where there is none.

    Args:
        features: (B,d,h,w) of the network.
        target: (B,d,h',w') of CLIP.
        mask: (B,H,W) bool; both are enlarged to its size.
        align_corners: of the enlargement.
    """
    size = tuple(mask.shape[-2:])
    unit, wanted = (F.interpolate(F.normalize(x.float(), dim=1), size, mode='bilinear', align_corners=align_corners)
                    for x in (features, target))
    gaps = (unit - wanted).abs().mean(1) * mask
    return gaps.sum() / mask.sum().clamp_min(1)


class TextClassifier(nn.Module):
    """A 1x1 convolution whose rows are names and never learn, but perhaps for the first, a background's.

    Its state is that of an ordinary convolution, so that the network runs without this package after training.

    Args:
        channels: d.
        num_classes: K.
        background: (1,d) parameter of another module: row 0 is its direction.
    """

    def __init__(self, channels: int, num_classes: int, background: nn.Parameter | None = None) -> None:
        super().__init__()
        self.in_channels, self.out_channels = channels, num_classes
        self.register_buffer('weight', torch.zeros(num_classes, channels, 1, 1))
        self.register_buffer('bias', torch.zeros(num_classes))
        self._background = (background, )  # in a tuple: it stays the other module's

    def rows(self) -> Tensor:
        """(K,d,1,1)."""
        background, = self._background
        if background is None:
            return self.weight
        return torch.cat([F.normalize(background, dim=1)[:, :, None, None].to(self.weight), self.weight[1:]])

    @torch.no_grad()
    def write(self, vectors: Tensor) -> None:
        """Set the rows of names, the last ones: (k,d)."""
        self.weight[-len(vectors):] = vectors[:, :, None, None].to(self.weight)
        self.bias.zero_()  # mmseg initialises a head's classifier

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        with torch.no_grad():
            self.weight.copy_(self.rows())
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def forward(self, x: Tensor) -> Tensor:
        """(B,d,h,w) -> (B,K,h,w)."""
        return F.conv2d(x, self.rows(), self.bias)


@MODELS.register_module()
class MaskCLIPPlus(StudentSegmentor):
    """MaskCLIP+, see the module.

    Args:
        segmentor: any mmseg ``EncoderDecoder`` whose head ends in ``conv_seg`` and has as many ``channels`` as a text
            vector is long (ViT-B: 512, RN50: 1024; None is filled in). Paper: DeepLabV2 and DeepLabV3+ with ResNet-101.
        clip: config of :class:`.OpenCLIP` with ``attention='value'``. It is built when training starts.
        names: see :func:`.named_classes`.
        background: words of a class 0, see there; 'learned': a class 0 without words, of which CLIP says nothing, so
            it needs masks.
        unseen: indices of the classes without labels; None: all that have names.
        self_train_from: iteration from which the network labels the pixels itself; None: never. Paper: a tenth of the
            run in the zero-shot setting, never in the annotation-free one.
        guide: what CLIP gives, 'labels' or 'features'.
        pd_thr, ks_thr, keys_as_published: of CLIP's labels, see :class:`.MaskCLIPSegmentor`; 0: off, as in most
            official configs.
        conf_thr: least score (cosine, or probability with ``ks_thr``) of a label of CLIP's; 0: off.
        distill_weight: of the term of ``guide='features'``.
        distill_labelled: whether that term also counts on pixels with labels.
        data_preprocessor, channels_last, init_cfg: of :class:`.StudentSegmentor`.

    Raises:
        ConfigError: the head does not fit the names or the text vectors, or settings contradict each other.
    """

    def __init__(self, segmentor: dict, clip: dict, names: str | Iterable[str],
                 background: str | Iterable[str] | None = None, unseen: Sequence[int] | None = None,
                 self_train_from: int | None = None, guide: str = 'labels', pd_thr: float = 0.0, ks_thr: float = 0.0,
                 keys_as_published: bool = False, conf_thr: float = 0.0, distill_weight: float = 1.0,
                 distill_labelled: bool = True, data_preprocessor: dict | None = None, channels_last: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(self.plain_config(dict(segmentor=segmentor, clip=clip)), data_preprocessor=data_preprocessor,
                         channels_last=channels_last, init_cfg=init_cfg)
        learned = background == 'learned'
        self.names: ClassNames = named_classes(names, None if learned else background)
        if self.num_classes != len(self.names.classes) + learned:
            raise ConfigError(f'model.segmentor.decode_head.num_classes is {self.num_classes}, and there are '
                              f'{len(self.names.classes)} classes of names'
                              f'{" and a learned background" if learned else ""}; make both equal.')
        if guide not in ('labels', 'features'):
            raise ConfigError(f"model.guide={guide!r}; MaskCLIP+ learns from CLIP's 'labels' or 'features'.")
        first = int(learned)
        unseen = list(range(first, self.num_classes)) if unseen is None else sorted({int(u) for u in unseen})
        if not unseen or min(unseen) < first or max(unseen) >= self.num_classes:
            raise ConfigError(f'model.unseen={unseen}; name classes from {first} to {self.num_classes - 1}'
                              f'{", since the learned background has no words" if learned else ""}.')
        if learned and len(unseen) == self.num_classes - 1:
            raise ConfigError("model.background='learned' is learned from masks, and model.unseen leaves no class that "
                              'has any; give words of the background, or None.')
        self.register_buffer('unseen', torch.tensor(unseen), persistent=False)
        place = {label - first: n for n, label in enumerate(unseen)}
        self._asked = [n for n, owner in enumerate(self.names.owner) if owner in place]  # names of unseen classes
        self._asked_owner = [place[self.names.owner[n]] for n in self._asked]
        self.clip = LateNetwork(dict(clip))
        self.self_train_from, self.guide, self.conf_thr = self_train_from, guide, conf_thr
        self.distill_weight, self.distill_labelled = distill_weight, distill_labelled
        self.refine = dict(pd_thr=pd_thr, ks_thr=ks_thr, as_published=keys_as_published)
        if not isinstance(getattr(self.head, 'conv_seg', None), nn.Conv2d):
            raise ConfigError(f'{type(self.head).__name__} has no conv_seg, in whose place the names would stand; use '
                              'a decode head of mmseg that ends in cls_seg().')
        width = self.head.conv_seg.in_channels
        self.background = nn.Parameter(torch.randn(1, width)) if learned else None
        self.head.conv_seg = TextClassifier(width, self.num_classes, self.background)
        self._texts: Tensor | None = None

    @staticmethod
    def plain_config(config: dict) -> dict:
        """The network's config, with the length of a text vector as the channels of its (last) head.

        Args:
            config: of the model; its ``segmentor`` and ``clip`` matter.

        Raises:
            ConfigError: the head names another number.
        """
        segmentor, name = copy.deepcopy(config['segmentor']), config['clip'].get('name', 'ViT-B-16')
        length, head = text_length(name), segmentor.get('decode_head') or {}
        head = head[-1] if isinstance(head, (list, tuple)) else head
        if head.get('channels') not in (None, length):
            raise ConfigError(f'model.segmentor.decode_head.channels is {head["channels"]}, and a name of {name} is a '
                              f'vector of {length}; set channels={length}.')
        head['channels'] = length
        return segmentor

    @property
    def head(self) -> nn.Module:
        """The (last) decode head of the network."""
        head = self.student.decode_head
        return head[-1] if isinstance(head, nn.ModuleList) else head

    def init_weights(self) -> None:
        """The network's own way, then the names into its classifier."""
        super().init_weights()
        self.texts()

    @torch.no_grad()
    def texts(self) -> Tensor:
        """(n,d) unit vectors of the names, which are in the classifier afterwards.

        Raises:
            ConfigError: keys are wanted of a ResNet.
        """
        if self._texts is not None:
            return self._texts
        clip: OpenCLIP = self.clip.build()
        if self.refine['ks_thr'] and not isinstance(clip.vision, DenseViT):
            raise ConfigError(f'model.ks_thr={self.refine["ks_thr"]}: {clip.name} is a ResNet, whose patches have no '
                              'keys to smooth by; set it to 0, or take a ViT.')
        texts = clip.encode_names(self.names)
        self.head.conv_seg.write(class_vectors(texts, self.names.owner))
        self._texts = texts.to(self.unseen.device)
        return self._texts

    # ---- training ---------------------------------------------------------------------------------------------------

    def clip_features(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """CLIP's patches (B,d,h,w), and keys (B,hw,D) where labels are smoothed by them, of normalised images."""
        pre = self.data_preprocessor
        raw = images * pre.std + pre.mean if getattr(pre, '_enable_normalize', False) else images
        mean, std = (torch.tensor(v, device=raw.device).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
        return dense_and_keys(self.clip.on(raw.device), (raw.float() - mean) / std, bool(self.refine['ks_thr']))

    @torch.no_grad()
    def clip_scores(self, images: Tensor) -> Tensor:
        """MaskCLIP's scores of the unseen classes, (B,u,h,w)."""
        texts = self.texts()
        dense, keys = self.clip_features(images)
        scores = refine_scores(cosine_scores(dense, texts[self._asked].to(dense)), keys, **self.refine)
        return max_over_names(scores, self._asked_owner)

    @property
    def guided(self) -> bool:
        """Whether CLIP, not the network, says what has no label."""
        return self.self_train_from is None or current_iter() < self.self_train_from

    def given_labels(self, samples: list, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Labels (B,H,W) without those of unseen classes, and where there is none but a pixel (B,H,W) bool."""
        if 'gt_sem_seg' in samples[0]:
            return hide_unseen(torch.stack([s.gt_sem_seg.data[0] for s in samples]), self.unseen,
                               self.head.ignore_index)
        inside = torch.zeros(len(samples), *size, dtype=torch.bool, device=self.unseen.device)
        for row, sample in enumerate(samples):
            height, width = sample.metainfo.get('img_shape', size)[:2]
            inside[row, :height, :width] = True
        return torch.full_like(inside, self.head.ignore_index, dtype=torch.long), inside

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The algorithm box of the module."""
        size = tuple(inputs.shape[-2:])
        self.texts()  # where nobody initialised the weights
        given, missing = self.given_labels(data_samples, size)
        feats = self.features(inputs)
        logits, embedding = decode_with_embedding(self.student, feats)
        losses, labels = {}, given
        if self.guided and self.guide == 'features':
            with torch.no_grad():
                target = self.clip_features(inputs)[0]
            mask = missing | (given != self.head.ignore_index) if self.distill_labelled else missing
            losses['loss_distill'] = self.distill_weight * feature_distance(embedding, target, mask,
                                                                            self.align_corners)
        else:
            scores = self.clip_scores(inputs) if self.guided else logits.detach()[:, self.unseen].float()
            found = best_unseen(scores, self.unseen, size, self.align_corners, self.conf_thr if self.guided else 0.0,
                                self.head.ignore_index)
            labels = torch.where(missing, found, given)
        for sample, label in zip(data_samples, labels):
            sample.gt_sem_seg = PixelData(data=label[None])
        losses.update(self.supervised_loss(logits, data_samples, feats))
        losses['labelled'] = (labels != self.head.ignore_index).float().mean()
        return losses
