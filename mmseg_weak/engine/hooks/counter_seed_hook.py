"""Randomness of the main process as a function of (seed, rank, iteration)."""
import random
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

__all__ = ['CounterSeedHook', 'seed_iteration']

_DOMAIN = 0xC0DE  # keeps these seeds apart from those that the samplers draw


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed python, numpy and torch (all devices) for one training iteration.

    Args:
        seed: of the run, 0 or more.
        rank: of this process.
        iteration: from 0.
    """
    words = np.random.SeedSequence([_DOMAIN, seed, rank, iteration]).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


@HOOKS.register_module()
class CounterSeedHook(Hook):
    """Reseed the main process before every iteration.

    Views, mixing boxes and dropout then depend on where the run stands and on nothing before it: no random state has
    to be stored, and a resumed run draws what the uninterrupted one would have drawn.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Seed for the iteration that begins."""
        seed_iteration(getattr(runner, 'base_seed', runner.seed), get_rank(), runner.iter)
