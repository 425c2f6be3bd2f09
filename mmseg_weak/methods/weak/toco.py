"""Equations of ToCo: patch and class token contrast, regions and their crops, pseudo labels from refined CAMs.

Ru et al., Token Contrast for Weakly-Supervised Semantic Segmentation, CVPR 2023, arXiv 2303.01267;
rulixiang/ToCo @ e13514d (no licence), model/losses.py, model/model_seg_neg.py, utils/camutils.py.

This room holds these functions and the projection head; the segmentor and its training are not here. CAM inference and
seeds are in ``models/cam``, the segmentation and energy losses in ``models/losses``, PAR in ``models/refine``.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.errors import DataError
from mmseg_weak.models.cam.seeds import box_mask, merge_confident, scores_to_labels
from mmseg_weak.models.losses.common import full_precision
from mmseg_weak.models.refine import Refiner

__all__ = ['ClassTokenProjector', 'affinity_target', 'class_token_contrast', 'crop_flags', 'draw_crops',
           'patch_token_contrast', 'refined_labels']


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


@torch.no_grad()
def refined_labels(cams: Tensor, images: Tensor, present: Tensor, refiner: Refiner, img_box: Tensor | None = None,
                   high_thr: float = 0.7, low_thr: float = 0.25, down_scale: float = 2,
                   ignore_index: int = 255) -> Tensor:
    """Pseudo labels for the decoder: softmax with a background plane at two heights, refined, merged.

    Args:
        cams: (B,C,H,W) in [0, 1].
        images: (B,3,H,W) RGB; its range does not matter to PAR.
        present: (B,C) tags.
        refiner: PAR of 10 iterations in the paper.
        img_box: (B,4) y0, y1, x0, x1; outside is ``ignore_index``.
        high_thr, low_thr: VOC 0.7, 0.25; COCO 0.65, 0.25.
        down_scale: refine at the size over this.

    Returns:
        (B,H,W) long: objects from the high background, background where both say so, ``ignore_index`` elsewhere.
    """
    size = tuple(cams.shape[-2:])
    small = [int(n // down_scale) for n in size]
    cams, images = (F.interpolate(full_precision(x), small, mode='bilinear', align_corners=False)
                    for x in (cams, images))
    kept = F.pad(present.bool(), (1, 0), value=True)
    labels = []
    for thr in (high_thr, low_thr):
        planes = torch.cat([torch.full_like(cams[:, :1], thr), cams], 1)
        planes = planes.masked_fill(~kept[:, :, None, None], -torch.inf).softmax(1)
        planes = F.interpolate(refiner(planes, images, kept), size, mode='bilinear', align_corners=False)
        labels.append(scores_to_labels(planes, present))
    merged = merge_confident(*labels, ignore_index)
    return merged if img_box is None else merged.masked_fill(~box_mask(img_box, size), ignore_index)


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
