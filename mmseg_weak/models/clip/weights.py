"""Where CLIP weights lie on this machine, and which activation they were trained with; nothing comes unasked."""
import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError, near

__all__ = ['TOYWORLD', 'create_model', 'fetch_clip', 'find_weights', 'import_open_clip', 'load_weights',
           'text_length', 'without_weights']

TOYWORLD = 'toyworld_clip'
_FOLDER = Path(__file__).resolve().parents[2] / 'weights'


def import_open_clip() -> ModuleType:
    """open_clip with ToyWorld's model among its own; imported when a tower is built, since it brings torchvision.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import open_clip
    except ImportError as error:
        raise ConfigError(f'CLIP towers need open_clip: pip install open_clip_torch ({error}).') from error
    if TOYWORLD not in open_clip.list_models() and (_FOLDER / f'{TOYWORLD}.json').is_file():
        open_clip.add_model_config(_FOLDER / f'{TOYWORLD}.json')
    return open_clip


def get_tokenizer(name: str):
    """open_clip's tokenizer of a model; ToyWorld's has its own small vocabulary."""
    own = {'bpe_path': str(_FOLDER / f'{TOYWORLD}_bpe.txt.gz')} if name == TOYWORLD else {}
    return import_open_clip().get_tokenizer(name, **own)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warnings about missing weights and activations, both of which are dealt with here."""
    def unwanted(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not ('No pretrained weights' in text or 'QuickGELU mismatch' in text)
    root = logging.getLogger()
    root.addFilter(unwanted)
    try:
        yield
    finally:
        root.removeFilter(unwanted)


def _config(name: str, pretrained: str) -> dict:
    """open_clip's entry of a model and tag.

    Raises:
        ConfigError: there is none.
    """
    open_clip = import_open_clip()
    _check_name(name)
    plain = name.removesuffix('-quickgelu')
    for model in (name, plain):
        entry = open_clip.get_pretrained_cfg(model, pretrained)
        if entry:
            return entry
    tags = open_clip.list_pretrained_tags_by_model(plain)
    raise ConfigError(f'{pretrained!r} is neither a file nor weights that open_clip knows for {name}. '
                      f'{near(pretrained, tags)} It knows {", ".join(tags) or "none"}.')


def _check_name(name: str) -> None:
    models = import_open_clip().list_models()
    if name not in models:
        raise ConfigError(f'{name!r} is no model of open_clip. {near(name, models)} '
                          '`python -c "import open_clip; print(open_clip.list_models())"` lists all.')


def text_length(name: str) -> int:
    """How long the vectors of a model's joint space are; nothing is built.

    Raises:
        ConfigError: open_clip does not know the model.
    """
    _check_name(name)
    return int(import_open_clip().get_model_config(name)['embed_dim'])


def _places(name: str, pretrained: str, entry: dict) -> Iterator[Path]:
    """Files where weights of an entry may lie: open_clip's own folder, then the hub's cache."""
    cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache'))
    if entry.get('url'):
        for folder in (Path.home() / '.cache' / 'clip', cache / 'clip'):
            yield folder / os.path.basename(entry['url'])
    if entry.get('hf_hub'):
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return
        repo, file = os.path.split(entry['hf_hub'])
        stem = Path(file or 'open_clip_pytorch_model.bin').stem
        for candidate in ('open_clip_model.safetensors', f'{stem}.safetensors', file or 'open_clip_pytorch_model.bin'):
            found = try_to_load_from_cache(repo, candidate)
            if isinstance(found, str):
                yield Path(found)


def find_weights(name: str, pretrained: str) -> Path:
    """File of weights: a path as it is, a tag of open_clip where it has been downloaded to.

    Args:
        name: open_clip's name of the model.
        pretrained: a file, a tag of open_clip such as 'openai', or 'toyworld' for the weights that come with this
            package.

    Raises:
        MissingFileError: it is not on this machine; the command that brings it is in the sentence.
        ConfigError: the tag does not exist.
    """
    if name == TOYWORLD and pretrained == 'toyworld':
        return _FOLDER / f'{TOYWORLD}.pth'
    if _is_path(pretrained):
        path = Path(pretrained).expanduser()
        if path.is_file():
            return path
        raise MissingFileError(f'The CLIP weights {pretrained} do not exist: give a file, a tag of open_clip, or None '
                               'for random weights.')
    for place in _places(name, pretrained, _config(name, pretrained)):
        if place.is_file():
            return place
    raise MissingFileError(f'The weights {pretrained!r} of {name} are not on this machine, and nothing is downloaded '
                           f'unasked: `mmseg-weak fetch clip:{name}:{pretrained}` brings them.')


def fetch_clip(name: str, pretrained: str) -> Path:
    """Download weights to where open_clip keeps them.

    Raises:
        ConfigError: open_clip does not know them.
        MissingFileError: they cannot be reached.
    """
    entry = _config(name, pretrained)
    try:
        import_open_clip().download_pretrained(entry)
    except Exception as error:  # whatever the hub's client raises
        raise MissingFileError(f'The weights {pretrained!r} of {name} cannot be downloaded ({error}); check the '
                               'network and try again.') from None
    return find_weights(name, pretrained)


def _is_path(pretrained: str) -> bool:
    path = Path(pretrained).expanduser()
    return path.is_file() or bool(path.suffix) or os.sep in pretrained


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.split('/', 1)[-1].startswith('code/') for entry in archive.namelist())


def _needs_quick_gelu(name: str, pretrained: str, path: Path) -> bool | None:
    """Whether weights were trained with QuickGELU; None where nobody can tell."""
    open_clip = import_open_clip()
    plain = name.removesuffix('-quickgelu')
    if pretrained != 'toyworld' and not _is_path(pretrained):
        return bool(_config(name, pretrained).get('quick_gelu', False))
    for tag in open_clip.list_pretrained_tags_by_model(plain):  # a downloaded file under its own name
        entry = open_clip.get_pretrained_cfg(plain, tag)
        if os.path.basename(entry.get('url', '')) == path.name:
            return bool(entry.get('quick_gelu', False))
    return True if _is_torchscript(path) else None  # only OpenAI's own archives are TorchScript


def without_weights(config: dict) -> dict:
    """A config of :class:`.OpenCLIP` whose weights come from a checkpoint of the whole model.

    Nothing is looked for; the activation stays that of the weights that the config names, which its name alone does not
    tell: 'ViT-B-16' is built with GELU, and OpenAI's weights of it want QuickGELU.

    Raises:
        ConfigError: a tag that open_clip does not know for the model.
    """
    given = config.get('pretrained')
    config = dict(config, pretrained=None)
    if given and config.get('activation', 'auto') == 'auto':
        needs = _needs_quick_gelu(config.get('name', 'ViT-B-16'), given, Path(given).expanduser())
        if needs is not None:
            config['activation'] = 'quick_gelu' if needs else 'gelu'
    return config


def create_model(name: str, pretrained: str | None, activation: str = 'auto') -> nn.Module:
    """A CLIP model of open_clip with its weights, on the CPU, in float32.

    Args:
        name: open_clip's, for example 'ViT-B-16', or 'toyworld_clip'.
        pretrained: see :func:`find_weights`; None for random weights.
        activation: 'quick_gelu', 'gelu', or 'auto': what the weights were trained with where that is known, else what
            the name says. OpenAI's, MetaCLIP's and DFN's weights need QuickGELU under the name 'ViT-B-16' too.

    Raises:
        ConfigError: the name does not exist, or the activation contradicts what the weights need.
        CheckpointError: the file is of another architecture or cannot be read.
        MissingFileError: the weights are not there.
    """
    open_clip = import_open_clip()
    _check_name(name)
    if activation not in ('auto', 'quick_gelu', 'gelu'):
        raise ConfigError(f"activation={activation!r} of a CLIP; use 'auto', 'quick_gelu' or 'gelu'.")
    path = find_weights(name, pretrained) if pretrained else None
    quick = bool(open_clip.get_model_config(name).get('quick_gelu', False))
    needs = _needs_quick_gelu(name, pretrained, path) if path else None
    if activation != 'auto':
        if needs is not None and needs != (activation == 'quick_gelu'):
            right = 'quick_gelu' if needs else 'gelu'
            raise ConfigError(f"activation={activation!r} does not fit the weights {pretrained!r} of {name}, which "
                              f"were trained with {right!r}; leave activation='auto'.")
        quick = activation == 'quick_gelu'
    elif needs is not None:
        quick = needs
    if quick:
        extra = dict(force_quick_gelu=True)
    else:
        extra = dict(quick_gelu=False)
    with _quiet():
        try:
            model = open_clip.create_model(name, pretrained=None, pretrained_text=False, **extra)
        except (OSError, RuntimeError) as error:
            raise MissingFileError(f'{name} cannot be built without files that are not on this machine ({error}); '
                                   f'`mmseg-weak fetch clip:{name}:TAG` brings them.') from error
    if path:
        load_weights(model, path, name)
    return model.eval()


def load_weights(model: nn.Module, path: Path, name: str) -> None:
    """Load a file of weights; TorchScript archives of OpenAI too, pickles without running them.

    Raises:
        CheckpointError: it cannot be read, or belongs to another architecture.
    """
    from open_clip.factory import load_checkpoint
    try:
        if _is_torchscript(path):
            state = torch.jit.load(path, map_location='cpu').state_dict()
            for key in ('input_resolution', 'context_length', 'vocab_size'):
                state.pop(key, None)
            model.load_state_dict({k: v.float() for k, v in state.items()})
        else:
            load_checkpoint(model, str(path), strict=True, weights_only=True)
    except Exception as error:  # unpickling, zip and shape errors come as many types
        lines = str(error).strip().splitlines()
        telling = [line.strip() for line in lines if 'size mismatch' in line or 'key' in line]
        first = (telling or lines or [''])[0]
        raise CheckpointError(f'{path} does not hold weights of {name}: {first[:300]} Give the name of the model that '
                              'the file belongs to.') from error
