"""Attention of the last blocks of a CLIP ViT, as the dense methods change it: a registry of small functions.

Every variant looks at the queries, keys and values of one block (:class:`Heads`) and says what is mixed with which
weights (:class:`Mix`). Weights that are softmaxes of score matrices are applied by scaled dot product attention,
without the matrix ever being built; :meth:`Mix.weights` builds it for those who want to see it.

Notation: s = head_dim^-0.5; rows are queries; N tokens, the class token first.
"""
import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weak.errors import ConfigError, near

__all__ = ['ATTENTION', 'Heads', 'Mix', 'Score', 'attention_variant', 'build_attention', 'gaussian_bias',
           'proxy_weights', 'register_attention', 'self_self']


class Heads(NamedTuple):
    """One block's attention before it attends."""
    q: Tensor  # (B,heads,N,d)
    k: Tensor
    v: Tensor
    tokens: Tensor  # (B,N,D), what q, k and v were made of: after the block's first norm
    grid: tuple[int, int]  # rows and columns of the patches, N = 1 + h*w
    external: Tensor | None = None  # (B,C,h',w'), features of another network, for the variants that need them


class Score(NamedTuple):
    """softmax(q k^T * scale + bias), counted ``share`` times."""
    q: Tensor
    k: Tensor
    bias: Tensor | None = None
    scale: float | None = None  # None: head_dim^-0.5
    share: float = 1.0

    def apply(self, v: Tensor) -> Tensor:
        """(B,heads,N,d) values, mixed."""
        bias = None if self.bias is None else self.bias.to(v.dtype)
        out = F.scaled_dot_product_attention(self.q, self.k, v, attn_mask=bias, scale=self.scale)
        return out if self.share == 1 else out * self.share

    def weights(self) -> Tensor:
        """(B,heads,N,N), rows sum to ``share``."""
        scale = self.q.shape[-1]**-0.5 if self.scale is None else self.scale
        logits = (self.q @ self.k.transpose(-2, -1)).float() * scale
        return (logits if self.bias is None else logits + self.bias).softmax(-1) * self.share


class Mix(NamedTuple):
    """What a variant decided.

    Attributes:
        scores: softmaxes to add up; or ready weights, broadcast to (B,heads,N,M); or None: every token keeps its value.
        values: (B,heads,M,d) where they are not the block's own.
        grid: rows and columns of the result where they are not the block's.
        class_token: whether the result's first token is the class token.
        head_sum: apply the weights, summed over the heads, to every head (CLIP Surgery's and ExCEL's way).
    """
    scores: list[Score] | Tensor | None
    values: Tensor | None = None
    grid: tuple[int, int] | None = None
    class_token: bool = True
    head_sum: bool = False

    def apply(self, heads: Heads) -> Tensor:
        """Mixed values (B,heads,N',d)."""
        v = heads.v if self.values is None else self.values
        if self.scores is None:
            return v
        if self.head_sum or isinstance(self.scores, Tensor):
            return self.weights(heads).to(v.dtype) @ v
        return sum(score.apply(v) for score in self.scores)

    def weights(self, heads: Heads) -> Tensor:
        """(B,heads or 1,N',M)."""
        if self.scores is None:
            return torch.eye(heads.v.shape[2], device=heads.v.device)[None, None]
        weights = self.scores if isinstance(self.scores, Tensor) else sum(score.weights() for score in self.scores)
        return weights.sum(1, keepdim=True) if self.head_sum else weights


ATTENTION: dict[str, Callable[..., Mix]] = {}


def register_attention(name: str) -> Callable:
    """Enter a function (heads, **options) -> Mix under a name."""
    def enter(function: Callable[..., Mix]) -> Callable[..., Mix]:
        ATTENTION[name] = function
        return function
    return enter


def attention_variant(name: str) -> Callable[..., Mix]:
    """The function of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ATTENTION:
        raise ConfigError(f'attention={name!r} is no attention of a CLIP tower. {near(name, ATTENTION)} Known: '
                          f'{", ".join(ATTENTION)}.')
    return ATTENTION[name]


def build_attention(name: str, options: dict | None = None) -> Callable[[Heads], Mix]:
    """A variant with its options.

    Raises:
        ConfigError: unknown variant, or an option that it has not.
    """
    function, options = attention_variant(name), dict(options or {})
    known = list(inspect.signature(function).parameters)[1:]
    for option in options:
        if option not in known:
            has = f'It has {", ".join(known)}.' if known else 'It has none.'
            raise ConfigError(f'attention {name!r} has no option {option!r}. {has}')
    return lambda heads: function(heads, **options)


@register_attention('vanilla')
def vanilla(heads: Heads) -> Mix:
    """softmax(q k^T s): CLIP itself."""
    return Mix([Score(heads.q, heads.k)])


@register_attention('value')
def value(heads: Heads) -> Mix:
    """The identity: every token keeps its own value (MaskCLIP, ECCV 2022, arXiv 2112.01071)."""
    return Mix(None)


@register_attention('sclip')
def sclip(heads: Heads) -> Mix:
    """softmax(q q^T s) + softmax(k k^T s), rows sum to 2 (SCLIP, ECCV 2024, arXiv 2312.01597)."""
    return Mix([Score(heads.q, heads.q), Score(heads.k, heads.k)])


@register_attention('clearclip')
def clearclip(heads: Heads) -> Mix:
    """softmax(q q^T s) (ClearCLIP, ECCV 2024, arXiv 2407.12442)."""
    return Mix([Score(heads.q, heads.q)])


@register_attention('kk')
def key_key(heads: Heads) -> Mix:
    """softmax(k k^T s), an ablation of NACLIP."""
    return Mix([Score(heads.k, heads.k)])


def gaussian_bias(grid: tuple[int, int], std: float, class_token: bool = True, device: torch.device | None = None
                  ) -> Tensor:
    """omega[(i,j),(k,l)] = exp(-((i-k)^2 + (j-l)^2) / (2 std^2)), (N,N); the class token's row and column are 0."""
    y = torch.arange(grid[0], device=device, dtype=torch.float32).repeat_interleave(grid[1])
    x = torch.arange(grid[1], device=device, dtype=torch.float32).repeat(grid[0])
    omega = torch.exp(-((y[:, None] - y)**2 + (x[:, None] - x)**2) / (2 * std**2))
    return F.pad(omega, (1, 0, 1, 0)) if class_token else omega


@register_attention('naclip')
def naclip(heads: Heads, std: float = 5.0) -> Mix:
    """softmax(k k^T s + omega) (NACLIP, WACV 2025, arXiv 2404.08181); ``std`` in patches."""
    return Mix([Score(heads.k, heads.k, bias=gaussian_bias(heads.grid, std, device=heads.k.device))])


@register_attention('neighbours')
def neighbours(heads: Heads, std: float = 5.0) -> Mix:
    """softmax(m omega), m the image's mean of |q_i| |k_j| s: NACLIP's ablation 'nonly', published for one image."""
    q, k = heads.q.float().norm(dim=-1), heads.k.float().norm(dim=-1)  # (B,heads,N)
    mean = (q.mean(-1) * k.mean(-1)).mean(1) * heads.q.shape[-1]**-0.5
    omega = gaussian_bias(heads.grid, std, device=heads.k.device)
    return Mix((mean[:, None, None, None] * omega).softmax(-1))


def proxy_weights(external: Tensor, beta: float = 1.2, gamma: float = 3.0, per_image: bool = True) -> Tensor:
    """ProxyCLIP's attention from another network's features.

    X^ = X / |X| over channels; S = X^T X; M = gamma (S - beta mean(S)); A = softmax of M where M >= 0.

    Args:
        external: (B,C,h,w).
        beta, gamma: paper: 1.2 and 3.
        per_image: take the mean of each image; the official code takes the batch's, which is the same for its batch
            of one window.

    Returns:
        (B,1,hw,hw) float32, rows sum to 1.
    """
    x = F.normalize(external.flatten(2).float(), dim=1)
    similarity = x.transpose(1, 2) @ x
    mean = similarity.mean((1, 2), keepdim=True) if per_image else similarity.mean()
    logits = (similarity - mean * beta) * gamma
    return logits.masked_fill(logits < 0, -torch.inf).softmax(-1)[:, None]


def resize_values(v: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Bilinear resize of patch values over their grid: (B,heads,hw,d) -> (B,heads,h'w',d)."""
    if tuple(grid) == tuple(size):
        return v
    b, heads, _, d = v.shape
    planes = v.transpose(2, 3).reshape(b, heads * d, *grid)
    planes = F.interpolate(planes, size, mode='bilinear', align_corners=False)
    return planes.view(b, heads, d, -1).transpose(2, 3)


@register_attention('proxyclip')
def proxyclip(heads: Heads, beta: float = 1.2, gamma: float = 3.0, per_image: bool = True) -> Mix:
    """Another network's affinity over the patches, the same for all heads (ProxyCLIP, ECCV 2024, arXiv 2408.04883).

    The class token takes no part; values are resized to the other network's grid, which is the result's.
    """
    if heads.external is None:
        raise ConfigError("attention 'proxyclip' mixes by the features of another network: give them as `external`, "
                          '(B,C,h,w).')
    size = tuple(heads.external.shape[-2:])
    return Mix(proxy_weights(heads.external, beta, gamma, per_image),
               values=resize_values(heads.v[:, :, 1:], heads.grid, size), grid=size, class_token=False)


def self_self(x: Tensor, temperature: Tensor | float, iterations: int) -> Score:
    """GEM's self-self attention of one projection: normalise, and ``iterations`` times softmax(x x^T t) x, normalise.

    Args:
        x: (B,heads,N,d).
        temperature: t, a number or (B,1,1,1).
        iterations: 0 attends with the projection as it is.
    """
    x = F.normalize(x, dim=-1)
    for _ in range(iterations):
        x = F.normalize(F.scaled_dot_product_attention(x * temperature, x, x, scale=1.0), dim=-1)
    return Score(x * temperature, x, scale=1.0, share=1 / 3)


@register_attention('gem')
def gem(heads: Heads, iterations: int = 1, temperature: float | None = None) -> Mix:
    """Mean of v-v, k-k and q-q self-self attention (GEM, CVPR 2024, arXiv 2312.00878).

    Args:
        heads: the block's.
        iterations: paper: 1.
        temperature: None: the tokens' mean norm times s, of each image.
    """
    t = temperature
    if t is None:
        t = (heads.tokens.norm(dim=-1).mean(1) * heads.q.shape[-1]**-0.5).view(-1, 1, 1, 1)
    return Mix([self_self(x, t, iterations) for x in (heads.v, heads.k, heads.q)])


@register_attention('clip_surgery')
def clip_surgery(heads: Heads) -> Mix:
    """softmax(v v^T s), the consistent attention of CLIP Surgery (arXiv 2304.05653)."""
    return Mix([Score(heads.v, heads.v)])


@register_attention('excel')
def excel(heads: Heads, scale: float = 3.0, per_image: bool = True) -> Mix:
    """Mean of q-q, k-k and v-v attention, summed over the heads (ExCEL, CVPR 2025, arXiv 2503.20826).

    With ``external`` features, A_ex = softmax of ``scale`` (S - mean(S)) where that is not negative joins the patches'
    part of every head's weights before the sum (the learnable calibration).

    Args:
        heads: the block's.
        scale: paper: 3.
        per_image: see :func:`proxy_weights`.
    """
    scores = [Score(x, x, share=1 / 3) for x in (heads.q, heads.k, heads.v)]
    if heads.external is None:
        return Mix(scores, head_sum=True)
    extra = proxy_weights(heads.external, 1.0, scale, per_image)
    weights = sum(score.weights() for score in scores) + F.pad(extra, (1, 0, 1, 0))
    return Mix(weights, head_sum=True)
