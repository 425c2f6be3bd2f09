"""ToCo: token contrast, a single-stage method from image tags.

Ru et al., Token Contrast for Weakly-Supervised Semantic Segmentation, CVPR 2023, arXiv 2303.01267;
rulixiang/ToCo @ e13514d (no licence), model/losses.py, model/model_seg_neg.py, utils/camutils.py, datasets/voc.py.

One ViT with one class token. Z: patches after the last block and its norm; Z_aux: patches after block 10 of 12, without
norm; W, W_aux: bias-free classifiers; G: LargeFOV decoder; P_s: projection head of the class token, P_t: its EMA.

    s = W GMP(Z), s_aux = W_aux GMP(Z_aux)     CAM = W Z and W_aux Z_aux over scales (flips merged by max), min-max
    L = L_cls(s) + L_cls(s_aux) + 0.2 L_ptc(Z, seeds of CAM_aux) + 0.5 L_ctc(P_s, P_t over views)
        + after 2000 iterations 0.1 L_seg(G(Z), R) + 0.05 L_reg(G(Z), image),   R: refined labels of CAM

Views: 1 the network's input, 2 a random resized crop, 3 the source of 8 local crops around places that are not surely
an object. On VOC all of it from the start, on COCO in stages (``begin``).

Deviations. View 2 is cut from the same training crop and not from the whole photograph, since one decoded crop travels
to the device. Views 1 and 3 keep the crop's own flip, as published they are flipped once more without their boxes and
regions. A half of the segmentation loss without pixels is 0 instead of NaN.
"""
import math
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.cam import (
    PooledClassifier,
    cam_to_regions,
    cam_to_seed,
    merge_scales,
    normalize_cam,
    refined_labels,
    scale_maps,
)
from mmseg_weak.models.cam.seeds import box_mask, keep_present
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.losses.dense_energy import dense_energy_loss
from mmseg_weak.models.losses.split_cross_entropy import split_cross_entropy
from mmseg_weak.models.segmentors import TagSegmentor, image_boxes
from mmseg_weak.models.segmentors.tag import keep_in_graph
from mmseg_weak.models.teachers.ema import EMATeacher
from mmseg_weak.models.utils.progress import current_iter

__all__ = ['ClassTokenProjector', 'ToCo', 'affinity_target', 'class_token_contrast', 'crop_flags', 'draw_crops',
           'patch_token_contrast', 'random_resized_boxes']

def affinity_target(labels: Tensor, ignore_index: int = 255) -> Tensor:
    """Which patches are alike: (B,h,w) labels -> (B,hw,hw) uint8, 1 alike, 0 different, ``ignore_index`` unknown.

    Unknown: either patch is ignored, or both are the same patch.
    """
    flat = labels.flatten(1)
    target = (flat[:, :, None] == flat[:, None, :]).to(torch.uint8)
    unknown = flat == ignore_index
    same = torch.eye(flat.shape[1], dtype=torch.bool, device=flat.device)
    return target.masked_fill_(unknown[:, :, None] | unknown[:, None, :] | same, ignore_index)


def patch_token_contrast(features: Tensor, target: Tensor) -> Tensor:
    """L_ptc: patches of one label should look alike, others should not.

    c_ij = |cos(z_i, z_j)|; 0.5 (1 - sum of c over alike pairs / (N1 + 1)) + 0.5 sum of c over different pairs / (N0 +
    1), over the pairs of the whole batch. The absolute value is the published code's. Without alike pairs it is 0.5.

    Args:
        features: (B,D,h,w) final patch tokens.
        target: (B,hw,hw), see :func:`affinity_target`.
    """
    z = F.normalize(full_precision(features).flatten(2), dim=1, eps=1e-8)
    likeness = (z.transpose(1, 2) @ z).abs()
    alike, different = target == 1, target == 0
    zero = torch.zeros_like(likeness)
    near = torch.where(alike, likeness, zero).sum() / (alike.sum() + 1)
    far = torch.where(different, likeness, zero).sum() / (different.sum() + 1)
    return 0.5 * (1 - near) + 0.5 * far


def class_token_contrast(student: Tensor, teacher: Tensor, flags: Tensor, temperature: float = 0.5,
                         eps: float = 1e-4) -> Tensor:
    """L_ctc: class tokens of crops of objects match those of the whole image, those of background do not.

    l_tv = exp(T_t . S_v / tau), N_t its sum over negative views. An image's loss: over teacher views t, the sum over
    positive views of -log(l_tv / (l_tv + N_t + eps)), plus -log(1 / (1 + N_t + eps)), which the published code adds
    always; divided by 2 and by the number of positive views + eps. Mean over images.

    Args:
        student: (V B,D), view-major: view 0 of all images, view 1, ...
        teacher: (2 B,D), the two global views, view-major; no gradient.
        flags: (B,V), 1 positive, 0 negative; the first two are 1.
        temperature: VOC 0.5, COCO 1.
    """
    batch, views = flags.shape
    if len(student) != batch * views or len(teacher) % batch:
        raise DataError(f'{len(student)} student and {len(teacher)} teacher tokens do not fit {views} views of {batch} '
                        f'images.')
    student = full_precision(student).view(views, batch, -1)
    teacher = full_precision(teacher.detach()).view(-1, batch, student.shape[2])
    likeness = (torch.einsum('tbd,vbd->btv', teacher, student) / temperature).exp()
    positive = flags.bool()[:, None, :]
    negatives = (likeness * ~positive).sum(2, keepdim=True)
    pulls = -(likeness / (likeness + negatives + eps)).log()
    pulls = torch.where(positive, pulls, torch.zeros_like(pulls)).sum(2)
    pushes = (1 + negatives.squeeze(2) + eps).log()
    per_image = (pulls + pushes).sum(1) / 2 / (positive.sum((1, 2)).to(student) + eps)
    return per_image.mean()


def draw_crops(regions: Tensor, uniforms: Tensor, count: int, crop_size: int) -> Tensor:
    """Where to cut local crops: centred on places that are not surely an object, anywhere if there are too few.

    Args:
        regions: (B,H,W) 0 background, 1 unsure, 2 object (``models.cam.cam_to_regions``).
        uniforms: (B,(H-s)(W-s)) in [0, 1), a random order of the places of each image; the first free ones are taken.
        count: N. ToCo: 8.
        crop_size: s, pixels, even. ToCo: 96.

    Returns:
        (B,N,2) long, (y, x) of the top-left corners.
    """
    margin = crop_size // 2
    inner = regions[:, margin:regions.shape[1] - margin, margin:regions.shape[2] - margin]
    free = inner.flatten(1) <= 1
    if uniforms.shape[1] != free.shape[1] or free.shape[1] < count:
        raise DataError(f'{uniforms.shape[1]} uniforms for {free.shape[1]} places of {count} crops of {crop_size} '
                        f'pixels in {regions.shape[1]}x{regions.shape[2]}; give one a place and a larger image.')
    anywhere = free.sum(1, keepdim=True) < count
    order = uniforms.masked_fill(~(free | anywhere), 2.0)
    place = order.topk(count, dim=1, largest=False).indices
    return torch.stack([place // inner.shape[2], place % inner.shape[2]], 2)


def crop_flags(regions: Tensor, corners: Tensor, crop_size: int, min_share: float = 0.2,
               num_global: int = 2) -> Tensor:
    """Which views show an object: (B, num_global + N) float, global ones 1, a crop 1 if its mean region is above 0.2.

    Args:
        regions: (B,H,W), 0, 1, 2.
        corners: (B,N,2) top-left (y, x); crops lie inside of the image.
    """
    total = F.pad(regions.long().cumsum(1).cumsum(2), (1, 0, 1, 0))  # summed-area table
    y, x = corners.long().unbind(2)
    rows = torch.arange(len(regions), device=regions.device)[:, None]
    inside = (total[rows, y + crop_size, x + crop_size] - total[rows, y, x + crop_size]
              - total[rows, y + crop_size, x] + total[rows, y, x])
    local = (inside.double() / crop_size ** 2 > min_share).float()
    return F.pad(local, (num_global, 0), value=1.0)


class ClassTokenProjector(nn.Module):
    """DINO's projection head for the class token: three linear layers, unit length, weight-normalised linear layer.

    Args:
        in_dim: of the token.
        out_dim: ToCo 1024.
        hidden_dim: 2048.
        bottleneck_dim: 256.
    """

    def __init__(self, in_dim: int, out_dim: int = 1024, hidden_dim: int = 2048, bottleneck_dim: int = 256) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(in_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, hidden_dim), nn.GELU(),
                                 nn.Linear(hidden_dim, bottleneck_dim))
        for layer in self.mlp[::2]:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        # The published names of a weight-normalised layer; the length is fixed at 1.
        self.last_layer = nn.Module()
        self.last_layer.weight_g = nn.Parameter(torch.ones(out_dim, 1), requires_grad=False)
        self.last_layer.weight_v = nn.Parameter(nn.Linear(bottleneck_dim, out_dim, bias=False).weight.detach())

    def forward(self, tokens: Tensor) -> Tensor:
        """(B,in_dim) -> (B,out_dim), neither normalised nor through a softmax."""
        x = F.normalize(self.mlp(tokens), dim=-1)
        return F.linear(x, self.last_layer.weight_g * F.normalize(self.last_layer.weight_v, dim=1))


def random_resized_boxes(uniforms: Tensor, boxes: Tensor, scale: tuple[float, float] = (0.4, 1.0),
                         ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> Tensor:
    """Crops of a random share of each box's area and a random shape, as torchvision's RandomResizedCrop draws them.

    Where a side would not fit, it is cut to the box's.

    Args:
        uniforms: (B,4) in [0, 1): area, shape, y, x.
        boxes: (B,4) y0, y1, x0, x1, ends excluded.

    Returns:
        (B,4) float, y0, y1, x0, x1 within the boxes.
    """
    y0, y1, x0, x1 = boxes.to(uniforms).unbind(1)
    area = (y1 - y0) * (x1 - x0) * (scale[0] + (scale[1] - scale[0]) * uniforms[:, 0])
    low, high = (math.log(r) for r in ratio)
    shape = (low + (high - low) * uniforms[:, 1]).exp()
    height = torch.minimum((area / shape).sqrt(), y1 - y0)
    width = torch.minimum((area * shape).sqrt(), x1 - x0)
    top, left = y0 + (y1 - y0 - height) * uniforms[:, 2], x0 + (x1 - x0 - width) * uniforms[:, 3]
    return torch.stack([top, top + height, left, left + width], 1)


@MODELS.register_module()
class ToCo(TagSegmentor):
    """ToCo over a ``ClassTokenViT`` with one class token.

    Args:
        backbone: config of a ``ClassTokenViT`` with ``num_tokens=1``, ``final_norm=True``, ``train_positions=False``.
        decoder: config of the segmentation decoder without ``in_channels`` and ``num_classes``.
        projector: arguments of :class:`ClassTokenProjector` without ``in_dim``.
        aux_index: block of the auxiliary patches. Paper: -3.
        high_thr, low_thr: of seeds and regions. VOC 0.7, 0.25; COCO 0.65, 0.25.
        loss_weights: of 'ptc', 'ctc', 'seg', 'reg'. Paper: 0.2, 0.5, 0.1, 0.05.
        begin: last iteration without 'contrast' (both), without 'seg' (and reg), and with labels of the auxiliary maps
            ('main'). VOC: -1, 2000, -1; COCO: 12000, 8000, 12000.
        num_crops, local_size: local views, pixels; at most half of the crop. Paper: 8 of 96.
        temperature: of the class tokens' contrast. VOC 0.5, COCO 1.
        momentum: the student's share of an update of the teacher's head. Paper: 0.1 (0.9 stays).
        views: configs of photometric views 'first', 'second', 'local', RGB in [0, 1]; a missing one changes nothing.
        par: config of the refinement of the labels.
        energy: srgb, sxy_px, scale_factor, weight of the energy loss. Paper: 15, 100, 0.5, 1e-7.
        num_classes, seed and others: of :class:`.TagSegmentor`. Paper: scales 1, 0.5, 1.5, flip 'max', 'minmax'.
    """

    has_decoder = True

    def __init__(self, backbone: dict, num_classes: int, decoder: dict | None = None, projector: dict | None = None,
                 aux_index: int = -3, high_thr: float = 0.7, low_thr: float = 0.25, loss_weights: dict | None = None,
                 begin: dict | None = None, num_crops: int = 8, local_size: int = 96, temperature: float = 0.5,
                 momentum: float = 0.1, views: dict | None = None, par: dict | None = None, energy: dict | None = None,
                 **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.backbone = MODELS.build(backbone)
        if self.backbone.cls_token.shape[1] != 1 or self.backbone.norm is None:
            raise ConfigError('model.backbone of ToCo needs num_tokens=1 and final_norm=True.')
        dim = self.backbone.embed_dim
        self.head, self.aux_head = (PooledClassifier(dim, self.num_tags, 'gmp') for _ in range(2))
        self.decoder = MODELS.build(dict(dict(type='LargeFOV', **(decoder or {})), in_channels=dim,
                                         num_classes=num_classes))
        self.projector = ClassTokenProjector(dim, **(projector or {}))
        self.teacher = EMATeacher(self.projector, momentum)
        self.par = MODELS.build(par or dict(type='PAR', num_iter=10))
        self.views = nn.ModuleDict({name: MODELS.build(view) for name, view in (views or {}).items()})
        self.aux_index, self.high_thr, self.low_thr = aux_index, high_thr, low_thr
        self.loss_weights = dict(ptc=0.2, ctc=0.5, seg=0.1, reg=0.05) | dict(loss_weights or {})
        self.begin = dict(contrast=-1, seg=2000, main=-1) | dict(begin or {})
        self.energy = dict(srgb=15, sxy_px=100, scale_factor=0.5, weight=1e-7) | dict(energy or {})
        self.num_crops, self.local_size, self.temperature = num_crops, local_size, temperature

    @property
    def student(self) -> nn.Module:
        """What the teacher follows: the projection head alone, the encoder is shared."""
        return self.projector

    def update_teacher(self) -> None:
        """One step of the head's average, after the optimizer's (published: before the next forward pass)."""
        self.teacher.update(self.projector)

    # ---- networks -------------------------------------------------------------------------------------------------

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B,3,H,W) -> final patches (B,D,h,w), auxiliary patches (B,D,h,w), class token (B,D)."""
        patches, tokens, _, kept = self.backbone.run(images, keep=(self.aux_index,))
        return patches, kept[0], tokens[-1][:, 0]

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw maps of the main classifier, (B,3,H,W) -> (B,K,h,w)."""
        return self.head.cam(self.encode(images)[0])

    def tag_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K)."""
        return self.head(self.encode(images)[0])

    def decode_logits(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,K+1,h,w)."""
        return self.decoder(self.encode(images)[0])

    @torch.no_grad()
    def both_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Main and auxiliary multi-scale maps in [0, 1], from the same passes: (B,K,H,W) twice."""
        rule = self.seed

        def forward(view: Tensor) -> Tensor:
            patches, aux, _ = self.encode(view)
            return torch.cat([self.head.cam(patches), self.aux_head.cam(aux)], 1)

        raw = scale_maps(forward, images, rule['scales'], rule['flip'] != 'none', rule['rounding'], rule['multiple'])
        merged = merge_scales(raw, tuple(images.shape[-2:]), rule['flip'], rule['stride'])
        return tuple(normalize_cam(part, rule['normalize'], rule['eps']) for part in merged.chunk(2, 1))

    # ---- views ----------------------------------------------------------------------------------------------------

    def view(self, name: str, raw: Tensor) -> Tensor:
        """A photometric view of RGB images in 0..255, normalised for the network."""
        if name in self.views:
            raw = self.views[name](raw / 255) * 255
        return self.normalized(raw)

    def second_view(self, raw: Tensor, boxes: Tensor) -> Tensor:
        """A random resized crop of each image, bicubic, at the size of the first view."""
        h, w = raw.shape[-2:]
        y0, y1, x0, x1 = random_resized_boxes(torch.rand(len(raw), 4, device=raw.device), boxes).unbind(1)
        zero = torch.zeros_like(y0)
        # where -1 and 1 of the crop lie in the image, whose own edges are -1 and 1
        rows = torch.stack([torch.stack([(x1 - x0) / w, zero, (x0 + x1) / w - 1], 1),
                            torch.stack([zero, (y1 - y0) / h, (y0 + y1) / h - 1], 1)], 1)
        grid = F.affine_grid(rows, list(raw.shape), align_corners=False)
        crops = F.grid_sample(raw, grid, mode='bicubic', padding_mode='border', align_corners=False)
        return self.view('second', crops.clamp(0, 255))

    def local_views(self, raw: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Local crops (B N,3,s,s), those of an image in a row, and the flags of all views (B,2+N)."""
        patch = self.backbone.patch_size
        side = min(self.local_size, max(min(raw.shape[-2:]) // 2 // (2 * patch) * 2 * patch, 2 * patch))
        places = (raw.shape[-2] - side) * (raw.shape[-1] - side)
        uniforms = torch.rand(len(raw), places, device=raw.device)
        corners = draw_crops(regions, uniforms, self.num_crops, side)
        reach, rows = torch.arange(side, device=raw.device), torch.arange(len(raw), device=raw.device)
        y, x = (corner[..., None] + reach for corner in corners.unbind(2))  # (B,N,s)
        crops = self.view('local', raw)[rows[:, None, None, None], :, y[..., None], x[:, :, None]]  # (B,N,s,s,3)
        return crops.flatten(0, 1).permute(0, 3, 1, 2), crop_flags(regions, corners, side)

    # ---- loss -----------------------------------------------------------------------------------------------------

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The equations above."""
        if not self.teacher.is_ready:
            raise ConfigError("The teacher of ToCo was never started: add dict(type='EMATeacherHook') to custom_hooks.")
        iteration, size = current_iter(), tuple(inputs.shape[-2:])
        tags, boxes = self.tags(data_samples), image_boxes(data_samples, size, inputs.device)
        raw = self.raw_images(inputs)
        images = self.view('first', raw)
        patches, aux, token = self.encode(images)
        losses = dict(loss_cls=F.multilabel_soft_margin_loss(full_precision(self.head(patches)), tags),
                      loss_cls_aux=F.multilabel_soft_margin_loss(full_precision(self.aux_head(aux)), tags))
        contrast, seg = iteration > self.begin['contrast'], iteration > self.begin['seg']
        logits = self.decoder(patches)
        if not (contrast or seg):
            return losses | keep_in_graph(self.projector(token), logits)
        cam, cam_aux = self.both_maps(images)
        if contrast:
            losses |= self._contrast(patches, token, raw, keep_present(cam_aux, tags), tags, boxes)
        if seg:
            chosen = cam if iteration > self.begin['main'] else cam_aux
            losses |= self._segment(logits, self.raw_images(images), keep_present(chosen, tags), tags, boxes)
        return losses | keep_in_graph(*([] if contrast else [self.projector(token)]), *([] if seg else [logits]))

    def _contrast(self, patches: Tensor, token: Tensor, raw: Tensor, cams: Tensor, tags: Tensor,
                  boxes: Tensor) -> dict[str, Tensor]:
        small = F.interpolate(cams, patches.shape[-2:], mode='bilinear', align_corners=False)
        seeds = cam_to_seed(small, tags, high_thr=self.high_thr, low_thr=self.low_thr)
        inside = F.interpolate(box_mask(boxes, tuple(cams.shape[-2:]))[:, None].float(), patches.shape[-2:])[:, 0] > 0
        target = affinity_target(seeds.masked_fill(~inside, 255))
        crops, flags = self.local_views(raw, cam_to_regions(cams, self.low_thr, self.high_thr))
        second, local = self.encode(self.second_view(raw, boxes))[2], self.encode(crops)[2]
        count = len(raw)
        tokens = torch.cat([torch.stack([token, second], 1), local.unflatten(0, (count, -1))], 1)  # (B,2+N,D)
        student = full_precision(self.projector(tokens.flatten(0, 1)))
        with torch.no_grad():
            teacher = full_precision(self.teacher.module(tokens[:, :2].detach().flatten(0, 1)))
        # the contrast takes views first
        student, teacher = (x.unflatten(0, (count, -1)).transpose(0, 1).flatten(0, 1) for x in (student, teacher))
        return dict(loss_ptc=self.loss_weights['ptc'] * patch_token_contrast(patches, target),
                    loss_ctc=self.loss_weights['ctc'] * class_token_contrast(student, teacher, flags,
                                                                             self.temperature))

    def _segment(self, logits: Tensor, raw: Tensor, cams: Tensor, tags: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        size = tuple(raw.shape[-2:])
        labels = refined_labels(cams, raw.floor(), tags, self.par, boxes, self.high_thr, self.low_thr)
        logits = F.interpolate(full_precision(logits), size, mode='bilinear', align_corners=False)
        energy = {k: v for k, v in self.energy.items() if k != 'weight'}
        reg = dense_energy_loss(logits, raw, labels, box_mask(boxes, size), **energy)
        return dict(loss_seg=self.loss_weights['seg'] * split_cross_entropy(logits, labels),
                    loss_reg=self.loss_weights['reg'] * self.energy['weight'] * reg)
