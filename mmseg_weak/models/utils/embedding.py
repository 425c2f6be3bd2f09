"""What a decode head knows just before its classifier."""
from torch import Tensor, nn

from mmseg_weak.errors import ConfigError

__all__ = ['decode_with_embedding', 'embedding_channels']


def _last_head(network: nn.Module) -> nn.Module:
    head = network.decode_head
    return head[-1] if isinstance(head, nn.ModuleList) else head


def _classifier(head: nn.Module) -> nn.Module:
    classifier = getattr(head, 'conv_seg', None)
    if classifier is None:
        raise ConfigError(f'{type(head).__name__} has no conv_seg, so the features before its classifier cannot be '
                          'read; use a decode head of mmseg that ends in cls_seg().')
    return classifier


def embedding_channels(network: nn.Module) -> int:
    """Channels of the features that the (last) decode head's classifier sees.

    Raises:
        ConfigError: the head has no ``conv_seg``.
    """
    layers = [m for m in _classifier(_last_head(network)).modules() if isinstance(m, nn.Conv2d)]
    return layers[0].in_channels


def decode_with_embedding(network: nn.Module, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Run a segmentor's decode head: its logits (B,C,h,w), and the features (B,D,h,w) before dropout and classifier.

    Raises:
        ConfigError: the head has no ``conv_seg``.
    """
    head = _last_head(network)
    classifier = _classifier(head)
    seen: list[Tensor] = []
    dropout = getattr(head, 'dropout', None)
    handle = (classifier if dropout is None else dropout).register_forward_pre_hook(
        lambda _module, args: seen.append(args[0]))
    try:
        if isinstance(network.decode_head, nn.ModuleList):
            out = network.decode_head[0](feats)
            for stage in network.decode_head[1:]:
                out = stage(feats, out)
        else:
            out = head(feats)
    finally:
        handle.remove()
    return out, seen[-1]
