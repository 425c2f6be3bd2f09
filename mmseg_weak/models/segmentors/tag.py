"""The frame of a method that learns from image tags: class maps in, seeds and masks out."""
from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError, near
from mmseg_weak.models.cam.multi_scale import multi_scale_cam
from mmseg_weak.models.cam.seeds import normalize_cam, scores_to_labels, with_background
from mmseg_weak.models.utils.colours import raw_images, sees_rgb

__all__ = ['TagSegmentor', 'image_boxes', 'keep_in_graph', 'stack_tags']

_SEED = dict(scales=(1.0, 0.5, 1.5, 2.0), flip='sum', normalize='max', eps=1e-5, background='constant', thr=0.15,
             stride=1, rounding='floor', multiple=1)
_TEST = dict(mode='seed', use_tags=None, tag_thr=0.5, tag_scores=False, scales=(1.0,), flip=False, merge='max')


def _filled(given: dict | None, known: dict, key: str) -> dict:
    """Defaults with what the config gives over them."""
    given = dict(given or {})
    for name in given:
        if name not in known:
            raise ConfigError(f'model.{key} has the key {name!r}, which is none of {", ".join(known)}. '
                              f'{near(name, known)}')
    return {**known, **given}


def stack_tags(samples: list, num_tags: int, device: torch.device | str = 'cpu') -> Tensor:
    """``gt_image_label`` of each sample, (B,K) float32; an image without any tag is a row of zeros, and legal.

    Raises:
        DataError: a sample has no tags, or another number of them.
    """
    rows = []
    for sample in samples:
        label = sample.get('gt_image_label', None)
        path = sample.metainfo.get('img_path', 'an image')
        if label is None:
            raise DataError(f'{path} came without image tags: use ImageLabelDataset (or derive them with '
                            "dict(type='DeriveSupervision', kind='tags')) and PackSemiInputs in the pipeline.")
        if label.numel() != num_tags:
            raise DataError(f'{path} has {label.numel()} tags and the model has {num_tags} foreground classes: set '
                            'num_classes to the number of foreground classes plus one for the background.')
        rows.append(label.flatten())
    return torch.stack(rows).to(device=device, dtype=torch.float32)


def image_boxes(samples: list, size: tuple[int, int], device: torch.device | str = 'cpu') -> Tensor:
    """Where each image lies in its padded crop: (B,4) y0, y1, x0, x1, ends excluded."""
    boxes = []
    for sample in samples:
        left, right, top, bottom = sample.metainfo.get('padding_size', (0, 0, 0, 0))
        boxes.append((top, size[0] - bottom, left, size[1] - right))
    return torch.tensor(boxes, device=device)


def keep_in_graph(*outputs: Tensor) -> dict[str, Tensor]:
    """A loss of 0 for outputs that no loss uses yet, so that several processes agree on what has a gradient."""
    return dict(loss_waiting=0 * sum(output.float().sum() for output in outputs)) if outputs else {}


class TagSegmentor(BaseSegmentor):
    """Base of the methods that learn from image tags. Class 0 is the background and has no tag.

    A method implements :meth:`class_maps`, :meth:`tag_logits` and :meth:`loss`, and :meth:`decode_logits` where it
    trains a segmentation decoder at once.

    Args:
        num_classes: all classes, the background among them; K = num_classes - 1 tags.
        seed: how class maps become scores: ``scales`` and ``flip`` of :func:`.multi_scale_cam` ('sum', 'max',
            'none'), with ``stride``, ``rounding`` and ``multiple`` as there; ``normalize`` ('max' or 'minmax') with
            ``eps``; ``background`` ('constant' or 'power') with its value ``thr``.
        refiner: config of a refinement of ``models/refine`` that the scores with their background go through.
        data_preprocessor: mmseg's ``SegDataPreProcessor`` or a config of ours.
        test_cfg: ``mode``: what prediction means, 'seed' (class maps) or 'decode' (the method's decoder);
            ``use_tags``: leave out classes that the image's tags do not name (None: in 'seed' mode only, as the
            protocols have it; images without tags on them are predicted with the tags above ``tag_thr``);
            ``scales``, ``flip``, ``merge``: of the decoder's logits, see :meth:`decode_scales`;
            ``tag_scores``: also give the tags' probabilities, one more forward pass.
        init_cfg: as in mmengine.

    Raises:
        ConfigError: an unknown key or value.
    """

    has_decoder = False
    learns_from_masks = False  # whether training data must carry masks: the seeds of another method, as files

    def __init__(self, num_classes: int, seed: dict | None = None, refiner: dict | None = None,
                 data_preprocessor: dict | None = None, test_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if num_classes < 2:
            raise ConfigError(f'model.num_classes={num_classes}; count the background too, at least 2.')
        self.num_classes, self.num_tags = num_classes, num_classes - 1
        self.seed = _filled(seed, _SEED, 'seed')
        self.test_cfg = _filled(test_cfg, _TEST, 'test_cfg')
        if self.test_cfg['mode'] not in ('seed', 'decode') or (self.test_cfg['mode'] == 'decode'
                                                               and not self.has_decoder):
            raise ConfigError(f"model.test_cfg.mode is {self.test_cfg['mode']!r}; it is 'seed', or 'decode' where the "
                              'method trains a segmentation decoder.')
        if self.test_cfg['merge'] not in ('max', 'mean') or not self.test_cfg['scales']:
            raise ConfigError(f"model.test_cfg.merge={self.test_cfg['merge']!r}, scales={self.test_cfg['scales']}; "
                              "give 'max' or 'mean', and one scale or more.")
        self.refiner = MODELS.build(refiner) if refiner else None
        self.align_corners = False

    # ---- what a method brings -------------------------------------------------------------------------------------

    @abstractmethod
    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps of normalised images: (B,3,H,W) -> (B,K,h,w); negative values are cut later."""

    @abstractmethod
    def tag_logits(self, images: Tensor) -> Tensor:
        """Tag logits of normalised images: (B,3,H,W) -> (B,K)."""

    def decode_logits(self, images: Tensor) -> Tensor:
        """Logits of the segmentation decoder: (B,3,H,W) -> (B,K+1,h,w)."""
        raise ConfigError(f'{type(self).__name__} trains no segmentation decoder; predict with test_cfg.mode="seed".')

    # ---- what a method uses ---------------------------------------------------------------------------------------

    def tags(self, samples: list) -> Tensor:
        """(B,K) float32, see :func:`stack_tags`."""
        return stack_tags(samples, self.num_tags, next(self.parameters()).device)

    def raw_images(self, images: Tensor) -> Tensor:
        """Normalised images back to RGB, 0 to 255, as the refinements want them."""
        return raw_images(images, self.data_preprocessor)

    def normalized(self, raw: Tensor) -> Tensor:
        """RGB images, 0 to 255, as the networks want them: the inverse of :meth:`raw_images`."""
        preprocessor = self.data_preprocessor
        images = raw if sees_rgb(preprocessor) else raw.flip(1)
        if getattr(preprocessor, '_enable_normalize', False):
            images = (images - preprocessor.mean) / preprocessor.std
        return images

    def aligned(self, images: Tensor) -> Tensor:
        """Images resized so that their sides are multiples of ``seed.multiple`` (a ViT's patch)."""
        multiple = self.seed['multiple']
        size = tuple(max(round(n / multiple), 1) * multiple for n in images.shape[-2:])
        if tuple(images.shape[-2:]) == size:
            return images
        return F.interpolate(images, size, mode='bilinear', align_corners=False)

    def seed_scores(self, images: Tensor, present: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """Multi-scale class maps in [0, 1]; classes that are not present are 0.

        Args:
            images: (B,3,H,W), normalised. present: (B,K) bool. size: of the result, that of the images by default;
                ``seed.stride`` is for the images' own.

        Returns:
            (B,K,H,W) float32 without gradient; the networks run in the mode they are in.
        """
        rule = self.seed
        maps = multi_scale_cam(self.class_maps, images, rule['scales'], rule['flip'], size,
                               rule['stride'] if size is None else 1, rule['rounding'], rule['multiple'], present)
        return normalize_cam(maps, rule['normalize'], rule['eps'], present)

    def seed_planes(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """:meth:`seed_scores` behind the background of ``seed.background``, (B,K+1,H,W)."""
        return with_background(self.seed_scores(images, present), self.seed['background'], self.seed['thr'])

    def present(self, images: Tensor, samples: list) -> Tensor:
        """(B,K) bool: the images' tags, and predicted tags for those that have none."""
        known = [sample.get('gt_image_label', None) is not None for sample in samples]
        if all(known):
            return self.tags(samples).bool()
        found = self.tag_logits(self.aligned(images)).sigmoid() > self.test_cfg['tag_thr']
        for row, sample in enumerate(samples):
            if known[row]:
                found[row] = self.tags([sample])[0].bool()
        return found

    # ---- prediction -----------------------------------------------------------------------------------------------

    def _limit(self, mode: str) -> bool:
        use = self.test_cfg['use_tags']
        return mode == 'seed' if use is None else bool(use)

    @torch.no_grad()
    def decode_scales(self, images: Tensor) -> Tensor:
        """The decoder's logits over ``test_cfg.scales`` at image size, (B,3,H,W) -> (B,K+1,H,W).

        A scale's mirror image is added to it (``flip``), then scales are merged by 'max' (AFA, ToCo) or 'mean'.
        """
        cfg, size, total = self.test_cfg, images.shape[-2:], None
        for scale in cfg['scales']:
            view = images if scale == 1 else F.interpolate(images, scale_factor=scale, mode='bilinear',
                                                           align_corners=False)
            view = self.aligned(view)
            logits = self.decode_logits(torch.cat([view, view.flip(-1)]) if cfg['flip'] else view)
            if cfg['flip']:
                logits = logits[:len(images)] + logits[len(images):].flip(-1)
            logits = F.interpolate(logits.float(), size, mode='bilinear', align_corners=False)
            total = logits if total is None else (torch.maximum(total, logits) if cfg['merge'] == 'max'
                                                  else total + logits)
        return total / len(cfg['scales']) if cfg['merge'] == 'mean' else total

    @torch.no_grad()
    def scores(self, images: Tensor, samples: list, refine: bool = True) -> tuple[Tensor, Tensor | None]:
        """Scores with the background first, and the classes that they are limited to.

        Returns:
            (B,K+1,H,W): in 'seed' mode background and class scores in [0, 1], in 'decode' mode probabilities; (B,K)
            bool or None.
        """
        mode = self.test_cfg['mode']
        present = self.present(images, samples) if self._limit(mode) else None
        if mode == 'decode':
            logits = self.decode_scales(images)
            if present is not None:
                logits = logits.masked_fill(F.pad(~present, (1, 0))[:, :, None, None], -torch.inf)
            scores = logits.softmax(1)
        else:
            scores = self.seed_planes(images, present)
        if refine and self.refiner is not None:
            known = None if present is None else F.pad(present, (1, 0), value=True)
            scores = self.refiner(scores, self.raw_images(images), known)
        return scores, present

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Masks and scores at the photographs' own sizes.

        Returns:
            the samples, with ``pred_sem_seg`` (1,H,W), ``seg_logits`` (K+1,H,W): scores of :meth:`scores`, and,
            where asked for, ``tag_scores`` (K,) in [0, 1].
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        scores, present = self.scores(inputs, data_samples)
        tags = self.tag_logits(self.aligned(inputs)).sigmoid() if self.test_cfg['tag_scores'] else None
        for row, sample in enumerate(data_samples):
            y0, y1, x0, x1 = image_boxes([sample], tuple(inputs.shape[-2:]))[0].tolist()
            one = scores[row:row + 1, :, y0:y1, x0:x1]
            if sample.metainfo.get('flip', False):
                one = one.flip(-2 if sample.metainfo.get('flip_direction') == 'vertical' else -1)
            size = tuple(sample.metainfo.get('ori_shape', one.shape[-2:]))[:2]
            if tuple(one.shape[-2:]) != size:
                one = F.interpolate(one, size, mode='bilinear', align_corners=False)
            label = scores_to_labels(one, None if present is None else present[row:row + 1])
            sample.set_data(dict(seg_logits=PixelData(data=one[0]), pred_sem_seg=PixelData(data=label)))
            if tags is not None:
                sample.set_data(dict(tag_scores=tags[row]))
        return data_samples

    # ---- mmseg's interface ----------------------------------------------------------------------------------------

    def extract_feat(self, inputs: Tensor) -> Any:
        """Features of the backbone."""
        return self.backbone(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """What the networks give at one scale, see :meth:`_forward`."""
        return self._forward(inputs)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """What the networks give at one scale: the decoder's logits, or the class maps where there is none."""
        return self.decode_logits(inputs) if self.has_decoder else self.class_maps(inputs)
