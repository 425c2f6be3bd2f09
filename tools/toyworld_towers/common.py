"""What both towers share: colour changes, positions, the loop with its log, resuming and export."""
import json
import math
import os
import random as python_random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['Stage', 'augment', 'average_precision', 'half', 'positions', 'run']


def augment(images: np.ndarray, px: int, mean: tuple, std: tuple, device: str, strength: float = 1.0) -> Tensor:
    """(B,s,s,3) uint8 -> (B,3,px,px) normalised, each flipped, brightened, tinted and noised on its own."""
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
    if x.shape[-1] != px:
        x = F.interpolate(x, (px, px), mode='bilinear', antialias=True)
    if strength:
        b = len(x)
        flips = torch.rand(2, b, 1, 1, 1, device=device) < 0.5
        x = torch.where(flips[0], x.flip(3), x)
        x = torch.where(flips[1], x.flip(2), x)
        gain = 1 + strength * (torch.rand(b, 1, 1, 1, device=device) - 0.5) * 0.6
        tint = 1 + strength * (torch.rand(b, 3, 1, 1, device=device) - 0.5) * 0.4
        middle = x.mean((2, 3), keepdim=True)
        contrast = 1 + strength * (torch.rand(b, 1, 1, 1, device=device) - 0.5) * 0.6
        x = ((x - middle) * contrast + middle) * gain * tint
        x = x + torch.randn_like(x) * strength * 8 * torch.rand(b, 1, 1, 1, device=device)
    shape = (1, 3, 1, 1)
    return (x - torch.tensor(mean, device=device).view(shape)) / torch.tensor(std, device=device).view(shape)


def positions(table: Tensor, grid: int, window: bool) -> Tensor:
    """Embeddings (grid*grid,D) from a square table (P,D): a window of it at a random place, or all of it resized.

    A crop is part of a scene, so a window is what is right for it; the resized table is what a user's smaller image
    will get.
    """
    side = math.isqrt(len(table))
    if grid == side:
        return table
    if window:
        y, x = python_random.randint(0, side - grid), python_random.randint(0, side - grid)
        return table.view(side, side, -1)[y:y + grid, x:x + grid].flatten(0, 1)
    square = table.view(1, side, side, -1).permute(0, 3, 1, 2)
    return F.interpolate(square, (grid, grid), mode='bicubic', align_corners=False)[0].flatten(1).T


def half(module: nn.Module) -> dict[str, Tensor]:
    """State dict with its floats in half precision."""
    return {k: v.detach().cpu().half() if v.is_floating_point() else v.cpu() for k, v in module.state_dict().items()}


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean over classes of the average precision: (N,C) scores and 0/1 truth."""
    values = []
    for s, t in zip(scores.T, truth.T, strict=True):
        hit = t[np.argsort(-s, kind='stable')].astype(bool)
        if hit.any():
            values.append(float((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean()))
    return float(np.mean(values))


def _save(path: Path, value: dict) -> None:
    temporary = path.with_suffix('.part')
    torch.save(value, temporary)
    os.replace(temporary, path)


def _clock(device: str) -> float:
    """Seconds of work: of the processor where it is what computes, else of the wall."""
    return time.process_time() if device == 'cpu' else time.perf_counter()


class Stage(Protocol):
    """What is trained: a tower and everything around it."""
    state: dict[str, nn.Module]  # whose weights are resumed
    groups: list[dict]  # AdamW's, each with its peak lr

    def step(self, share: float) -> dict[str, Tensor]:
        """Losses to add up, when this share of the time is spent."""

    def after(self, share: float) -> None:
        """Called after each update, for moving averages."""

    def evaluate(self) -> dict[str, float]:
        """Figures on held-out images; the weights of the best ``score`` are kept."""

    def export(self) -> dict[str, Tensor]:
        """What is kept."""


def run(name: str, out: Path, minutes: float, device: str, stage: Stage, every_min: float = 4) -> Iterator[str]:
    """Train until ``minutes`` of work are spent, over as many starts as it takes.

    Args:
        name: of the files written: ``<name>.pth``, ``<name>.log.jsonl``, ``<name>.resume.pth``.
        out: their folder.
        minutes: of one core's time on a CPU, of the clock elsewhere; schedules follow their share that is spent.
        device: where the networks are.
        stage: what is trained.
        every_min: minutes of work between evaluations.

    Yields:
        A line at each evaluation.
    """
    out.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(stage.groups, weight_decay=0.03, betas=(0.9, 0.98))
    peaks = [group['lr'] for group in optimizer.param_groups]
    resume, log = out / f'{name}.resume.pth', out / f'{name}.log.jsonl'
    spent, count, best = 0.0, 0, -1.0
    if resume.is_file():
        saved = torch.load(resume, map_location=device, weights_only=True)
        for key, module in stage.state.items():
            module.load_state_dict(saved['state'][key])
        optimizer.load_state_dict(saved['optimizer'])
        spent, count, best = saved['spent'], saved['count'], saved['best']
    parameters = [p for group in stage.groups for p in group['params']]
    last, due, sums = _clock(device), spent + every_min * 60, {}
    while spent < minutes * 60:
        share = spent / (minutes * 60)
        factor = min(1, count / 150, share / 0.02 + 0.05) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group['lr'] = peak * factor
        with torch.autocast(device, torch.bfloat16):
            losses = stage.step(share)
        total = sum(losses.values())
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        stage.after(share)
        for key, value in losses.items():
            sums.setdefault(key, []).append(float(value.detach()))
        count += 1
        now = _clock(device)
        spent, last = spent + now - last, now
        if spent >= due or spent >= minutes * 60:
            found = stage.evaluate()
            figures = {key: sum(values[-100:]) / len(values[-100:]) for key, values in sums.items()} | found
            row = dict(stage=name, minutes=round(spent / 60, 2), steps=count,
                       **{key: round(value, 4) for key, value in figures.items()})
            with log.open('a', encoding='utf-8') as stream:
                stream.write(json.dumps(row) + '\n')
            if found['score'] >= best:
                best = found['score']
                _save(out / f'{name}.pth', stage.export())
            states = {key: module.state_dict() for key, module in stage.state.items()}
            _save(resume, dict(state=states, optimizer=optimizer.state_dict(), spent=spent, count=count, best=best))
            sums, due, last = {}, spent + every_min * 60, _clock(device)  # evaluation is not counted
            yield json.dumps(row)
