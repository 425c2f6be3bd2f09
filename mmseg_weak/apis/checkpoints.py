"""Checkpoints: read safely, checked against the model before they are trusted."""
from pathlib import Path

import torch

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.errors import CheckpointError, MissingFileError

__all__ = ['backbone_weights', 'load_weights', 'read_checkpoint', 'shared_weights', 'state_dict_of']


def read_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint file with ``weights_only=True``.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it is cut off, or it holds code.
    """
    path = Path(path)
    if not path.is_file():
        hint = ''
        if path.parent.is_dir():
            others = sorted(file.name for file in path.parent.glob('*.pth'))
            hint = f'; {path.parent} holds {", ".join(others[-3:])}' if others else f'; {path.parent} holds no .pth'
        raise MissingFileError(f'there is no checkpoint {path}{hint}')
    try:
        content = load_checkpoint_file(path, 'cpu')
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = str(error).split('\n')[0][:200]
        raise CheckpointError(f'{path} cannot be read ({reason}); it is cut off or no checkpoint, copy it again or '
                              f'take an earlier one') from None
    if not isinstance(content, dict):
        raise CheckpointError(f'{path} holds a {type(content).__name__}, not a dict of weights; save '
                              f'`model.state_dict()`')
    return content


def state_dict_of(content: dict) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint, without the ``module.`` of a parallel run."""
    weights = content.get('state_dict', content.get('model', content))
    return {key.removeprefix('module.'): value for key, value in weights.items() if torch.is_tensor(value)}


def backbone_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Weights that a backbone can start from: a file of its own, or a whole network's, such as a trained classifier's.

    Returns:
        the weights in the backbone's own names; the ``init_cfg`` that loads them.

    Raises:
        MissingFileError, CheckpointError: as :func:`read_checkpoint`.
    """
    weights, start = state_dict_of(read_checkpoint(path)), dict(type='Pretrained', checkpoint=str(Path(path).resolve()))
    prefix = 'backbone.'
    if any(key.startswith(prefix) for key in weights):
        weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        start['prefix'] = prefix
    return weights, start


def shared_weights(module: torch.nn.Module, weights: dict[str, torch.Tensor]) -> float:
    """Share of a module's weights that are there in the same shape."""
    own = {key: value.shape for key, value in module.state_dict().items() if not key.endswith('num_batches_tracked')}
    return sum(key in weights and weights[key].shape == shape for key, shape in own.items()) / max(len(own), 1)


def load_weights(model: torch.nn.Module, content: dict, path: str | Path) -> None:
    """Load a checkpoint into a model; every weight of the model must be in it.

    Args:
        model: the network.
        content: of ``read_checkpoint``.
        path: its file, for the message.

    Raises:
        CheckpointError: names or shapes differ.
    """
    weights, own = state_dict_of(content), model.state_dict()
    wrong = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    if wrong:
        key = wrong[0]
        raise CheckpointError(f'{path} does not fit the config: {len(wrong)} weights differ in shape, the first is '
                              f'{key}, {tuple(weights[key].shape)} in the checkpoint and {tuple(own[key].shape)} in '
                              f'the model; use the config that it was trained with')
    missing = [key for key in own if key not in weights and not key.endswith('num_batches_tracked')]
    if missing:
        raise CheckpointError(f'{path} does not fit the config: {len(missing)} of {len(own)} weights are missing, the '
                              f'first is {missing[0]}; use the config that it was trained with')
    model.load_state_dict(weights, strict=False)
