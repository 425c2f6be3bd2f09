"""The frame of weakly supervised object localisation: one class an image in, its class, map and box out."""
from abc import abstractmethod

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.errors import ConfigError, DataError, near
from mmseg_weak.models.cam.boxes import box_at
from mmseg_weak.models.cam.seeds import normalize_cam

__all__ = ['Localizer', 'one_label', 'ten_crops']

_TEST = dict(topk=1, use_labels=None, box_thr=0.4, crop=None, ten_crop=False, eps=1e-5)


def ten_crops(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Four corners and the centre, and their mirror images: (B,3,H,W) -> (10 B,3,h,w), crop by crop."""
    (height, width), (h, w) = images.shape[-2:], size
    bottom, right = height - h, width - w
    places = ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2))
    crops = [images[..., y:y + h, x:x + w] for y, x in places]
    return torch.cat([*crops, *(crop.flip(-1) for crop in crops)])


def one_label(samples: list, num_tags: int, device: torch.device | str = 'cpu') -> Tensor:
    """The one class of each sample, (B,) long from 0, out of ``gt_image_label``.

    Raises:
        DataError: a sample has no tag, several, or a vector of another length.
    """
    labels = []
    for sample in samples:
        tags, path = sample.get('gt_image_label', None), sample.metainfo.get('img_path', 'an image')
        found = 'no tags' if tags is None else f'{tags.numel()} tags, {int((tags > 0).sum())} of them set'
        if tags is None or tags.numel() != num_tags or int((tags > 0).sum()) != 1:
            raise DataError(f'{path} came with {found}; localisation learns one class an image: give {num_tags} tags '
                            '(num_classes without the background), one of them set.')
        labels.append(int(tags.argmax()))
    return torch.tensor(labels, device=device)


class Localizer(BaseModel):
    """Base of localisation methods. Class 0 is the background; a method brings :meth:`localise` and :meth:`loss`.

    Args:
        num_classes: all classes, the background among them; CUB-200: 201.
        data_preprocessor: mmseg's ``SegDataPreProcessor``.
        test_cfg: ``topk``: how many of the best scored classes' maps are averaged; ``use_labels``: take the map of the
            given class instead (GT-known; None: where ``topk`` is 1); ``box_thr``: of the box and the mask;
            ``crop``: side of the centre crop in which map and boxes live (of the image, where that is smaller), None
            for the image as it comes;
            ``ten_crop``: classify ten crops of that size, mean of their softmax; ``eps`` of the min-max rule.
        init_cfg: as in mmengine.

    Raises:
        ConfigError: an unknown key or value.
    """

    def __init__(self, num_classes: int, data_preprocessor: dict | None = None, test_cfg: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if num_classes < 2:
            raise ConfigError(f'model.num_classes={num_classes}; count the background too, at least 2.')
        self.num_classes, self.num_tags = num_classes, num_classes - 1
        for name in test_cfg or {}:
            if name not in _TEST:
                raise ConfigError(f'model.test_cfg has the key {name!r}, which is none of {", ".join(_TEST)}. '
                                  f'{near(name, _TEST)}')
        self.test_cfg = {**_TEST, **dict(test_cfg or {})}
        if self.test_cfg['ten_crop'] and not self.test_cfg['crop']:
            raise ConfigError('model.test_cfg.ten_crop needs model.test_cfg.crop, the side of the crops.')

    # ---- what a method brings -------------------------------------------------------------------------------------

    @abstractmethod
    def localise(self, images: Tensor, labels: Tensor | None, topk: int) -> tuple[Tensor, Tensor]:
        """Class scores and the foreground map.

        Args:
            images: (B,3,H,W), normalised.
            labels: (B,) class whose map to give; None: the mean map of the ``topk`` best scored classes.

        Returns:
            (B,K) logits, (B,1,h,w) at least 0.
        """

    @abstractmethod
    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses of a batch."""

    def forward(self, inputs: Tensor, data_samples: list | None = None,
                mode: str = 'tensor') -> dict[str, Tensor] | list | Tensor:
        """mmengine's: 'loss', 'predict', or 'tensor' for the map at the network's own size."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.localise(inputs, None, self.test_cfg['topk'])[1]

    def labels(self, samples: list) -> Tensor:
        """(B,) long, see :func:`one_label`."""
        return one_label(samples, self.num_tags, next(self.parameters()).device)

    # ---- prediction -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Class, map and box of each image.

        Returns:
            the samples, with ``class_scores`` (K,), probabilities; ``loc_map`` (1,h,w) in [0, 1] and ``pred_boxes``
            (one box, its class and score) in the frame of the crop, into which ``gt_boxes`` are moved; ``pred_sem_seg``
            and ``seg_logits`` (background, foreground) at the photograph's own size, 0 outside of the crop.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        cfg, full = self.test_cfg, tuple(inputs.shape[-2:])
        crop = tuple(min(cfg['crop'] or n, n) for n in full)
        top, left = ((n - c) // 2 for n, c in zip(full, crop))
        use = cfg['topk'] == 1 if cfg['use_labels'] is None else cfg['use_labels']
        known = use and all(s.get('gt_image_label', None) is not None for s in data_samples)
        window = inputs[..., top:top + crop[0], left:left + crop[1]]
        scores, maps = self.localise(window, self.labels(data_samples) if known else None, cfg['topk'])
        probs = scores.softmax(1)
        if cfg['ten_crop']:
            views = ten_crops(inputs, crop)
            probs = self.localise(views, None, 1)[0].softmax(1).unflatten(0, (10, len(inputs))).mean(0)
        maps = F.interpolate(normalize_cam(maps, 'minmax', cfg['eps']), window.shape[-2:], mode='bilinear',
                             align_corners=False)
        for row, sample in enumerate(data_samples):
            self._write(sample, probs[row], maps[row], (top, left), full)
        return data_samples

    def _write(self, sample: SegDataSample, probs: Tensor, loc_map: Tensor, corner: tuple[int, int],
               full: tuple[int, int]) -> None:
        thr, label = self.test_cfg['box_thr'], int(probs.argmax())
        box = torch.from_numpy(box_at(loc_map[0].float().cpu().numpy(), thr))[None]
        sample.set_data(dict(
            class_scores=probs, loc_map=PixelData(data=loc_map),
            pred_boxes=InstanceData(bboxes=box.to(probs), labels=torch.tensor([label], device=probs.device),
                                    scores=probs[label:label + 1])))
        if 'gt_boxes' in sample:
            given, (height, width) = sample.gt_boxes, loc_map.shape[1:]
            moved = given.bboxes - given.bboxes.new_tensor([corner[1], corner[0]] * 2)
            most = moved.new_tensor([width, height] * 2)
            sample.gt_boxes = InstanceData(bboxes=torch.minimum(moved.clamp(min=0), most), labels=given.labels)
        pad = (corner[1], full[1] - corner[1] - loc_map.shape[2], corner[0], full[0] - corner[0] - loc_map.shape[1])
        whole = F.pad(loc_map, pad)
        size = tuple(sample.metainfo.get('ori_shape', full))[:2]
        if tuple(whole.shape[1:]) != size:
            whole = F.interpolate(whole[None], size, mode='bilinear', align_corners=False)[0]
        mask = (whole > thr).long() * (label + 1)
        sample.set_data(dict(seg_logits=PixelData(data=torch.cat([1 - whole, whole])),
                             pred_sem_seg=PixelData(data=mask)))
