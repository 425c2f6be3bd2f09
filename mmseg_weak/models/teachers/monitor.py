"""What the pseudo labels look like while training goes on, counted on the device without a synchronisation."""
import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

__all__ = ['PseudoLabelMonitor']

_PIXELS, _KEPT, _CONF, _KNOWN, _RIGHT = range(5)


class PseudoLabelMonitor(nn.Module):
    """Counts per class: pixels labelled so, kept ones, their confidence, and, against hidden masks, the right ones.

    Hidden masks reach this module only; nothing here carries a gradient or feeds a loss.

    Args:
        num_classes: classes of the pseudo labels.
        stride: every ``stride``-th row and column is counted; shares of a few thousand pixels need no more.
    """

    def __init__(self, num_classes: int, stride: int = 4) -> None:
        super().__init__()
        self.num_classes, self.stride = num_classes, stride
        self.register_buffer('counts', torch.zeros(5, num_classes), persistent=False)
        self.hidden: Tensor | None = None

    @torch.no_grad()
    def update(self, pseudo: Tensor, conf: Tensor, kept: Tensor, valid: Tensor | None = None) -> None:
        """Count one batch.

        Args:
            pseudo: (B,H,W) long in [0, C); other values are left out. conf: (B,H,W) in [0,1].
            kept: (B,H,W) bool, reaches the loss. valid: (B,H,W) bool, real pixels.
        """
        s = slice(self.stride // 2, None, self.stride)
        pseudo, conf, kept = (t[:, s, s] for t in (pseudo, conf, kept))
        inside = (pseudo >= 0) & (pseudo < self.num_classes)
        if valid is not None:
            inside = inside & valid[:, s, s]
        label = torch.where(inside, pseudo, torch.zeros_like(pseudo)).flatten().long()
        self._add(_PIXELS, label, inside)
        self._add(_KEPT, label, inside & kept)
        self._add(_CONF, label, inside * conf)
        if self.hidden is not None and self.hidden.shape[0] == pseudo.shape[0]:
            truth = self.hidden[:, s, s]
            known = inside & kept & (truth < self.num_classes)
            self._add(_KNOWN, label, known)
            self._add(_RIGHT, label, known & (truth == pseudo))

    def _add(self, row: int, label: Tensor, weight: Tensor) -> None:
        self.counts[row].index_add_(0, label, weight.flatten().to(self.counts))

    def summary(self, classes: list[str]) -> dict[str, float]:
        """Scalars since the last call, over all ranks; counts start again. Keys as written to the log.

        ``pseudo/kept``, ``pseudo/conf`` (and ``pseudo/acc`` where hidden masks were open), each also per class; a
        class that no pixel was labelled with has no entry.
        """
        counts = self.counts.clone()
        all_reduce(counts)
        self.counts.zero_()
        table = counts.double().cpu()
        out: dict[str, float] = {}

        def put(key: str, above: int, below: int) -> None:
            total = float(table[below].sum())
            if total > 0:
                out[f'pseudo/{key}'] = float(table[above].sum()) / total
            for name, a, b in zip(classes, table[above].tolist(), table[below].tolist()):
                if b > 0:
                    out[f'pseudo/{key}/{name}'] = a / b
        put('kept', _KEPT, _PIXELS)
        put('conf', _CONF, _PIXELS)
        put('acc', _RIGHT, _KNOWN)
        return out
