"""The ToyWorld ViT: self-distillation of two views (DINO, iBOT) together with naming single objects (as ImageNet does).

Losses of a step, with student s, teacher t (a moving average of s), views a and b of each image:
  views   -sum t(a) log s(b) and the reverse, on the class token; targets balanced by Sinkhorn-Knopp (SwAV, DINOv2)
  patches the same for masked patches of one view, against the teacher that sees them (iBOT)
  kinds   cross entropy of the 19 kinds of single objects, from class token and mean patch

Most of training has the last loss alone, on close crops of the objects that grow from 32 to 64 px: from scratch, with
all three on larger crops, nothing of it was learnt in 20,000 images, and half of it in as many close crops; crops of
32 px are learnt from twice as fast as crops of 48, since four times as many go through.
"""
import copy
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.datasets.toyworld.layout import CLASSES

from .common import augment, average_precision, half, positions
from .scenes import SINGLES, SIZE, Drawn, cut, draw_all, take

# Share of training until which: side and number of the close crops of single objects that it sees alone.
EASY = ((0.3, 32, 128), (0.6, 48, 64), (0.7, 64, 40))

__all__ = ['ARCH', 'MEAN', 'STD', 'ViTStage', 'build_vit']

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
ARCH = dict(img_size=SIZE, patch_size=8, embed_dim=96, depth=6, num_heads=3)


def build_vit() -> nn.Module:
    """timm's vision transformer, 96 wide and 6 deep, patches of 8: 0.7 million weights."""
    return timm.create_model('vit_tiny_patch16_224', pretrained=False, num_classes=0, dynamic_img_size=True, **ARCH)


def tokens(vit: nn.Module, images: Tensor, window: bool, hidden: Tensor | None = None,
           blank: Tensor | None = None) -> Tensor:
    """(B,3,H,H) -> (B,1+P,D) after the last norm; patches where ``hidden`` (B,P) is True are the ``blank`` (D,)."""
    x = vit.patch_embed(images).flatten(1, 2)
    if hidden is not None:
        x = torch.where(hidden[..., None], blank.to(x.dtype), x)
    table = positions(vit.pos_embed[0, 1:], images.shape[-1] // 8, window)
    first = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(x), -1, -1)
    return vit.norm(vit.blocks(torch.cat([first, x + table], 1)))


def balanced(logits: Tensor, temperature: float = 0.06, rounds: int = 3) -> Tensor:
    """Sinkhorn-Knopp: (N,K) -> rows that sum to one, columns about equally used."""
    q = ((logits.float() - logits.max()) / temperature).exp().T
    for _ in range(rounds):
        q = q / q.sum(1, keepdim=True).clamp_min(1e-12) / q.shape[0]
        q = q / q.sum(0, keepdim=True).clamp_min(1e-12) / q.shape[1]
    return (q * q.shape[1]).T


class Prototypes(nn.Module):
    """DINO's head: (N,D) -> (N,K) cosines with unit prototypes."""

    def __init__(self, dim: int, hidden: int = 192, bottleneck: int = 64, count: int = 192) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, bottleneck))
        self.weight = nn.Parameter(torch.randn(count, bottleneck))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.mlp(x).float(), dim=-1) @ F.normalize(self.weight.float(), dim=-1).T


class ViTStage:
    """Everything that the loop of :func:`.common.run` asks of a stage.

    Args:
        cache: folder of drawn images.
        device: torch's name of it.
        count: scenes and, half as many, single images to draw.
        batch: images a step, half of them single; two views of each.
    """

    def __init__(self, cache: Path, device: str, count: int, batch: int = 48) -> None:
        self.device, self.batch = device, batch
        self.random = np.random.default_rng(0)
        self.scenes, self.singles = draw_all(cache, 'scene', 0, count), draw_all(cache, 'single', 0, count // 2)
        self.held, self.fit = draw_all(cache, 'scene', 1, 600), 600
        self.vit = build_vit().to(device)
        self.head = nn.ModuleDict(dict(view=Prototypes(96), patch=Prototypes(96), kind=nn.Linear(192, len(SINGLES)),
                                       blank=nn.Embedding(1, 96))).to(device)
        self.teacher = copy.deepcopy(nn.ModuleDict(dict(vit=self.vit, head=self.head))).requires_grad_(False)
        self.state = dict(vit=self.vit, head=self.head, teacher=self.teacher)
        matrices = [p for m in (self.vit, self.head) for p in m.parameters() if p.ndim > 1]
        others = [p for m in (self.vit, self.head) for p in m.parameters() if p.ndim < 2]
        self.groups = [dict(params=matrices, lr=1e-3), dict(params=others, lr=1e-3, weight_decay=0)]

    def _views(self, drawn: Drawn, rows: np.ndarray, px: int) -> list[Tensor]:
        """Two views of images, from crops a little larger or smaller than they are shown."""
        views = []
        for _ in range(2):
            wide = int(self.random.choice([px, px, round(px * 0.8), min(SIZE, round(px * 1.25))]))
            corners = cut(drawn, rows, wide, self.random, centred=0.9, jitter=0.25)
            views.append(augment(take(drawn.images, rows, corners, wide), px, MEAN, STD, self.device))
        return views

    def step(self, share: float) -> dict[str, Tensor]:
        """Losses of one batch; the late ones see crops of 48 to 96 px, so that 144 patches are no news to the tower."""
        for until, side, count in EASY:
            if share < until:
                return self._easy(side, count)
        px = int(self.random.choice([48, 64, 96], p=[0.5, 0.4, 0.1]))
        batch = {48: self.batch * 3 // 2, 64: self.batch, 96: self.batch // 2}[px]
        n = batch // 2
        single = self.random.integers(0, len(self.singles.images), n)
        pairs = zip(self._views(self.singles, single, px),
                    self._views(self.scenes, self.random.integers(0, len(self.scenes.images), batch - n), px))
        views = torch.cat([torch.cat(pair) for pair in pairs])  # (2B,3,px,px), view after view
        kinds = torch.from_numpy(self.singles.labels[single, 0].astype(np.int64)).to(self.device)
        window = bool(self.random.random() < 0.5)
        ratio = torch.rand(len(views), 1, device=self.device) * 0.5
        hidden = torch.rand(len(views), (px // 8)**2, device=self.device) < ratio
        with torch.no_grad():
            seen = tokens(self.teacher['vit'], views, window)
            patch_target = balanced(self.teacher['head']['patch'](seen[:, 1:][hidden]))
            view_target = balanced(self.teacher['head']['view'](seen[:, 0])).roll(batch, 0)
        out = tokens(self.vit, views, window, hidden, self.head['blank'].weight[0])
        view = F.log_softmax(self.head['view'](out[:, 0]) / 0.1, -1)
        patch = F.log_softmax(self.head['patch'](out[:, 1:][hidden]) / 0.1, -1)
        both = torch.cat([out[:, 0], out[:, 1:].mean(1)], 1).view(2, batch, -1)[:, :n].flatten(0, 1)
        return dict(views=-(view_target * view).sum(1).mean(), patches=-(patch_target * patch).sum(1).mean(),
                    kinds=F.cross_entropy(self.head['kind'](both).float(), kinds.repeat(2), label_smoothing=0.05))

    def _easy(self, px: int, batch: int) -> dict[str, Tensor]:
        """Naming close crops of single objects."""
        rows = self.random.integers(0, len(self.singles.images), batch)
        corners = cut(self.singles, rows, px, self.random, centred=1, jitter=0.12)
        images = augment(take(self.singles.images, rows, corners, px), px, MEAN, STD, self.device, 0.6)
        out = tokens(self.vit, images, bool(self.random.random() < 0.5))
        kinds = torch.from_numpy(self.singles.labels[rows, 0].astype(np.int64)).to(self.device)
        logits = self.head['kind'](torch.cat([out[:, 0], out[:, 1:].mean(1)], 1)).float()
        return dict(kinds=F.cross_entropy(logits, kinds, label_smoothing=0.05))

    @torch.no_grad()
    def after(self, share: float) -> None:
        """Move the teacher by 1 % of the way, less towards the end."""
        own = [*self.vit.parameters(), *self.head.parameters()]
        torch._foreach_lerp_(list(self.teacher.parameters()), own, 0.01 * (1 - share) + 0.001)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out scenes at 128 px: average precision of tags and IoU of patches, both by ridge regression."""
        vit = self.teacher['vit'].eval()
        whole = [self._describe(vit, drawn, self.fit) for drawn in (self.scenes, self.held)]
        (x, tags, p, patches), (x2, tags2, p2, patches2) = whole
        precision = average_precision(_ridge(x, tags, x2).numpy(), tags2.numpy())
        answer = _ridge(p, F.one_hot(patches, len(CLASSES)).float(), p2).argmax(1)
        table = torch.bincount(patches2 * len(CLASSES) + answer, minlength=len(CLASSES)**2)
        table = table.view(len(CLASSES), -1).float()
        iou = (table.diag() / (table.sum(0) + table.sum(1) - table.diag())).mean().item()
        near = F.normalize(x2, dim=1) @ F.normalize(x, dim=1).T
        votes = torch.stack([tags[i].mean(0) for i in near.topk(20, 1).indices])
        return dict(linear_ap=precision, knn_ap=average_precision(votes.numpy(), tags2.numpy()),
                    chance_ap=float(tags2.mean()), patch_miou=iou, score=precision + iou)

    def _describe(self, vit: nn.Module, drawn: Drawn, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image features (N,2D), tags (N,7), patch features (M,D) and the patches' commonest class (M,)."""
        whole, patches = [], []
        for i in range(0, count, 50):
            with torch.autocast(self.device, torch.bfloat16):
                x = tokens(vit, augment(drawn.images[i:i + 50], SIZE, MEAN, STD, self.device, 0), False)
            x = x.float().cpu()
            whole.append(torch.cat([x[:, 0], x[:, 1:].mean(1)], 1))
            patches.append(x[:, 1:].flatten(0, 1))
        labels = np.concatenate([np.zeros((count, 1), np.uint8), drawn.labels[:count]], 1)
        maps = np.take_along_axis(labels, drawn.instances[:count].reshape(count, -1), 1)
        maps = torch.from_numpy(maps.astype(np.int64))
        share = F.one_hot(maps.view(count, 16, 8, 16, 8), len(CLASSES)).sum((2, 4)).flatten(0, 2)
        tags = (F.one_hot(maps, len(CLASSES)).sum(1)[:, 1:] >= 24).float()
        keep = torch.randperm(len(share), generator=torch.Generator().manual_seed(0))[:30000]
        return torch.cat(whole), tags, torch.cat(patches)[keep], share.argmax(1)[keep]

    def export(self) -> dict[str, Tensor]:
        """The teacher in half precision, under timm's names."""
        return half(self.teacher['vit'])


def _ridge(x: Tensor, y: Tensor, x2: Tensor, weight: float = 1.0) -> Tensor:
    """What least squares from features (N,D) to targets (N,C) says of other features (M,D)."""
    mean, std = x.mean(0), x.std(0).clamp_min(1e-6)
    x, x2 = (x - mean) / std, (x2 - mean) / std
    return x2 @ torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ (y - y.mean(0))) + y.mean(0)
