"""Names in many templates, read without reading the templates' beginnings again.

The text tower of CLIP is causal: of 'a photo of a horse.' the tokens before the name are the same for every name. Their
keys and values are kept for each block, and only the name and what follows it goes through the tower, rows of one
length together: 3 tokens of 8 on average with the 80 ImageNet templates, where open_clip reads 77.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import attended, fed, split_heads

__all__ = ['PrefixReader', 'reads_prefixes']

_ROWS = 512  # texts in one forward


def reads_prefixes(model: nn.Module, tokenizer) -> bool:
    """Whether a text side is a causal tower of CLIP with CLIP's tokenizer."""
    mask, blocks = getattr(model, 'attn_mask', None), getattr(getattr(model, 'transformer', None), 'resblocks', None)
    return (mask is not None and bool((mask.triu(1) == mask).all()) and bool(blocks)
            and getattr(model, 'text_pool_type', None) == 'argmax' and type(tokenizer).__name__ == 'SimpleTokenizer'
            and all(type(block.attn) is nn.MultiheadAttention and block.attn.in_proj_weight is not None
                    for block in blocks))


class PrefixReader:
    """A text tower with the beginnings of some templates read.

    Args:
        model: of open_clip, see :func:`reads_prefixes`.
        tokenizer: its tokenizer.
        templates: with one ``{}`` each.
    """

    def __init__(self, model: nn.Module, tokenizer, templates: Sequence[str]) -> None:
        self.model, self.tokenizer, self.templates = model, tokenizer, tuple(templates)
        self.device = model.positional_embedding.device
        starts = tokenizer([template.split('{}')[0] for template in templates])
        self.lengths = starts.argmax(1)  # the first token and the words before the name; the end has the highest number
        width = int(self.lengths.max())
        self.starts = starts[:, :width]
        self.kept = self._keys_and_values(self.starts.to(self.device))

    @property
    def blocks(self) -> nn.ModuleList:
        """The tower's."""
        return self.model.transformer.resblocks

    def _embedded(self, tokens: Tensor, places: Tensor) -> Tensor:
        model, dtype = self.model, self.model.transformer.get_cast_dtype()
        return model.token_embedding(tokens).to(dtype) + model.positional_embedding.to(dtype)[places]

    @torch.no_grad()
    def _keys_and_values(self, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each block for (T,P) beginnings; what stands behind a beginning is wrong and never looked at."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x, kept = self._embedded(tokens, places[None]), []
        for block in self.blocks:
            q, k, v = self._heads(block, x)
            kept.append((k, v))
            x = x + attended(block, F.scaled_dot_product_attention(q, k, v, is_causal=True))
            x = x + fed(block, x)
        return kept

    @staticmethod
    def _heads(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attn
        return split_heads(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias, attn.num_heads)

    @torch.no_grad()
    def __call__(self, names: Sequence[str]) -> Tensor:
        """(n,T,d) float32 features of names in all templates, not normalised."""
        count = len(self.templates)
        tokens = torch.cat([self.tokenizer([template.replace('{}', name) for template in self.templates])
                            for name in names])
        owner = torch.arange(count).repeat(len(names))
        ends, begun = tokens.argmax(1), self.lengths[owner]
        begun = torch.minimum(begun, ends)  # a name that fills the tower leaves the end alone
        same = (tokens[:, :self.starts.shape[1]] == self.starts[owner]) | (
            torch.arange(self.starts.shape[1]) >= begun[:, None])
        begun = torch.where(same.all(1), begun, 0)  # a name that joins the word before it: read from the start
        sizes, out = ends + 1 - begun, None
        for size in sizes.unique().tolist():
            for rows in (sizes == size).nonzero().flatten().split(_ROWS):
                part = self._read(tokens[rows], begun[rows], owner[rows], size)
                out = part.new_empty(len(tokens), part.shape[1]) if out is None else out
                out[rows] = part
        return out.unflatten(0, (-1, count))

    def _read(self, tokens: Tensor, begun: Tensor, owner: Tensor, size: int) -> Tensor:
        """Rows of one length behind their beginnings: (R,context), (R,), (R,) -> (R,d)."""
        places = begun[:, None] + torch.arange(size)
        tokens, places, begun, owner = (t.to(self.device) for t in (tokens.gather(1, places), places, begun, owner))
        width = self.starts.shape[1]
        known = torch.arange(width, device=self.device) < begun[:, None]  # (R,P)
        causal = torch.ones(size, size, dtype=torch.bool, device=self.device).tril()
        mask = torch.cat([known[:, None].expand(-1, size, -1), causal.expand(len(tokens), -1, -1)], 2)[:, None]
        x = self._embedded(tokens, places)
        for block, (keys, values) in zip(self.blocks, self.kept):
            q, k, v = self._heads(block, x)
            k, v = torch.cat([keys[owner], k], 2), torch.cat([values[owner], v], 2)
            x = x + attended(block, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
            x = x + fed(block, x)
        x, projection = self.model.ln_final(x[:, -1]), self.model.text_projection
        if projection is None:
            return x.float()
        return (projection(x) if isinstance(projection, nn.Linear) else x @ projection).float()
