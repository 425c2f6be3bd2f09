"""One decoded crop per image comes in, every branch of a semi-supervised step goes out."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError

__all__ = ['MultiBranchDataPreprocessor']


@MODELS.register_module()
class MultiBranchDataPreprocessor(SegDataPreProcessor):
    """Split a mixed batch into labelled and unlabelled branches and make the strong views on the device.

    Training batches whose samples carry the metainfo ``source`` ('sup' or 'unsup', set by ``SemiDataset``) become

    - ``inputs['sup']``, ``inputs['unsup']``: (B,3,H,W) normalised images, the weak view;
    - ``inputs['unsup_<view>']`` for every entry of ``views``: a photometric view of the same crop;
    - ``inputs['unsup_valid']``: (B,H,W) bool, False on padding;
    - with ``partner=True`` the last half of the unlabelled images is the CutMix partner of the first half and comes
      as ``partner``, ``partner_<view>`` and ``partner_valid``;
    - ``data_samples``: the same branches as lists, ``gt_sem_seg`` of 'sup' padded with ``seg_pad_val``.

    Every other batch is treated exactly as by mmseg's ``SegDataPreProcessor``. Images are padded on the right and at
    the bottom before they are normalised, so padding is black for the views too, as in the published loaders (mmseg
    pads after normalising); unlike there a flipped crop keeps its padding on the right.

    Args:
        size: (height, width) of the training crop, pixels.
        views: view name to a config of ``MODELS`` that maps (B,3,H,W) RGB in [0,1] to the same; None makes no view.
        partner: whether the batch brings CutMix partners (``MultiSourceSampler(partner=...)``).
        mean, std, bgr_to_rgb, seg_pad_val, test_cfg: as in mmseg, on a 0..255 scale.

    Raises:
        ConfigError: a crop is larger than ``size``, or partners are asked for and the batch cannot be halved.
    """

    def __init__(self,
                 mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375),
                 size: tuple[int, int] | None = None,
                 views: dict[str, dict] | None = None,
                 partner: bool = False,
                 bgr_to_rgb: bool = True,
                 pad_val: float = 0,
                 seg_pad_val: int = 255,
                 test_cfg: dict | None = None) -> None:
        super().__init__(mean=mean, std=std, size=size, size_divisor=None if size else 1, bgr_to_rgb=bgr_to_rgb,
                         pad_val=pad_val, seg_pad_val=seg_pad_val, test_cfg=test_cfg)
        self.partner, self.bgr_to_rgb = partner, bgr_to_rgb  # mmseg's own attribute differs between the stacks
        self.views = torch.nn.ModuleDict({name: MODELS.build(cfg) for name, cfg in (views or {}).items()})

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return ``dict(inputs, data_samples)``; both are dicts of branches for a semi-supervised training batch."""
        samples = data.get('data_samples') if isinstance(data, dict) else None
        if not training or not samples or not isinstance(samples, (list, tuple)) or 'source' not in samples[0]:
            return super().forward(data, training)
        data = self.cast_data(data)
        groups: dict[str, list[int]] = {}
        for i, sample in enumerate(data['data_samples']):
            groups.setdefault(sample.source, []).append(i)
        if self.partner and 'unsup' in groups:
            members = groups['unsup']
            if len(members) % 2:
                raise ConfigError(
                    f'{len(members)} unlabelled images in a batch cannot be halved into images and CutMix partners: '
                    'give train_dataloader.sampler an even unlabelled share, or set data_preprocessor.partner=False.')
            half = len(members) // 2
            groups['unsup'], groups['partner'] = members[:half], members[half:]
        inputs, branches = {}, {}
        for name, members in groups.items():
            images, valid = self._pad([data['inputs'][i] for i in members])
            branches[name] = [data['data_samples'][i] for i in members]
            self._pad_maps(branches[name], images.shape[-2:])
            inputs[name] = self._normalise(images)
            if name != 'sup':
                inputs[f'{name}_valid'] = self._own_valid(branches[name], valid)
        self._add_views(data['inputs'], groups, inputs)
        return dict(inputs=inputs, data_samples=branches)

    def _add_views(self, images: list[Tensor], groups: dict[str, list[int]], inputs: dict[str, Tensor]) -> None:
        """Make each view for own and partner images in one batch, then split it again."""
        names = [name for name in ('unsup', 'partner') if name in groups]
        if not names or not len(self.views):
            return
        unit = self._pad([images[i] for name in names for i in groups[name]])[0] / 255.0
        for view, augment in self.views.items():
            parts = self._normalise(augment(unit) * 255.0).split([len(groups[name]) for name in names])
            inputs.update({f'{name}_{view}': part for name, part in zip(names, parts)})

    def _pad(self, images: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Stack uint8 images: ((B,3,H,W) float RGB in 0..255, (B,H,W) bool, True on real pixels)."""
        height, width = self.size if self.size is not None else (max(i.shape[-2] for i in images),
                                                                 max(i.shape[-1] for i in images))
        batch = images[0].new_full((len(images), 3, height, width), int(self.pad_val))
        valid = torch.zeros(len(images), height, width, dtype=torch.bool, device=batch.device)
        for i, image in enumerate(images):
            h, w = image.shape[-2:]
            if h > height or w > width:
                raise ConfigError(f'A training crop is {h}x{w} pixels and data_preprocessor.size is {height}x{width}; '
                                  'make size equal to the crop of the training pipeline.')
            batch[i, :, :h, :w] = image
            valid[i, :h, :w] = True
        if self.bgr_to_rgb:
            batch = batch.flip(1)
        return batch.float(), valid

    def _normalise(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std if self._enable_normalize else images

    def _pad_maps(self, samples: list, size: tuple[int, int]) -> None:
        """Pad every map of the samples to the batch's size, masks with ``seg_pad_val``."""
        for sample in samples:
            h, w = sample.img_shape[:2]
            pad = (0, size[1] - w, 0, size[0] - h)
            sample.set_metainfo(dict(img_shape=(h, w), pad_shape=tuple(size), padding_size=list(pad)))
            if not any(pad):
                continue
            for key in ('gt_sem_seg', 'hidden_sem_seg', 'valid_map'):
                if key in sample:
                    value = 0 if key == 'valid_map' else self.seg_pad_val
                    setattr(sample, key, PixelData(data=F.pad(getattr(sample, key).data, pad, value=value)))

    @staticmethod
    def _own_valid(samples: list, valid: Tensor) -> Tensor:
        """Valid area of a pipeline that rotates or pads itself (sample.valid_map), else what was not padded here."""
        if 'valid_map' not in samples[0]:
            return valid
        return valid & torch.stack([s.valid_map.data[0] for s in samples]).bool()
