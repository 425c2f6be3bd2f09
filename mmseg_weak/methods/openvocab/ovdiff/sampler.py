"""Support pictures drawn by Stable Diffusion, with the attention that it paid to the name while it drew.

Needs the package diffusers and a model on this machine; see :func:`.extractors.load_pipeline`.
"""
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .equations import call_heat, scale_heatmap
from .extractors import cross_attentions, import_diffusers, load_pipeline

__all__ = ['NEGATIVE_PROMPT', 'PROMPT', 'Sampler', 'name_tokens']

PROMPT = 'A good picture of a {}'
NEGATIVE_PROMPT = 'text, low quality, blurry, cartoon, meme, low resolution, bad, poor, faded'


def name_tokens(prompt: Sequence[int], name: Sequence[int]) -> list[int]:
    """Places of a name's tokens in a prompt; all of the prompt's but its ends where they cannot be found.

    >>> name_tokens([0, 5, 6, 7, 8, 9], [7, 8])
    [3, 4]
    """
    for start in range(len(prompt) - len(name) + 1):
        if list(prompt[start:start + len(name)]) == list(name):
            return list(range(start, start + len(name)))
    return list(range(1, len(prompt) - 1))


class _Watched:
    """An attention processor of diffusers that attends as ever and adds up what words are looked at."""

    def __init__(self, sampler: 'Sampler') -> None:
        self.sampler = sampler

    def __call__(self, attn: nn.Module, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
                 attention_mask: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """(2B,hw,D) -> (2B,hw,D)."""
        length = hidden_states.shape[1]
        attention_mask = attn.prepare_attention_mask(attention_mask, length, hidden_states.shape[0])
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key, value = (attn.head_to_batch_dim(project(encoder_hidden_states)) for project in (attn.to_k, attn.to_v))
        probs = attn.get_attention_scores(query, key, attention_mask)
        self.sampler.add(probs, attn.heads)
        out = attn.batch_to_head_dim(torch.bmm(probs, value))
        return attn.to_out[1](attn.to_out[0](out))


class Sampler:
    """Draws pictures of names.

    Args:
        model: folder or name of a Stable Diffusion pipeline. Paper: 1.5.
        device: as torch names it.
        steps, guidance: of the sampling. Paper: 30, 8.0.
        batch: pictures drawn at once; the draw depends on it. Paper: 8.
        seed: of each name anew. Paper: 42.
        size_px: side; None: the model's own. Paper: 512.
    """

    def __init__(self, model: str, device: str | torch.device = 'cpu', steps: int = 30, guidance: float = 8.0,
                 batch: int = 8, seed: int = 42, size_px: int | None = None) -> None:
        pipeline = load_pipeline(model).to(device)
        pipeline.scheduler = import_diffusers().DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        watched = _Watched(self)
        for attention in cross_attentions(pipeline.unet):
            attention.set_processor(watched)
        self.pipeline, self.steps, self.guidance, self.batch = pipeline, steps, guidance, batch
        self.seed, self.size_px = seed, size_px
        self._tokens: list[int] = []
        self._total: Tensor | None = None
        self._calls = 0

    def add(self, attention: Tensor, heads: int) -> None:
        """Count one call of cross-attention, (2B*heads,hw,tokens)."""
        size = None if self._total is None else tuple(self._total.shape[-2:])
        heat = call_heat(attention[..., self._tokens].float(), heads, size)
        self._total = heat if self._total is None else self._total + heat
        self._calls += heads

    @torch.no_grad()
    def draw(self, name: str, count: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures of a name.

        Yields:
            (3,S,S) uint8 RGB and (S,S) heat in [0, 1], ``count`` times.
        """
        generator = torch.Generator('cpu').manual_seed(self.seed)
        prompt, tokenizer = PROMPT.format(name), self.pipeline.tokenizer
        self._tokens = name_tokens(tokenizer(prompt).input_ids, tokenizer(name, add_special_tokens=False).input_ids)
        for start in range(0, count, self.batch):
            self._total, self._calls = None, 0
            drawn = self.pipeline(prompt, negative_prompt=NEGATIVE_PROMPT, guidance_scale=self.guidance,
                                  num_inference_steps=self.steps, generator=generator, height=self.size_px,
                                  width=self.size_px, num_images_per_prompt=min(self.batch, count - start),
                                  output_type='pt').images
            images = (drawn * 255).round().clamp(0, 255).byte().cpu()
            heat = (self._total / self._calls).mean(1, keepdim=True)
            yield from zip(images, scale_heatmap(heat, tuple(images.shape[-2:]))[:, 0].cpu())
