"""DOEI: embeddings of class and patch tokens amplified by attention. An interpretation.

Dual Optimization of Embedding Information for Attention-Enhanced Class Activation Maps, arXiv 2502.15885 (2025). There
is no public code (AIGeeksGroup/DOEI holds a README and a figure), and the text leaves open how colours enter, how a row
is modulated, and in which blocks. What follows is an interpretation; its open choices are arguments.

A (N,N): a block's attention, mean over heads, N = C class tokens + P patches; X before, X' after the block:

    A^ = A + s (R o S)        S: cosines of X; R_ij = exp(-|rgb_i - rgb_j|^2 / sigma^2) among patches, 1 elsewhere
    B_cc = A^_cc + A^_cc^T,   B_cp = A^_cp + A^_pc^T
    B': in each row, entries from the row's mean on times (1 + eta), others times (1 - eta),   eta = eta_max l / L
    X'_c <- X'_c + g B'_cc X'_c,   X'_p <- X'_p + g w_p X'_p with w_p = max (or mean) over classes of B'_cp

It has no parameter, so a host's weights load. With a single class token (ToCo) the first of the two only scales it.
"""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['DOEIAdapter', 'colour_affinity', 'modulate_rows']


def colour_affinity(colours: Tensor, sigma: float) -> Tensor:
    """exp(-|a - b|^2 / sigma^2) of each pair: (B,P,3) -> (B,P,P)."""
    return (-torch.cdist(colours, colours).square() / sigma ** 2).exp()


def modulate_rows(rows: Tensor, eta: float | Tensor, split: str = 'mean', share: float = 0.5) -> Tensor:
    """Amplify the high entries of each row by 1 + eta, damp the others by 1 - eta.

    Args:
        rows: (...,n).
        split: 'mean', high is from the row's mean on; 'topk', high is the largest ``share`` (at least one).
    """
    if split == 'mean':
        high = rows >= rows.mean(-1, keepdim=True)
    else:
        count = max(round(rows.shape[-1] * share), 1)
        high = rows >= rows.topk(count, dim=-1).values[..., -1:]
    return rows * torch.where(high, 1 + eta, 1 - eta)


@MODELS.register_module()
class DOEIAdapter(nn.Module):
    """Adapter of a ``ClassTokenViT`` (``model.backbone.adapter``), in training and at test.

    Args:
        eta: strength at the last block; grows linearly with depth. Not published.
        sigma: of the colours, in units of the normalised input; None leaves colours and cosines out. Not published.
        similarity: s, weight of the cosines. Not published.
        gain: g, of what is added. 1 is the figure's plain sum.
        last_blocks: act in this many last blocks; None: in all. Not published.
        split, share: see :func:`modulate_rows`. Not published.
        reduce: over classes, 'max' or 'mean'. Not published.

    Raises:
        ConfigError: an unknown option.
    """

    def __init__(self, eta: float = 0.5, sigma: float | None = 1.0, similarity: float = 1.0, gain: float = 1.0,
                 last_blocks: int | None = None, split: str = 'mean', share: float = 0.5,
                 reduce: str = 'max') -> None:
        super().__init__()
        if split not in ('mean', 'topk') or reduce not in ('max', 'mean'):
            raise ConfigError(f"split='{split}', reduce='{reduce}' of DOEIAdapter; split is 'mean' or 'topk', reduce "
                              "'max' or 'mean'.")
        if not 0 <= eta <= 1 or (sigma is not None and not sigma > 0) or (last_blocks is not None and last_blocks < 1):
            raise ConfigError(f'eta={eta}, sigma={sigma}, last_blocks={last_blocks} of DOEIAdapter; eta lies in '
                              '[0, 1], the others are above 0 or None.')
        self.eta, self.sigma, self.similarity, self.gain = eta, sigma, similarity, gain
        self.last_blocks, self.split, self.share, self.reduce = last_blocks, split, share, reduce

    def hybrid(self, before: Tensor, attention: Tensor, colours: Tensor, count: int) -> Tensor:
        """A^ (B,N,N)."""
        if self.sigma is None:
            return attention
        unit = F.normalize(before, dim=-1)
        cosines = unit @ unit.transpose(1, 2)
        weight = torch.ones_like(cosines)
        weight[:, count:, count:] = colour_affinity(colours.to(cosines), self.sigma)
        return attention + self.similarity * weight * cosines

    def forward(self, before: Tensor, after: Tensor, attention: Tensor, colours: Tensor, layer: int, depth: int,
                count: int) -> Tensor:
        """Tokens after a block, edited.

        Args:
            before, after: (B,C+P,D).
            attention: (B,C+P,C+P), rows are queries.
            colours: (B,P,3).
            layer: from 0. depth: L. count: C.
        """
        if self.last_blocks is not None and layer < depth - self.last_blocks:
            return after
        mixed = self.hybrid(before, attention, colours, count)
        eta = self.eta * (layer + 1) / depth
        own = mixed[:, :count, :count]
        among = modulate_rows(own + own.transpose(1, 2), eta, self.split, self.share)
        cross = mixed[:, :count, count:] + mixed[:, count:, :count].transpose(1, 2)
        cross = modulate_rows(cross, eta, self.split, self.share)
        weight = cross.amax(1) if self.reduce == 'max' else cross.mean(1)
        classes, patches = after[:, :count], after[:, count:]
        return torch.cat([classes + self.gain * (among @ classes),
                          patches + self.gain * weight[..., None] * patches], 1)
