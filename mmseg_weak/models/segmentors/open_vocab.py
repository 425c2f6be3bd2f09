"""The frame of the methods that find what class names say, without training for them."""
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD, ClassNames, KeptFeatures, keep_features
from mmseg_weak.models.clip.benchmark_names import common_names, named_classes
from mmseg_weak.models.clip.given_texts import GivenTexts
from mmseg_weak.models.clip.refined import RefinedFeatures
from mmseg_weak.models.utils.weights import resolve_weights  # noqa: F401  (registers the mmseg_weak:// scheme)

from .tag import image_boxes

__all__ = ['OpenVocabSegmentor', 'forgive_nothing']

_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_TEST = dict(short_side_px=448, long_side_px=2048, crop_px=224, stride_px=112, multiple_px=1, window_batch=16,
             scale=40.0, prob_thr=0.0, area_thr=None, scores=False)
_COMMON = dict(short_side_px=448, long_side_px=2048, crop_px=224, stride_px=112, prob_thr=0.0, area_thr=None)
_KEPT_TEXTS = 8  # lists of names whose embeddings stay in memory


@MODELS.register_module()
class OpenVocabSegmentor(BaseSegmentor):
    """Masks of what names say: features of windows, cosines with names, the best class of each pixel.

    Images come as they are, in RGB from 0 to 255: the segmentor resizes them (the short side to ``short_side_px``, the
    long one to at most ``long_side_px``, rounded to whole colours as an image file would be) and normalises them for
    each of its networks. Cosines of a window's patches are enlarged to the window, averaged over windows, and enlarged
    to the photograph. Then, at its size: refinement by colours, softmax over names of ``scale`` times the cosine, a
    class's best name, classes of less than ``area_thr`` of the foreground left out, ``background`` where the best class
    has less than ``prob_thr``.

    Args:
        clip: config of :class:`.OpenCLIP`; its settings are the method.
        names: see :func:`.benchmark_names.named_classes`.
        background: words of a class 0, see there.
        as_published: keep mistakes of published lists, see there.
        embeddings: ``.npy`` file of the embeddings of ``names``, background first where there is one, in the place of
            the text tower's: one row a name or one a class, see :class:`.given_texts.GivenTexts`. Then no other names
            can be looked for.
        proxy: config of a backbone whose last feature map the attention 'proxyclip' mixes by; it sees the same windows
            with ImageNet's normalisation.
        refiner: config of PAMR or PAR, on cosines (NACLIP).
        crf: config of ``DenseCRF``, on the probabilities of the classes that are predicted somewhere.
        protocol: 'paper' takes all settings as they are. 'common' compares methods: short side 448, windows of 224 at
            a stride of 112, the 80 ImageNet templates, one list of names a benchmark
            (:func:`.benchmark_names.common_names`), no threshold and no refinement; the tower and ``scale`` stay.
        test_cfg: ``short_side_px``, ``long_side_px``; ``crop_px`` and ``stride_px`` of the windows, a ``crop_px`` of 0
            takes the image whole; ``multiple_px``: windows are extended by zeros to such a multiple; ``window_batch``:
            windows in one forward; ``scale``, ``prob_thr``, ``area_thr``: see above; ``scores``: also give every
            class's probabilities, which needs classes x pixels of memory.
        data_preprocessor: mmseg's ``SegDataPreProcessor`` without mean and std; RGB from BGR by default.

    Raises:
        ConfigError: an unknown key or value, or see :class:`.OpenCLIP`.
    """

    left_out: tuple[str, ...] = ()  # prefixes of weights that the config names and checkpoints do without
    sees_photograph = False  # whether :meth:`keep` wants images at their own size, not at :meth:`target_size`

    def __init__(self, clip: dict, names: str | Iterable[str] = 'voc20', background: str | Iterable[str] | None = None,
                 as_published: bool = False, proxy: dict | None = None, refiner: dict | None = None,
                 crf: dict | None = None, protocol: str = 'paper', test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 embeddings: str | None = None) -> None:
        data_preprocessor = data_preprocessor or dict(type='SegDataPreProcessor', bgr_to_rgb=True, pad_val=0,
                                                      seg_pad_val=255)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if getattr(self.data_preprocessor, '_enable_normalize', False):
            raise ConfigError('model.data_preprocessor has a mean and std; the networks of an OpenVocabSegmentor '
                              'differ in theirs and normalise themselves: leave them out.')
        if protocol not in ('paper', 'common'):
            raise ConfigError(f"model.protocol={protocol!r}; it is 'paper' or 'common'.")
        self.test_cfg = _settings(test_cfg)
        clip = dict(clip)
        if protocol == 'common':
            names, background = common_names(names, background)
            self.test_cfg.update(_COMMON)
            clip['templates'], refiner, crf = 'imagenet', None, None
        self.protocol = protocol
        self.names = named_classes(names, background, as_published=as_published and protocol == 'paper')
        self.num_classes = len(self.names.classes)
        self.clip = MODELS.build(clip)
        self.given = None
        if embeddings is not None:
            self.given = GivenTexts(embeddings, self.names, self.clip.embed_dim, self.clip.name)
            self.names = self.given.names
        self.proxy = MODELS.build(proxy).requires_grad_(False).eval() if proxy else None
        if self.proxy is not None:
            self.proxy.init_weights()  # a runner does so before training only
        self.refiner = MODELS.build(refiner) if refiner else None
        self.crf = MODELS.build(crf) if crf else None
        if self.refiner is not None and not hasattr(self.refiner, 'dilations'):
            raise ConfigError(f'model.refiner is {type(self.refiner).__name__}, which looks at all names at once; '
                              'PAMR and PAR refine cosines, and DenseCRF goes into model.crf.')
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_post_hook(forgive_nothing)
        self._texts: OrderedDict[ClassNames, Tensor] = OrderedDict()
        self.align_corners = False

    # ---- the image's side -----------------------------------------------------------------------------------------

    @property
    def patch_size(self) -> int:
        """Pixels of the tower's patch (of a ResNet: its whole stride)."""
        return getattr(self.clip.vision, 'patch_size', 32)

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that an image is resized to, rounded as mmcv does."""
        cfg = self.test_cfg
        factor = min(cfg['short_side_px'] / min(height, width), cfg['long_side_px'] / max(height, width))
        return max(int(height * factor + 0.5), 1), max(int(width * factor + 0.5), 1)

    def resized(self, image: Tensor) -> Tensor:
        """(3,H,W) RGB, 0 to 255 -> (3,h,w), whole numbers."""
        size, image = self.target_size(*image.shape[-2:]), image.float()
        if size == tuple(image.shape[-2:]):
            return image
        return F.interpolate(image[None], size, mode='bilinear', align_corners=False)[0].round_().clamp_(0, 255)

    def encode(self, windows: Tensor) -> Tensor:
        """Normalised windows (n,3,c,c) -> (n,d,h,w) unit features."""
        if self.proxy is None:
            return self.clip.encode_dense(windows)
        return self.clip.encode_dense(windows, external=self.proxy_map(windows))

    def proxy_map(self, windows: Tensor) -> Tensor:
        """What the other network sees: normalised windows (n,3,c,c) -> (n,C,h',w')."""
        maps = self.proxy(self.for_imagenet(windows))
        return maps[-1] if isinstance(maps, (list, tuple)) else maps

    @staticmethod
    def for_imagenet(windows: Tensor) -> Tensor:
        """Windows normalised for CLIP -> normalised as ImageNet's networks want them."""
        raw = windows * _row(CLIP_STD, windows) + _row(CLIP_MEAN, windows)
        return (raw - _row(_IMAGENET_MEAN, windows)) / _row(_IMAGENET_STD, windows)

    @staticmethod
    def for_clip(raw: Tensor) -> Tensor:
        """(...,3,H,W) RGB, 0 to 255 -> normalised for CLIP."""
        return (raw.float() - _row(CLIP_MEAN, raw)[0]) / _row(CLIP_STD, raw)[0]

    def kept_kind(self, *args) -> KeptFeatures:
        """What holds an image's features; a method may keep more than :class:`.KeptFeatures`."""
        return KeptFeatures(*args)

    @torch.no_grad()
    def keep(self, images: list[Tensor], originals: list[tuple[int, int]] | None = None) -> list[KeptFeatures]:
        """Features of images of any sizes; names may change as often as one likes afterwards.

        Args:
            images: (3,H,W) each, RGB, 0 to 255.
            originals: (H, W) of the masks; those of the images by default.
        """
        originals = originals or [tuple(image.shape[-2:]) for image in images]
        small = [self.resized(image) for image in images]
        kept = self.keep_windows(small, originals, self.encode, self.kept_kind)
        if self.refiner is None:
            return kept
        return [RefinedFeatures(one, image, self.refiner) for one, image in zip(kept, small)]

    def keep_windows(self, images: list[Tensor], originals: list[tuple[int, int]], encode: Callable[[Tensor], Tensor],
                     kind: Callable[..., KeptFeatures]) -> list[KeptFeatures]:
        """Features of resized images (3,h,w), RGB from 0 to 255, by any encoder of normalised windows."""
        cfg = self.test_cfg
        return keep_features([self.for_clip(image) for image in images], encode, cfg['crop_px'] or None,
                             cfg['stride_px'], originals, cfg['window_batch'], cfg['multiple_px'], self.patch_size,
                             kind)

    # ---- the names' side ------------------------------------------------------------------------------------------

    def texts(self, names: ClassNames | None = None) -> Tensor:
        """(n,d) unit vectors of the model's names, or of others; the last few lists are remembered."""
        names = names or self.names
        device = self.clip.logit_scale.device
        if names not in self._texts:
            self._texts[names] = self.clip.encode_names(names) if self.given is None else self.given(names)
        self._texts.move_to_end(names)
        while len(self._texts) > _KEPT_TEXTS:
            self._texts.popitem(last=False)
        self._texts[names] = self._texts[names].to(device)
        return self._texts[names]

    def knows(self, names: ClassNames) -> bool:
        """Whether the embeddings of names are in memory."""
        return names in self._texts

    @torch.no_grad()
    def label(self, kept: KeptFeatures, names: ClassNames | None = None, image: Tensor | None = None,
              **settings) -> tuple[Tensor, Tensor]:
        """The best class of each pixel.

        Args:
            kept: of :meth:`keep`.
            names: others than the model's.
            image: (3,H,W) RGB of the photograph, for the CRF alone.
            settings: ``scale``, ``prob_thr``, ``area_thr`` other than in ``test_cfg``.

        Returns:
            (H,W) long classes and (H,W) float32 probabilities.
        """
        names = names or self.names
        cfg = {key: self.test_cfg[key] for key in ('scale', 'prob_thr', 'area_thr')} | settings
        texts = self.texts(names)
        if self.crf is None or image is None:
            return kept.labels(texts, names.owner, **cfg)
        labels, _ = kept.labels(texts, names.owner, **(cfg | dict(prob_thr=0)))
        present = labels.unique()
        probs = torch.cat([kept.probs(cosines, names.owner, cfg['scale'])[present]
                           for _, cosines in kept.bands(texts)], 1)
        probs = self.crf((probs / probs.sum(0).clamp_min(1e-12))[None], image[None])[0]
        best, place = probs.max(0)
        return present[place].masked_fill(best < cfg['prob_thr'], 0), best

    @torch.no_grad()
    def class_scores(self, kept: KeptFeatures, names: ClassNames | None = None) -> Tensor:
        """(classes,H,W) probabilities, before thresholds and CRF."""
        names, texts = names or self.names, self.texts(names)
        return torch.cat([kept.probs(cosines, names.owner, self.test_cfg['scale'])
                          for _, cosines in kept.bands(texts)], 1)

    # ---- mmseg's interface ----------------------------------------------------------------------------------------

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Masks at the photographs' own sizes.

        Returns:
            the samples, with ``pred_sem_seg`` (1,H,W), ``confidence`` (1,H,W), the probability of the best class, and
            with ``test_cfg.scores`` also ``seg_logits`` (classes,H,W), probabilities.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        images = []
        for image, sample in zip(inputs, data_samples, strict=True):
            y0, y1, x0, x1 = image_boxes([sample], tuple(inputs.shape[-2:]))[0].tolist()
            images.append(image[:, y0:y1, x0:x1].float())
        originals = [tuple(sample.metainfo.get('ori_shape', image.shape[-2:]))[:2]
                     for sample, image in zip(data_samples, images)]
        for kept, image, sample in zip(self.keep(images, originals), images, data_samples):
            if self.crf is not None and tuple(image.shape[-2:]) != kept.original:
                image = F.interpolate(image[None], kept.original, mode='bilinear', align_corners=False)[0]
            labels, best = self.label(kept, image=image)
            sample.set_data(dict(pred_sem_seg=PixelData(data=labels[None]), confidence=PixelData(data=best[None])))
            if self.test_cfg['scores']:
                sample.set_data(dict(seg_logits=PixelData(data=self.class_scores(kept))))
        return data_samples

    def extract_feat(self, inputs: Tensor) -> list[KeptFeatures]:
        """See :meth:`keep`."""
        return self.keep(list(inputs))

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """See :meth:`_forward`."""
        return self._forward(inputs)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """(B,3,H,W) RGB, 0 to 255 -> (B,classes,H,W) probabilities."""
        return torch.stack([self.class_scores(kept) for kept in self.keep(list(inputs))])

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """There is none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f'{type(self).__name__} is not trained: test it, or predict with it.')

    def train(self, mode: bool = True) -> 'OpenVocabSegmentor':
        """The networks stay in eval mode."""
        return super().train(False)


def _leave_out(model: OpenVocabSegmentor, state: dict, prefix: str, _metadata: dict) -> None:
    """Take :attr:`OpenVocabSegmentor.left_out` from a state dict."""
    for key in [key for key in state if key.startswith(tuple(prefix + part for part in model.left_out))]:
        del state[key]


def forgive_nothing(model: BaseSegmentor, keys: NamedTuple) -> None:
    """A checkpoint without any weight ('mmseg_weak://none') is meant so: no list of 200 missing names."""
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.startswith(getattr(model, 'left_out', ()))]
    if len(keys.missing_keys) == len(model.state_dict()):
        keys.missing_keys.clear()


def _settings(given: dict | None) -> dict:
    """``test_cfg`` with its defaults, checked."""
    given = dict(given or {})
    for key in given:
        if key not in _TEST:
            raise ConfigError(f'model.test_cfg has the key {key!r}, which is none of {", ".join(_TEST)}. '
                              f'{near(key, _TEST)}')
    cfg = {**_TEST, **given}
    for key in ('short_side_px', 'long_side_px', 'stride_px', 'multiple_px', 'window_batch', 'scale'):
        if not cfg[key] > 0:
            raise ConfigError(f'model.test_cfg.{key}={cfg[key]}; give more than 0.')
    if cfg['crop_px'] < 0 or (cfg['crop_px'] and cfg['stride_px'] > cfg['crop_px']):
        raise ConfigError(f"model.test_cfg has crop_px={cfg['crop_px']} and stride_px={cfg['stride_px']}; windows are "
                          'at least as large as their stride, and a crop_px of 0 takes the image whole.')
    if not 0 <= cfg['prob_thr'] <= 1 or not 0 <= (cfg['area_thr'] or 0) <= 1:
        raise ConfigError(f"model.test_cfg has prob_thr={cfg['prob_thr']} and area_thr={cfg['area_thr']}; both are "
                          'shares in [0, 1].')
    return cfg


def _row(values: tuple[float, ...], like: Tensor) -> Tensor:
    """(1,3,1,1) on the device of another tensor."""
    return torch.tensor(values, device=like.device, dtype=torch.float32).view(1, 3, 1, 1)
