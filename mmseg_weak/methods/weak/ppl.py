"""PPL: class maps that cover whole objects, from features that see one patch at a time. An interpretation.

Li et al., Weakly Supervised Semantic Segmentation via Progressive Patch Learning, IEEE TMM 2022, arXiv 2209.07828;
TyroneLi/PPL_WSSS @ a13abd7 holds a README and two figures, no code. What follows is an interpretation of the abstract
and of figures 2 and 5. Stated there: the three operations, and which gradients flow. Inferred, and a setting here: the
backbone and its blocks, the grid (drawn as 2x2), equal lengths of the stages, one classifier for all stages, what
BatchNorm does with patches.

X_i is what the backbone hands to its block i of N, f_i the blocks from i on, F = f_0(X_0):

    P  split X_i into g x g patches, side by side in the batch     split_patches
    M  put f_i of the patches back in their places                 merge_patches
    C  stack the merged map and F                                  s = mean_xy(W [F, merged_i]), M_k = W_k [F, merged_i]

- progressive: one branch at a time; stage n of the run splits before block n, from early to late, and continues with
  the weights it has. Class maps are taken with the last split.
- explicit: branches at all blocks at once, from X_i without gradient, [F, merged_1, ..., merged_N].

Loss: multi-label soft margin of the tags.
"""
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import TagSegmentor
from mmseg_weak.models.utils import eval_mode, progress
from mmseg_weak.models.utils.split import find_modules, run_until

__all__ = ['PatchLearningClassifier', 'merge_patches', 'patchwise', 'split_patches']

MODES = ('progressive', 'explicit')


def split_patches(x: Tensor, grid: int) -> Tensor:
    """(B,C,h,w) -> (g g B,C,h/g,w/g), row by row; h and w are multiples of g."""
    b, c, h, w = x.shape
    cells = x.view(b, c, grid, h // grid, grid, w // grid)
    return cells.permute(2, 4, 0, 1, 3, 5).reshape(grid * grid * b, c, h // grid, w // grid)


def merge_patches(x: Tensor, grid: int) -> Tensor:
    """Undo :func:`split_patches`: (g g B,C,h,w) -> (B,C,g h,g w)."""
    n, c, h, w = x.shape
    b = n // (grid * grid)
    return x.view(grid, grid, b, c, h, w).permute(2, 3, 0, 4, 1, 5).reshape(b, c, grid * h, grid * w)


def patchwise(x: Tensor, blocks: Callable[[Tensor], Tensor], grid: int, stride: int, size: tuple[int, int]) -> Tensor:
    """Blocks on each patch alone, merged: (B,C,h,w) -> (B,D,*size).

    Args:
        x: input of the blocks; padded with zeros on the right and at the bottom until patches stay in step.
        blocks: patches (g g B,C,h',w') -> (g g B,D,h'/stride,w'/stride).
        grid: patches a side.
        stride: of the blocks together.
        size: of their output for the undivided map, to which the merged one is cut.
    """
    step = grid * stride
    height, width = (-(-max(n, m * stride) // step) * step for n, m in zip(x.shape[-2:], size))
    padded = F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))
    return merge_patches(blocks(split_patches(padded, grid)), grid)[..., :size[0], :size[1]]


@MODELS.register_module()
class PatchLearningClassifier(TagSegmentor):
    """A classifier of undivided and patch-wise features, an interpretation of PPL.

    Args:
        backbone: config of a backbone that calls ``blocks`` one after the other at its end.
        num_classes: all classes, the background among them.
        in_channels: of the last map.
        blocks: names of the backbone's last modules in their order; each is a place to split. ResNet: ('layer2',
            'layer3', 'layer4').
        mode: 'progressive' or 'explicit'.
        grid: patches a side. Drawn: 2.
        stage_starts: progressive: share of the run at which each split begins, rising from 0; equal lengths by default.
        restart_classifier: progressive: begin each stage with a new classifier.
        patch_norm: 'eval', patches pass BatchNorm with its running statistics; 'batch', with their own, and running
            statistics then mix both paths.
        head: config of a ``PooledClassifier`` without channels and classes.
        **kwargs: of :class:`.TagSegmentor`.
    """

    def __init__(self, backbone: dict, num_classes: int, in_channels: int,
                 blocks: Sequence[str] = ('layer2', 'layer3', 'layer4'), mode: str = 'progressive', grid: int = 2,
                 stage_starts: Sequence[float] | None = None, restart_classifier: bool = False,
                 patch_norm: str = 'eval', head: dict | None = None, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        if mode not in MODES:
            raise ConfigError(f"model.mode is '{mode}'; it is one of {', '.join(MODES)}.")
        if patch_norm not in ('eval', 'batch'):
            raise ConfigError(f"model.patch_norm is '{patch_norm}'; it is 'eval' or 'batch'.")
        if grid < 2:
            raise ConfigError(f'model.grid is {grid}; give 2 or more patches a side.')
        starts = [i / len(blocks) for i in range(len(blocks))] if stage_starts is None else list(stage_starts)
        if len(starts) != len(blocks) or sorted(starts) != starts or starts[:1] != [0]:
            raise ConfigError(f'model.stage_starts is {starts}; give one share of the run for each of the '
                              f'{len(blocks)} blocks, rising from 0.')
        self.backbone = MODELS.build(backbone)
        find_modules(self.backbone, blocks, 'model.blocks')
        self.blocks, self.mode, self.grid, self.starts = tuple(blocks), mode, grid, starts
        self.restart_classifier, self.patch_norm = restart_classifier, patch_norm
        branches = len(blocks) if mode == 'explicit' else 1
        self.head = MODELS.build(dict(type='PooledClassifier', in_channels=(1 + branches) * in_channels,
                                      num_classes=self.num_tags, **{'pooling': 'gap', **(head or {})}))
        self.register_buffer('stage', torch.zeros((), dtype=torch.long))

    def features(self, images: Tensor, splits: Sequence[int]) -> Tensor:
        """Undivided features and those of each split, stacked.

        Args:
            images: (B,3,H,W).
            splits: numbers of the blocks before which to split.

        Returns:
            (B,(1 + splits) D,h,w).
        """
        modules = find_modules(self.backbone, self.blocks, 'model.blocks')
        passed = [run_until(self.backbone, modules[0], images)]
        for module in modules:
            passed.append(module(passed[-1]))
        size, maps = tuple(passed[-1].shape[-2:]), [passed[-1]]
        quiet = eval_mode(*modules) if self.patch_norm == 'eval' else nullcontext()
        with quiet:
            for split in splits:
                x = passed[split].detach() if self.mode == 'explicit' else passed[split]
                # networks halve their maps and round up, so the next power of two is the stride
                stride = 2 ** math.ceil(math.log2(max(n / m for n, m in zip(x.shape[-2:], size))))
                maps.append(patchwise(x, torch.nn.Sequential(*modules[split:]), self.grid, stride, size))
        return torch.cat(maps, 1)

    def class_maps(self, images: Tensor) -> Tensor:
        """Maps of the classifier, (B,3,H,W) -> (B,K,h,w), progressive: with the last split."""
        return self.head.cam(self.features(images, self._splits(len(self.blocks) - 1)))

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K), as :meth:`class_maps`."""
        return self.head(self.features(images, self._splits(len(self.blocks) - 1)))

    def _splits(self, stage: int) -> Sequence[int]:
        return range(len(self.blocks)) if self.mode == 'explicit' else (stage, )

    def current_stage(self) -> int:
        """Progressive: which split the run is at; a new stage may begin with a new classifier."""
        done = progress()
        stage = sum(done >= start for start in self.starts) - 1
        if self.restart_classifier and self.training and stage != int(self.stage):
            weight = self.head.classifier.weight
            bound = weight[0].numel() ** -0.5
            fresh = torch.rand(weight.shape, generator=torch.Generator().manual_seed(stage))  # the same on all ranks
            with torch.no_grad():
                weight.copy_((2 * fresh - 1) * bound)
            self.stage.fill_(stage)
        return stage

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Multi-label soft margin of the tags; an image without tags pushes every class down."""
        stage = self.current_stage() if self.mode == 'progressive' else 0
        logits = self.head(self.features(inputs, self._splits(stage))).float()
        tags = self.tags(data_samples)
        with torch.no_grad():
            hit = ((logits > 0) == tags.bool()).float().mean() * 100
        return dict(loss_cls=F.multilabel_soft_margin_loss(logits, tags), acc_tags=hit)
