"""CLIP as a network that is trained further: maps of its stages, words and sentences with their gradients."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import DenseResNet, OpenCLIP

__all__ = ['encode_sentences', 'freeze_unused', 'map_channels', 'text_channels', 'token_ids', 'visual_maps']


def map_channels(clip: OpenCLIP) -> list[int]:
    """Channels of the four maps of :func:`visual_maps`."""
    visual = clip.vision.visual
    if isinstance(clip.vision, DenseResNet):
        stages = visual.layer1, visual.layer2, visual.layer3, visual.layer4
        return [stage[-1].bn3.num_features for stage in stages]
    return [clip.vision.width] * 4


def visual_maps(clip: OpenCLIP, images: Tensor) -> list[Tensor]:
    """Four maps of normalised images, the last one the deepest.

    A ResNet's stages, at strides 4, 8, 16, 32; of a ViT the patches after each quarter of its blocks, the last normed.
    """
    vision, visual = clip.vision, clip.vision.visual
    if isinstance(vision, DenseResNet):
        return [x.float() for x in vision.stage_maps(images)]
    wanted = [(quarter + 1) * vision.depth // 4 - 1 for quarter in range(4)]
    grid, x, kept = vision.grid(images), vision.embed(images), {}
    for number in range(vision.depth):
        x, _ = vision.block(x, number, grid)
        if number in wanted:
            kept[number] = x
    kept[vision.depth - 1] = visual.ln_post(x)
    return [kept[number][:, 1:].transpose(1, 2).unflatten(2, grid).float() for number in wanted]


def _text_tower(clip: OpenCLIP) -> nn.Module:
    model = clip.text.model
    tower = model if hasattr(model, 'token_embedding') else getattr(model, 'text', None)
    if tower is None or not hasattr(tower, 'token_embedding') or not hasattr(tower, 'attn_mask'):
        raise ConfigError(f'{clip.name} has a text tower of another library, whose words cannot be read; take one of '
                          "OpenAI's or OpenCLIP's own, for example RN50.")
    return tower


def text_channels(clip: OpenCLIP) -> tuple[int, int]:
    """Channels of words and of sentences."""
    tower = _text_tower(clip)
    projection = tower.text_projection
    return tower.ln_final.normalized_shape[0], (projection.out_features if isinstance(projection, nn.Linear)
                                                else projection.shape[1])


def token_ids(clip: OpenCLIP, texts: Sequence[str], length: int = 20, as_published: bool = False) -> Tensor:
    """Tokens of sentences, (B,L) long on the CPU.

    Args:
        clip: whose tokenizer reads them.
        texts: sentences.
        length: tokens kept, at most as many as the tower reads. Paper: 20.
        as_published: a sentence that is longer is merely cut, so that its end is missing and the token of the largest
            number stands for it; else its end takes the last place.
    """
    ids = clip.text.tokenizer(list(texts))
    end = ids.amax(1)  # the end has the largest number
    ids = ids[:, :min(length, ids.shape[1])].clone()
    if not as_published:
        cut = (ids != end[:, None]).all(1)
        ids[cut, -1] = end[cut]
    return ids


def encode_sentences(clip: OpenCLIP, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Words and sentences with gradients.

    Args:
        clip: its text tower.
        ids: (B,L) of :func:`token_ids`.

    Returns:
        words (B,L,C), sentences (B,d), not normalised.
    """
    tower = _text_tower(clip)
    ids = ids.to(tower.positional_embedding.device)
    x = tower.token_embedding(ids) + tower.positional_embedding[:ids.shape[1]]
    mask = tower.attn_mask[:ids.shape[1], :ids.shape[1]]
    x = tower.ln_final(tower.transformer(x, attn_mask=mask)).float()
    end = x[torch.arange(len(x), device=x.device), ids.argmax(1)]
    projection = tower.text_projection
    return x, projection(end) if isinstance(projection, nn.Linear) else end @ projection


def freeze_unused(clip: OpenCLIP, sentences: bool = True) -> None:
    """Take what no loss reaches out of training: pooling or projection of images, and that of sentences."""
    visual, tower = clip.vision.visual, _text_tower(clip)
    if isinstance(clip.vision, DenseResNet):
        visual.attnpool.requires_grad_(False)
    else:
        visual.proj.requires_grad_(False)
    if not sentences:
        projection = tower.text_projection
        projection.requires_grad_(False)
