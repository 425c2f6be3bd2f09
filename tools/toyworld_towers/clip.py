"""The ToyWorld CLIP: open_clip's own model, small, that starts from the ToyWorld ViT and learns from captions.

A text is a caption of a crop, or one phrase of it put into one of the 80 ImageNet templates. It is true of every crop
of the batch whose captions say the same, so several rights stand in a row and the loss is the pairwise sigmoid one
(SigLIP). Crops grow from 32 px around one object to whole scenes of 128 px.
"""
import copy
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_weak.datasets.toyworld.layout import BACKGROUNDS, CLASSES, KINDS

from . import vit as vit_stage
from .common import augment, average_precision, half, positions
from .scenes import SIZE, Crops, crops, draw_all

__all__ = ['MEAN', 'STD', 'CLIPStage', 'describe']

MEAN, STD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)
NAME = 'toyworld_clip'
NAMES = CLASSES[1:]
SURFACE = {'stripes': 'striped', 'dots': 'dotted', 'checks': 'checkered'}
SURFACED = [f'{SURFACE[KINDS[c][1]]} {CLASSES[c]}' for c in range(1, len(CLASSES))]
TEMPLATES = open_clip.OPENAI_IMAGENET_TEMPLATES
# Side of a crop: how many of them make a batch; how likely it is in the first, second and last part of training.
SIDES = {32: (192, (0.7, 0.35, 0.1)), 48: (96, (0.3, 0.25, 0.1)), 64: (64, (0, 0.3, 0.3)), 96: (32, (0, 0.1, 0.2)),
         128: (24, (0, 0, 0.3))}
PARTS = (0.3, 0.7)
TEXTS = 64  # at most, in a batch: more cost more than they teach
_GLUE = ('a an and in on the of with no nothing but clutter empty scene picture two three four five six meadow water '
         'tiles sand balls drums boxes crates tents kites stars things object objects background ground')


def merges(words: set[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, until every word is one token."""
    split = [[*word[:-1], f'{word[-1]}</w>'] for word in sorted(words)]
    learnt = []
    while True:
        pairs = Counter(pair for word in split for pair in zip(word, word[1:]))
        if not pairs:
            return learnt
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learnt.append(best)
        for word in split:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i:i + 2] = [''.join(best)]
                i += 1


def describe(folder: Path) -> tuple[Path, Path]:
    """Write open_clip's description of the model and its vocabulary, a file of merges as CLIP's is."""
    text = ' '.join([template('') for template in TEMPLATES] + [*CLASSES, *SURFACED, *BACKGROUNDS, _GLUE])
    learnt = merges({w for w in ''.join(c if c.isalpha() else ' ' for c in text.lower()).split() if len(w) > 1})
    config = dict(embed_dim=64, vision_cfg=dict(image_size=SIZE, patch_size=8, width=96, layers=6, head_width=32),
                  text_cfg=dict(context_length=32, vocab_size=512 + len(learnt) + 2, width=96, heads=3, layers=3))
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f'{NAME}.json', folder / f'{NAME}_bpe.txt.gz'
    paths[0].write_text(json.dumps(config, indent=1) + '\n', encoding='utf-8')
    lines = '\n'.join(['#version: ToyWorld', *(' '.join(pair) for pair in learnt)])
    paths[1].write_bytes(gzip.compress(lines.encode('utf-8'), mtime=0))
    return paths


def start_from(clip: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put the ToyWorld ViT into the image tower; what differs (pixel statistics, bias, first norm) is folded in."""
    visual, w = clip.visual, {k: v.float() for k, v in weights.items()}
    scale = torch.tensor(STD) / torch.tensor(vit_stage.STD)
    shift = (torch.tensor(MEAN) - torch.tensor(vit_stage.MEAN)) / torch.tensor(vit_stage.STD)
    kernel = w['patch_embed.proj.weight']
    bias = w['patch_embed.proj.bias'] + (kernel * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    table = w['pos_embed'][0].clone()
    table[1:] += bias
    out = {'conv1.weight': kernel * scale.view(1, 3, 1, 1), 'class_embedding': w['cls_token'][0, 0],
           'positional_embedding': table, 'ln_post.weight': w['norm.weight'], 'ln_post.bias': w['norm.bias'],
           'ln_pre.weight': table[1:].std(1).mean().expand(len(bias)) * 1.2, 'ln_pre.bias': torch.zeros_like(bias),
           'proj': visual.proj}
    for key, value in w.items():
        if key.startswith('blocks.'):
            for ours, theirs in (('blocks.', 'transformer.resblocks.'), ('norm1', 'ln_1'), ('norm2', 'ln_2'),
                                 ('attn.qkv.', 'attn.in_proj_'), ('attn.proj', 'attn.out_proj'),
                                 ('mlp.fc1', 'mlp.c_fc'), ('mlp.fc2', 'mlp.c_proj')):
                key = key.replace(ours, theirs)
            out[key] = value
    visual.load_state_dict(out)


def hidden(visual: nn.Module, images: Tensor, window: bool) -> Tensor:
    """(B,3,H,H) -> (B,1+P,D) before the image tower's blocks."""
    x = visual.conv1(images).flatten(2).transpose(1, 2)
    table = visual.positional_embedding
    first = (visual.class_embedding + table[0]).expand(len(x), 1, -1)
    return visual.ln_pre(torch.cat([first, x + positions(table[1:], images.shape[-1] // 8, window)], 1))


class CLIPStage:
    """Everything that the loop of :func:`.common.run` asks of a stage.

    Args:
        cache: folder of drawn images.
        device: torch's name of it.
        count: scenes to draw.
        start: ``toyworld_vit.pth``.
    """

    def __init__(self, cache: Path, device: str, count: int, start: Path) -> None:
        self.device, self.random = device, np.random.default_rng(1)
        self.scenes, self.held = draw_all(cache, 'scene', 0, count), draw_all(cache, 'scene', 1, 600)
        config, vocabulary = describe(start.parent)
        open_clip.add_model_config(config)
        self.tokenizer = open_clip.get_tokenizer(NAME, bpe_path=str(vocabulary))
        self.clip = open_clip.create_model(NAME).to(device)
        start_from(self.clip, torch.load(start, map_location='cpu', weights_only=True))
        self.clip.logit_scale.data.fill_(2.3)
        self.bias = nn.ParameterList([nn.Parameter(torch.tensor(-2.5, device=device))])
        self.mean = copy.deepcopy(self.clip).requires_grad_(False)
        self.state = dict(clip=self.clip, bias=self.bias, mean=self.mean)
        image = [p for n, p in self.clip.named_parameters() if n.startswith('visual.')]
        text = [p for n, p in self.clip.named_parameters() if not n.startswith('visual.')]
        self.groups = [dict(params=image, lr=8e-4), dict(params=[*text, *self.bias], lr=1.2e-3)]

    def _texts(self, batch: Crops) -> tuple[list[str], np.ndarray]:
        """Texts of the first M crops, and (B,M) whether crop i is what text j says."""
        texts, truth = [], np.zeros((len(batch.grounds), min(len(batch.grounds), TEXTS)), bool)
        for j, (counts, ground, told) in enumerate(zip(batch.counts[:TEXTS], batch.grounds, batch.captions)):
            draw, present = self.random.random(), np.flatnonzero(counts)
            if draw < 0.3 or (draw < 0.85 and not len(present)):  # a caption; the first also tells where
                long = self.random.random() < 0.5
                texts.append(told[0 if long else 1])
                truth[:, j] = (batch.counts == counts).all(1) & (~long | (batch.grounds == ground))
                continue
            if draw < 0.85:
                one = int(self.random.choice(present))
                name = (SURFACED if self.random.random() < 0.25 else NAMES)[one]
                truth[:, j] = batch.counts[:, one] > 0
            else:
                name, truth[:, j] = BACKGROUNDS[ground], batch.grounds == ground
            template = TEMPLATES[int(self.random.integers(len(TEMPLATES)))]
            texts.append(template(name) if self.random.random() < 0.8 else name)
        return texts, truth

    def step(self, share: float) -> dict[str, Tensor]:
        """Pairwise sigmoid loss of one batch of crops."""
        part = sum(share >= bound for bound in PARTS)
        sides = list(SIDES)
        px = int(self.random.choice(sides, p=[SIDES[s][1][part] for s in sides]))
        wide = int(self.random.choice([px, px, round(px * 0.85), min(SIZE, round(px * 1.2))]))
        batch = crops(self.scenes, SIDES[px][0], wide, self.random, centred=0.8 if px < SIZE else 0)
        texts, truth = self._texts(batch)
        images = augment(batch.images, px, MEAN, STD, self.device)
        visual = self.clip.visual
        x = visual.transformer(hidden(visual, images, bool(self.random.random() < 0.5)))
        x = F.normalize((visual.ln_post(x[:, 0]) @ visual.proj).float(), dim=-1)
        t = F.normalize(self.clip.encode_text(self.tokenizer(texts).to(self.device)).float(), dim=-1)
        logits = x @ t.T * self.clip.logit_scale.exp().clamp(max=100) + self.bias[0]
        sign = torch.from_numpy(truth).to(self.device) * 2.0 - 1
        return dict(pairs=-F.logsigmoid(sign * logits).sum(0).mean() / (len(truth)**0.5))

    @torch.no_grad()
    def after(self, share: float) -> None:
        """Move the averaged weights, which are the ones that are kept, by 1 % of the way, at the end 0.2 %."""
        torch._foreach_lerp_(list(self.mean.parameters()), list(self.clip.parameters()), 0.002 + 0.01 * (1 - share))

    @torch.no_grad()
    def class_embeddings(self, names: tuple[str, ...] = NAMES) -> Tensor:
        """(C,d): mean over the 80 templates, unit length."""
        out = []
        for name in names:
            t = self.mean.encode_text(self.tokenizer([f(name) for f in TEMPLATES]).to(self.device)).float()
            out.append(F.normalize(F.normalize(t, dim=-1).mean(0), dim=0))
        return torch.stack(out)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out scenes at 128 px, by name alone: tags, and pixels of objects by the value path (MaskCLIP)."""
        self.mean.eval()
        visual, names = self.mean.visual, self.class_embeddings()
        count, tagged, table, scores = 400, [], torch.zeros(len(NAMES), len(NAMES)), []
        for i in range(0, count, 50):
            images = augment(self.held.images[i:i + 50], SIZE, MEAN, STD, self.device, 0)
            with torch.autocast(self.device, torch.bfloat16):
                x = hidden(visual, images, False)
                for block in visual.transformer.resblocks[:-1]:
                    x = block(x)
                last = visual.transformer.resblocks[-1]
                value = F.linear(last.ln_1(x), last.attn.in_proj_weight, last.attn.in_proj_bias).chunk(3, -1)[2]
                value = visual.ln_post(last.attn.out_proj(value)) @ visual.proj
                whole = visual.ln_post(last(x)[:, 0]) @ visual.proj
            scores.append((F.normalize(whole.float(), dim=-1) @ names.T).cpu())
            dense = F.normalize(value[:, 1:].float(), dim=-1) @ names.T
            dense = dense.transpose(1, 2).reshape(len(images), -1, 16, 16)
            guess = F.interpolate(dense, (SIZE, SIZE), mode='bilinear').argmax(1).cpu()
            labels = np.concatenate([np.zeros((len(images), 1), np.uint8), self.held.labels[i:i + 50]], 1)
            maps = np.take_along_axis(labels, self.held.instances[i:i + 50].reshape(len(images), -1), 1)
            maps = torch.from_numpy(maps.astype(np.int64)).view(-1, SIZE, SIZE)
            on = maps > 0
            table += torch.bincount((maps[on] - 1) * len(NAMES) + guess[on], minlength=table.numel()).view_as(table)
            tagged.append((F.one_hot(maps.flatten(1), len(CLASSES)).sum(1)[:, 1:] >= 24).numpy())
        truth, scores = np.concatenate(tagged), torch.cat(scores).numpy()
        share = table.sum(1) / table.sum()
        guessed = share / 7 / (share + 1 / 7 - share / 7)  # IoU of names drawn at random
        iou = (table.diag() / (table.sum(0) + table.sum(1) - table.diag())).mean().item()
        precision, top = average_precision(scores, truth), truth[np.arange(count), scores.argmax(1)].mean()
        return dict(zero_shot_ap=precision, chance_ap=float(truth.mean()), top1_in_tags=float(top),
                    maskclip_miou=iou, chance_miou=guessed.mean().item(), scale=self.mean.logit_scale.exp().item(),
                    score=precision + iou)

    def export(self) -> dict[str, Tensor]:
        """The averaged weights in half precision, under open_clip's names."""
        return half(self.mean)
