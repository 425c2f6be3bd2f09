"""U2PL's contrast: unreliable pixels are still reliable negatives of the classes they are surely not."""
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers.policies import quantile_threshold

from .common import full_precision
from .entropy_filtered_ce import pixel_entropy

__all__ = ['UnreliableContrastLoss', 'contrast_pixels', 'draw_indices', 'entropy_split', 'resize_mask', 'to_onehot']

Draw = Callable[[Tensor, int], Tensor]


def draw_indices(counts: Tensor, size: int) -> Tensor:
    """``size`` random indices below each of the (C,) counts, with replacement: (C,size) long; 0 where a count is 0."""
    given = torch.rand(counts.shape[0], size, dtype=torch.float64).to(counts.device, non_blocking=True)
    return (given * counts[:, None]).long()


@torch.no_grad()
def entropy_split(label: Tensor, teacher: Tensor, percent: float,
                  ignore_index: int = 255) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels of surely low and surely high entropy of an unlabelled batch.

    Args:
        label: (B,H,W) long pseudo labels. teacher: (B,C,H,W) logits.
        percent: alpha_t, 0..100: the lowest ``percent`` and the highest ``percent`` of the labelled pixels.

    Returns:
        (low (B,H,W) bool, high (B,H,W) bool, threshold of low, threshold of high).
    """
    entropy = pixel_entropy(teacher)
    known = label.ne(ignore_index)
    low, high = (quantile_threshold(entropy, known, p / 100) for p in (percent, 100 - percent))
    return known & (entropy <= low), known & (entropy >= high), low, high


def resize_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest-resize a (B,H,W) bool mask to feature size."""
    return F.interpolate(mask.unsqueeze(1).float(), size=tuple(size), mode='nearest').squeeze(1).bool()


def to_onehot(label: Tensor, num_classes: int, size: Sequence[int]) -> Tensor:
    """Nearest-resize (B,H,W) labels and spread them, (B,C,h,w) bool; labels outside of [0, C) are in no class."""
    label = F.interpolate(label.unsqueeze(1).float(), size=tuple(size), mode='nearest').long()
    return label == torch.arange(num_classes, device=label.device).view(1, -1, 1, 1)


@torch.no_grad()
def contrast_pixels(onehot: Tensor, low: Tensor, high: Tensor, probs: Tensor, num_labeled: int, *, low_rank: int,
                    high_rank: int, anchor_thr: float, negative_thr: float,
                    as_published: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Which pixels serve which class (low-entropy, anchors, negatives), each (C,N) bool with N = B h w.

    Labelled images come first in the batch. A negative of class c is a high-mask pixel that is surely not c: on a
    labelled image c is among the ``low_rank`` likeliest classes though the label is another; on an unlabelled one c
    is ranked ``low_rank``..``high_rank``-1.

    Args:
        onehot: (B,C,h,w) bool labels. low, high: (B,h,w) bool. probs: (B,C,h,w) of the teacher.
        anchor_thr: an anchor's class has more than this teacher probability.
        negative_thr: a negative's class has less than this one.
        as_published: the release multiplies the high mask with the one-hot label of c itself, which leaves labelled
            images without negatives and unlabelled ones with those where two teacher passes disagree.
    """
    rank = probs.argsort(1, descending=True).argsort(1)
    usable = onehot & low.unsqueeze(1)
    anchors = usable & (probs > anchor_thr)
    ranked = (rank >= low_rank) & (rank < high_rank)
    ranked[:num_labeled] = (rank[:num_labeled] < low_rank) & ~onehot[:num_labeled]
    negatives = ranked & high.unsqueeze(1) & (probs < negative_thr)
    if as_published:
        negatives = negatives & onehot
    return tuple(m.transpose(0, 1).flatten(1) for m in (usable, anchors, negatives))


@MODELS.register_module()
class UnreliableContrastLoss(nn.Module):
    """InfoNCE between pixels of a class and negatives from its memory bank; the mean over the classes present.

    Banks are first-in-first-out, one a class, equal on all ranks; checkpoints hold their filled rows only. A step
    asks the device twice for the number of chosen pixels (their rows are of variable number), nothing else.

    Args:
        num_classes: classes C.
        feat_channels: width D of the representation.
        low_rank, high_rank: see :func:`contrast_pixels`. 3 and 20 as published.
        anchor_thr, negative_thr: delta_p 0.3 and delta_n 1.
        temperature: 0.5. num_queries: anchors a class, 256. num_negatives: per anchor, 50.
        bank_size: rows a class, 30000. background_bank_size: of class 0, 50000 (None: as the others).
        prototype_ema: mix the positive with its running mean, decay min(1 - 1/i, 0.999). Off in the published runs.
        as_published: reproduce the release's slips: anchors and class means indexed by the position among the
            present classes, bank and prototype by class; prototypes of classes not seen set to zero; negatives as
            in :func:`contrast_pixels`. By default everything is indexed by class.
        loss_weight: 1; the release's effective weight is 1 / number of GPUs (0.25 on VOC, 0.125 on Cityscapes).

    Source: Haochen-Wang409/U2PL @ ab3d2be, u2pl/utils/loss_helper.py.
    """

    def __init__(self, num_classes: int, feat_channels: int = 256, low_rank: int = 3, high_rank: int = 20,
                 anchor_thr: float = 0.3, negative_thr: float = 1.0, temperature: float = 0.5, num_queries: int = 256,
                 num_negatives: int = 50, bank_size: int = 30000, background_bank_size: int | None = 50000,
                 prototype_ema: bool = False, as_published: bool = False, loss_weight: float = 1.0,
                 loss_name: str = 'loss_contrast') -> None:
        super().__init__()
        if not 0 < low_rank < high_rank:
            raise ConfigError(f'UnreliableContrastLoss has low_rank={low_rank} and high_rank={high_rank}; '
                              'it needs 0 < low_rank < high_rank.')
        self.num_classes, self.feat_channels = num_classes, feat_channels
        self.low_rank, self.high_rank = low_rank, high_rank
        self.anchor_thr, self.negative_thr = anchor_thr, negative_thr
        self.temperature, self.num_queries, self.num_negatives = temperature, num_queries, num_negatives
        self.prototype_ema, self.as_published = prototype_ema, as_published
        self.loss_weight, self._loss_name = loss_weight, loss_name
        sizes = [background_bank_size or bank_size] + [bank_size] * (num_classes - 1)
        self.register_buffer('capacity', torch.tensor(sizes), persistent=False)
        self.register_buffer('offset', self.capacity.cumsum(0) - self.capacity, persistent=False)
        self.register_buffer('count', torch.zeros(num_classes, dtype=torch.long))
        self.register_buffer('start', torch.zeros(num_classes, dtype=torch.long), persistent=False)
        self.register_buffer('prototype', torch.zeros(num_classes, feat_channels))
        self.rows: Tensor | None = None  # (sum of capacities, D), made at the first push
        self._total = sum(sizes)

    # ---- memory bank ----------------------------------------------------------------------------------------------

    def bank(self, index: int) -> Tensor:
        """Rows of one class, oldest first: (count, D)."""
        if self.rows is None:
            return self.prototype.new_zeros(0, self.feat_channels)
        age = torch.arange(int(self.count[index]), device=self.rows.device)
        return self.rows[self.offset[index] + (self.start[index] + age) % self.capacity[index]]

    @torch.no_grad()
    def push(self, feats: Tensor, classes: Tensor) -> Tensor:
        """Append rows of all ranks; the oldest leave a full bank.

        Args:
            feats: (M,D). classes: (M,) long.

        Returns:
            (C,) number of new rows a class.
        """
        feats, classes = self._gather(full_precision(feats), classes)
        if self.rows is None or self.rows.device != feats.device:
            self.rows = (feats.new_zeros(self._total, self.feat_channels) if self.rows is None
                         else self.rows.to(feats.device))
        new = torch.zeros_like(self.count).index_add_(0, classes, torch.ones_like(classes))
        classes, order = classes.sort(stable=True)
        place = torch.arange(len(classes), device=classes.device) - (new.cumsum(0) - new)[classes]
        stays = place >= (new - self.capacity)[classes]  # of more rows than fit, the last ones
        classes, order, place = classes[stays], order[stays], place[stays]
        slot = (self.start[classes] + self.count[classes] + place) % self.capacity[classes]
        self.rows[self.offset[classes] + slot] = feats[order].to(self.rows)
        over = (self.count + new - self.capacity).clamp(min=0)
        self.start.copy_((self.start + over) % self.capacity)
        self.count.copy_(torch.minimum(self.count + new, self.capacity))
        return new

    @staticmethod
    def _gather(feats: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of all ranks, by rank; every rank takes part whatever it has."""
        if get_world_size() == 1:
            return feats, classes
        sizes = [int(s) for s in all_gather(torch.tensor([len(feats)], device=feats.device))]
        pad = max(sizes) - len(feats)
        all_feats = all_gather(F.pad(feats, (0, 0, 0, pad)).contiguous())
        all_classes = all_gather(F.pad(classes, (0, pad)).contiguous())
        return (torch.cat([f[:s] for f, s in zip(all_feats, sizes)]),
                torch.cat([c[:s] for c, s in zip(all_classes, sizes)]))

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Save the filled rows, oldest first, instead of the whole bank."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + 'bank'] = torch.cat([self.bank(c) for c in range(self.num_classes)])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: Mapping, strict: bool,
                              missing_keys: list, unexpected_keys: list, error_msgs: list) -> None:
        rows = state_dict.pop(prefix + 'bank', None)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                                      error_msgs)
        if rows is None:
            missing_keys.append(prefix + 'bank')
            return
        count, self.rows = self.count.clone(), None
        self.count.zero_()
        self.start.zero_()
        if len(rows):
            with torch.no_grad():
                # Rows of one process: push() would gather them from every rank.
                self.rows = self.prototype.new_zeros(self._total, self.feat_channels)
                index = [o + torch.arange(n) for o, n in zip(self.offset.tolist(), count.tolist())]
                self.rows[torch.cat(index).to(self.rows.device)] = rows.to(self.rows)
        self.count.copy_(count)

    # ---- the loss -------------------------------------------------------------------------------------------------

    def forward(self, rep: Tensor, rep_teacher: Tensor, onehot: Tensor, probs: Tensor, low: Tensor, high: Tensor,
                num_labeled: int, step: int = 0, draw: Draw = draw_indices) -> Tensor:
        """Push this batch's negatives, then contrast.

        Args:
            rep, rep_teacher: (B,D,h,w) representations of student and teacher, labelled images first.
            onehot: (B,C,h,w) bool. probs: (B,C,h,w) of the teacher. low, high: (B,h,w) bool.
            num_labeled: labelled images of the batch.
            step: updates of the prototypes so far, for ``prototype_ema``.
            draw: gives random indices, first of anchors, then of negatives; see :func:`draw_indices`.

        Returns:
            Scalar; 0 with fewer than two classes present.
        """
        usable, anchors, negatives = contrast_pixels(
            onehot, low, high, probs, num_labeled, low_rank=self.low_rank, high_rank=self.high_rank,
            anchor_thr=self.anchor_thr, negative_thr=self.negative_thr, as_published=self.as_published)
        feats, feats_teacher = (full_precision(r).permute(0, 2, 3, 1).flatten(0, 2)
                                for r in (rep, rep_teacher.detach()))
        classes, pixels = negatives.nonzero(as_tuple=True)
        self.push(feats_teacher[pixels], classes)

        size = usable.sum(1)
        present = size > 0
        # The row each class takes its anchors and its mean from.
        source = (present.long().cumsum(0) - 1).clamp(min=0) if self.as_published else torch.arange(
            self.num_classes, device=size.device)
        number = anchors.sum(1)
        active = present & (number[source] > 0) & (self.count > 0) & (present.sum() > 1)
        positive = self._positive(usable, feats_teacher, size, source, active, step)

        _, chosen = anchors.nonzero(as_tuple=True)
        zero = rep.sum() * 0
        if self.rows is None or not len(chosen):
            return zero
        pick = draw(torch.where(active, number[source], 0), self.num_queries)
        first = (number.cumsum(0) - number)[source]
        anchor = feats[chosen[(first[:, None] + pick).clamp(max=len(chosen) - 1)]]  # (C,Q,D)
        age = draw(torch.where(active, self.count, 0), self.num_queries * self.num_negatives)
        slot = self.offset[:, None] + (self.start[:, None] + age) % self.capacity[:, None]
        negative = self.rows[slot].view(self.num_classes, self.num_queries, self.num_negatives, -1)
        targets = torch.cat([positive[:, None, None].expand(-1, self.num_queries, 1, -1), negative.to(positive)], 2)
        logits = F.cosine_similarity(anchor.unsqueeze(2), targets, dim=3) / self.temperature  # (C,Q,1+N)
        per_class = -logits.log_softmax(2)[..., 0].mean(1)
        total = torch.where(active, per_class, torch.zeros_like(per_class)).sum()
        return self.loss_weight * total / present.sum().clamp(min=1) + zero

    @torch.no_grad()
    def _positive(self, usable: Tensor, feats: Tensor, size: Tensor, source: Tensor, active: Tensor,
                  step: int) -> Tensor:
        """Mean teacher feature of each class, (C,D), mixed with its running mean where asked for."""
        mean = ((usable.to(feats) @ feats) / size.clamp(min=1)[:, None].to(feats))[source]
        if not self.prototype_ema:
            return mean
        decay = min(1 - 1 / max(step, 1), 0.999)
        seen = self.prototype.ne(0)
        seen = seen.any() if self.as_published else seen.any(1, keepdim=True)
        mean = torch.where(seen, (1 - decay) * mean + decay * self.prototype, mean)
        others = torch.zeros_like(mean) if self.as_published else self.prototype
        # The release returns before it touches the prototypes where fewer than two classes are present.
        update = torch.where(active[:, None], mean, others)
        self.prototype.copy_(torch.where((usable.any(1).sum() > 1), update, self.prototype))
        return mean

    @property
    def loss_name(self) -> str:
        """Key under which this loss is logged."""
        return self._loss_name
