"""TRIS, stage 2: a referring network trained on pseudo masks."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import DataError
from mmseg_weak.models.losses.common import full_precision

from .base import ReferringSegmentor, sentences_of
from .equations import PixelWordAttention
from .tower import encode_sentences, freeze_unused, map_channels, text_channels, token_ids, visual_maps

__all__ = ['TRISSegmentor', 'mask_loss']

_IGNORE = 255


def _layer(in_channels: int, channels: int) -> nn.Sequential:
    """3x3 convolution, BN, PReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
                         nn.PReLU())


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, mean over pixels that are known; 0 with a gradient where none is.

    Args:
        logits: (B,1,H,W).
        target: (B,H,W) 0, 1, or 255 where unknown.
    """
    known = target != _IGNORE
    each = F.binary_cross_entropy_with_logits(full_precision(logits)[:, 0], (target == 1).to(torch.float32),
                                              reduction='none')
    return (each * known).sum() / known.sum().clamp(min=1)


@MODELS.register_module()
class TRISSegmentor(ReferringSegmentor):
    """Stage 2 of TRIS; see the package.

    From the second stage of the image's tower on, places gather the words that concern them; a top-down decoder adds
    the stages up, and each of its four steps says where the object is. The last one is the answer.

    Args:
        clip: config of :class:`.OpenCLIP`, trained further. Paper: RN50.
        channels: of the four stages of the decoder. Paper: 64, 128, 256, 512.
        num_tokens, cut_as_published: see :class:`.TRIS`.
        **kwargs: of :class:`.ReferringSegmentor`.
    """

    def __init__(self, clip: dict, channels: tuple[int, int, int, int] = (64, 128, 256, 512), num_tokens: int = 20,
                 cut_as_published: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.clip = MODELS.build(dict(clip, frozen=False))
        freeze_unused(self.clip, sentences=False)
        widths, words = map_channels(self.clip), text_channels(self.clip)[0]
        self.attention = nn.ModuleList(PixelWordAttention(width, words) for width in widths[1:])
        self.reduce = nn.ModuleList(_layer(width, channel) for width, channel in zip(widths, channels))
        below = (channels[0] // 2, *channels[:3])
        self.steps = nn.ModuleList(_layer(channel, low) for channel, low in zip(channels, below))
        hidden = (below[0], below[0], below[1], below[1])
        self.outputs = nn.ModuleList(nn.Sequential(_layer(low, inner), nn.Conv2d(inner, 1, 1, bias=False))
                                     for low, inner in zip(below, hidden))
        self.num_tokens, self.cut_as_published = num_tokens, cut_as_published

    def logits(self, images: Tensor, sentences: list[str]) -> list[Tensor]:
        """Four maps (B,1,H,W) of logits, the answer first."""
        ids = token_ids(self.clip, sentences, self.num_tokens, self.cut_as_published)
        words = encode_sentences(self.clip, ids)[0].transpose(1, 2)
        maps = visual_maps(self.clip, images)
        maps = [maps[0], *(attend(x, words) + x for attend, x in zip(self.attention, maps[1:]))]
        maps = [reduce(x) for reduce, x in zip(self.reduce, maps)]
        above, outputs = None, []
        for level in (3, 2, 1, 0):
            x = self.steps[level](maps[level] if above is None else above + maps[level])
            above = F.interpolate(x, maps[level - 1].shape[-2:], mode='bilinear', align_corners=False) if level else x
            outputs.append(F.interpolate(self.outputs[level](above), images.shape[-2:], mode='bilinear',
                                         align_corners=False))
        return outputs[::-1]

    def response(self, images: Tensor, sentences: list[str]) -> Tensor:
        """See :class:`.ReferringSegmentor`: the answer's logits above 0."""
        return self.logits(images, sentences)[0].relu()

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Binary cross-entropy of each of the four maps with the pseudo mask."""
        missing = next((sample for sample in data_samples if 'gt_sem_seg' not in sample), None)
        if missing is not None:
            raise DataError(f"{missing.metainfo.get('img_path', 'An image')} came without a mask; train on the folder "
                            'that `mmseg-weak refer-label` wrote, with dataset.with_masks=True and LoadReferredMask.')
        target = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples]).to(inputs.device)
        return {f'loss_mask{number}': mask_loss(logits, target)
                for number, logits in enumerate(self.logits(inputs, sentences_of(data_samples)), 1)}
