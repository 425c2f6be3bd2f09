"""Run a network in another mode for a moment."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ['eval_mode', 'train_mode']


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Switch networks to eval mode and give every submodule its own mode back afterwards.

    Submodules are restored one by one, since backbones freeze some of their norm layers (``norm_eval``,
    ``frozen_stages``) and a plain ``train()`` would depend on each of them overriding that method.
    """
    before = [(m, m.training) for module in modules for m in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for m, training in before:
            m.training = training


@contextmanager
def train_mode(*modules: nn.Module) -> Iterator[None]:
    """Switch networks to train mode (their own idea of it: ``norm_eval`` holds) and restore every submodule's mode."""
    before = [(m, m.training) for module in modules for m in module.modules()]
    for module in modules:
        module.train()
    try:
        yield
    finally:
        for m, training in before:
            m.training = training
