"""A network that only training asks."""
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import nn

__all__ = ['LateNetwork']


class LateNetwork:
    """A frozen network that is built when training starts, and is no part of the model's state.

    So a trained model is tested without its teacher's files, and its checkpoints do not repeat them. A module that
    holds one calls :meth:`build` in ``init_weights``, so that a missing file is told before the first iteration.

    Args:
        config: of a registered network.
    """

    def __init__(self, config: dict) -> None:
        self.config = config
        self._network: nn.Module | None = None

    def build(self) -> nn.Module:
        """The network, with the weights that its config names, on the CPU the first time."""
        if self._network is None:
            network = MODELS.build(self.config)
            if network.init_cfg or type(network).init_weights is not BaseModule.init_weights:
                network.init_weights()
            network.requires_grad_(False)
            network.eval()  # some of OpenMMLab's return nothing from it
            self._network = network
        return self._network

    def on(self, device: torch.device) -> nn.Module:
        """The network on a device."""
        network = self.build()
        if next(network.parameters()).device != device:
            network.to(device)
        return network
