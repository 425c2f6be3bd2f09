"""A backbone in two parts: features up to a module, and the modules that come after them."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError, near

__all__ = ['find_modules', 'frozen_call', 'module_outputs', 'run_until']


class _Reached(Exception):
    """Carries the input of the module at which the backbone stops."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


def find_modules(network: nn.Module, names: Sequence[str], key: str) -> list[nn.Module]:
    """Submodules by name.

    Args:
        names: for example ('layer4',), or ('features.24', 'features.25').
        key: of the config that gave the names, for the message.

    Raises:
        ConfigError: there is none of that name.
    """
    known = dict(network.named_modules())
    for name in names:
        if name not in known or not name:
            raise ConfigError(f'{key} names {name!r}, which is no module of {type(network).__name__}. '
                              f'{near(name, [n for n in known if n.count(".") <= name.count(".")])}')
    if not names:
        raise ConfigError(f'{key} is empty; name the last modules of {type(network).__name__}, ResNet: ("layer4",).')
    return [known[name] for name in names]


def run_until(network: nn.Module, module: nn.Module, images: Tensor) -> Tensor:
    """What the network hands to one of its modules; nothing from there on runs.

    So any backbone can be cut where a method needs it, and its pretrained weights load as they are.

    Raises:
        ConfigError: the network does not use the module.
    """
    def stop(_module: nn.Module, args: tuple) -> None:
        raise _Reached(args[0])

    handle = module.register_forward_pre_hook(stop)
    try:
        network(images)
    except _Reached as reached:
        return reached.value
    finally:
        handle.remove()
    raise ConfigError(f'{type(network).__name__} did not come to {type(module).__name__}, where it was to be cut; name '
                      'a module that its forward pass calls, and set out_indices so that it gets there.')


def frozen_call(network: nn.Module, *inputs: Tensor) -> Tensor:
    """Run a network as a copy of itself that does not learn: gradients reach the inputs alone.

    Parameters are the present ones, detached. Buffers are copies, so statistics that batch norms gather in training
    are thrown away, as with a deep copy of the module.
    """
    state = {name: value.detach() for name, value in network.named_parameters()}
    state.update((name, value.clone()) for name, value in network.named_buffers())
    return torch.func.functional_call(network, state, inputs)


def module_outputs(network: nn.Module, modules: Sequence[nn.Module], images: Tensor) -> list[Tensor]:
    """What modules of a network give on images, whether or not the network hands it out.

    Raises:
        ConfigError: the network does not use one of them.
    """
    seen: dict[nn.Module, Tensor] = {}
    handles = [module.register_forward_hook(lambda m, _args, out: seen.__setitem__(m, out)) for module in modules]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    unused = [type(module).__name__ for module in modules if module not in seen]
    if unused:
        raise ConfigError(f'{type(network).__name__} did not come to {unused[0]}, whose output is needed; name modules '
                          'that its forward pass calls, and set out_indices so that it gets there.')
    return [seen[module] for module in modules]
