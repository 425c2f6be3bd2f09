"""OVDiff's index: prototypes of names, of pictures that are drawn, that lie in folders, or that a data set tags."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from mmseg_weak.datasets.headers import read_file
from mmseg_weak.datasets.lists import IMAGE_SUFFIXES
from mmseg_weak.errors import ConfigError, DataError, MissingFileError, near
from mmseg_weak.files import write_bytes
from mmseg_weak.methods.openvocab.ovdiff import ClassPrototypes, OVDiff, SupportPicture, class_prototypes
from mmseg_weak.models.clip.index_file import Index, read_index, write_index
from mmseg_weak.visualization import png_bytes

from .index_common import IndexResult, archive_dataset, index_config, open_model, out_file, read_rgb
from .open_vocab import as_names
from .progress import progress

__all__ = ['class_folder', 'draw_support', 'index_ovdiff']

_COMMAND = 'mmseg-weak index ovdiff CONFIG --overwrite'
_BESIDE = ('_heat', '_mask', '_proposals')  # what a file beside a picture says about it


def index_ovdiff(config: str | Path, images: str | Path | None = None, draw: str | Path | None = None,
                 text: str | Path | Iterable[str] | None = None, out: str | Path | None = None,
                 weights: str | None = None, device: str | None = None, overwrite: bool = False,
                 cfg_options: Mapping[str, Any] | None = None, quiet: bool = False) -> IndexResult:
    """Make prototypes of names; names that the file has are left as they are.

    A folder of pictures has one folder a name. Beside ``a.png`` may lie ``a_mask.png`` (1 the object, 0 its background,
    255 neither), ``a_heat.png`` (grey: where the name is) and ``a_proposals.png`` (a number for each mask of whatever
    made proposals, 0 for none); what is missing is made.

    Args:
        config: of an ``OVDiff`` model, file or name.
        images: folder of support pictures.
        draw: such a folder, into which Stable Diffusion draws what is missing first (the config's ``sampler``). With
            neither, pictures come from the config's ``archive``, a data set with tags.
        text: names, see :func:`.open_vocab.as_names`. None: the config's.
        out: the file. None: the config's ``model.index``.
        weights: of CLIP, other than the config's; 'random' for tests.
        device, overwrite, cfg_options, quiet: as of :func:`.index_reco`.

    Raises:
        MissingFileError, DataError: a name has no folder, no readable picture, or no object in any; or the file was
            made with other settings.
        CheckpointError: the file was made with other networks.
        ConfigError: a config of another method, both sources at once, or none.
    """
    if images is not None and draw is not None:
        raise ConfigError('give --images, pictures that you have, or --draw, a folder to draw into, not both.')
    cfg = index_config(config, 'OVDiff', weights, cfg_options)
    path = out_file(out, cfg)
    result = IndexResult(path)
    old = read_index(path, 'ovdiff', _COMMAND) if path.is_file() and not overwrite else None
    if images is not None and not Path(images).is_dir():
        raise MissingFileError(f'There is no folder {images}; --images is a folder with one folder of pictures a name.')
    model: OVDiff = open_model(cfg, device, index=str(path))
    if old is not None:
        model.read()  # refuses the file of other networks
        _check_settings(model, old, path)
    names = as_names(text, '') if text is not None else model.names
    wanted = [name for name, owner in zip(names.names, names.owner) if names.classes[owner] != 'background']
    known = _known(model, old)
    todo = [name for name in dict.fromkeys(wanted) if name not in known]
    result.skipped = len(set(wanted)) - len(todo)
    if draw is not None and todo:
        draw_support(cfg, todo, draw, model.count, device, quiet)
    tagged = None if images is not None or draw is not None else _Tagged(cfg)
    folders = {} if tagged else {name: class_folder(draw or images, name) for name in todo}  # all, before any work
    saved = len(known)
    for name in progress(todo, 'index: prototypes', quiet=quiet):
        source = tagged.pictures(name, model.count) if tagged else _of_folder(folders[name], model.count, result)
        pictures = [_square(one, model.support_px, model.clip.logit_scale.device) for one in source]
        if not pictures:
            raise DataError(f'{folders.get(name, "the archive")} holds no readable picture of {name!r}; give at least '
                            'one.')
        known[name] = dict(class_prototypes(model, pictures, name))
        result.written += 1
        if len(known) - saved >= max(1, saved // 10) or name == todo[-1]:
            saved = _write(path, model, known)
    result.names = list(known)
    return result


# ---- pictures -------------------------------------------------------------------------------------------------------

def class_folder(folder: str | Path, name: str) -> Path:
    """The folder of a name: called so, in any case, with spaces, hyphens or underscores.

    Raises:
        MissingFileError: there is none.
    """
    def plain(text: str) -> str:
        return ''.join(text.lower().replace('-', ' ').replace('_', ' ').replace('/', ' ').split())
    there = {plain(path.name): path for path in sorted(Path(folder).iterdir()) if path.is_dir()}
    if plain(name) not in there:
        hint = near(name, [path.name for path in there.values()])
        raise MissingFileError(f'{folder} has no folder of pictures of {name!r}. {hint} Every name needs one; leave '
                               'names out with --text.'.replace('  ', ' '))
    return there[plain(name)]


def _of_folder(folder: Path, count: int, result: IndexResult) -> Iterator[SupportPicture]:
    """The first pictures of a folder, with what lies beside them."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES
             and not file.stem.endswith(_BESIDE) and not file.name.startswith('.')]
    for file in files[:count]:
        try:
            heat, mask, proposals = (_beside(file, ending) for ending in _BESIDE)
            image = read_rgb(file)
        except (DataError, MissingFileError) as error:
            result.broken.append((str(file), str(error)))
            continue
        separate = None
        if proposals is not None:
            numbers = [number for number in proposals.unique().tolist() if number]
            separate = torch.stack([proposals == number for number in numbers]) if numbers else None
        yield SupportPicture(image, None if heat is None else heat.float() / 255, separate, mask)


def _beside(file: Path, ending: str) -> Tensor | None:
    path = file.with_name(f'{file.stem}{ending}.png')
    if not path.is_file():
        return None
    array = cv2.imdecode(np.frombuffer(read_file(str(path)), np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.ndim != 2:
        raise DataError(f'{path} is no grey PNG; save it with one channel.')
    return torch.from_numpy(array.astype(np.int32))


class _Tagged:
    """Pictures of a data set whose tags have a name."""

    def __init__(self, cfg: Config) -> None:
        self.dataset = archive_dataset(cfg, 'give --images, a folder with one folder of pictures a name, or --draw')
        self.classes = [str(name) for name in self.dataset.metainfo['classes']]
        self.tags = [self.dataset[i].get('gt_image_label') for i in range(len(self.dataset))]
        if not self.tags or self.tags[0] is None:
            raise ConfigError("The data set of `archive` has no tags; for ToyWorld say supervision=('tags', ).")
        self.classes = self.classes[len(self.classes) - len(self.tags[0]):]  # without the background

    def pictures(self, name: str, count: int) -> Iterator[SupportPicture]:
        """Those with fewest other tags first, then in order."""
        if name not in self.classes:
            raise DataError(f'The data set of `archive` has no tag {name!r}. {near(name, self.classes)} Known: '
                            f'{", ".join(self.classes[:30])}.'.replace('  ', ' '))
        column = self.classes.index(name)
        rows = [i for i, tags in enumerate(self.tags) if tags[column]]
        rows.sort(key=lambda i: int(np.sum(self.tags[i])))
        for i in rows[:count]:
            yield SupportPicture(read_rgb(self.dataset.get_data_info(i)['img_path']))


def _square(picture: SupportPicture, side: int, device: torch.device) -> SupportPicture:
    """A picture and what is known of it, squeezed into a square."""
    def resized(values: Tensor | None, mode: str) -> Tensor | None:
        if values is None:
            return None
        smooth = {} if mode == 'nearest' else dict(align_corners=False, antialias=mode == 'bicubic')
        stacked = values if values.dim() == 3 else values[None]
        out = F.interpolate(stacked[None].to(device).float(), (side, side), mode=mode, **smooth)[0]
        return out if values.dim() == 3 else out[0]
    image = resized(picture.image, 'bicubic').round().clamp(0, 255)
    proposals, mask = resized(picture.proposals, 'nearest'), resized(picture.mask, 'nearest')
    return SupportPicture(image, resized(picture.heat, 'bilinear'), None if proposals is None else proposals.bool(),
                          None if mask is None else mask.to(torch.uint8))


def draw_support(cfg: Config, names: Sequence[str], folder: str | Path, count: int, device: str | None = None,
                 quiet: bool = False) -> None:
    """Draw pictures of names with Stable Diffusion, each with its heat map; what is there is not drawn again.

    Args:
        cfg: its ``sampler`` has the arguments of :class:`.ovdiff.sampler.Sampler`.
        names: one folder each.
        folder: where the folders lie.
        count: pictures a name.

    Raises:
        ConfigError: no ``sampler``, or diffusers is not installed.
        MissingFileError: the model is not on this machine.
    """
    if not cfg.get('sampler'):
        raise ConfigError(f'{cfg.filename} has no `sampler`; give for example sampler.model=FOLDER of Stable '
                          'Diffusion, or --images.')
    short = [name for name in names if sum(1 for _ in _folder(folder, name).glob('[0-9]*_heat.png')) < count]
    if not short:
        return
    from mmseg_weak.methods.openvocab.ovdiff.sampler import Sampler
    sampler = Sampler(device=device or ('cuda' if torch.cuda.is_available() else 'cpu'), **cfg.sampler)
    for name in progress(short, 'index: drawing', quiet=quiet):
        for number, (image, heat) in enumerate(sampler.draw(name, count)):
            stem = _folder(folder, name) / f'{number:05d}'
            write_bytes(f'{stem}.png', png_bytes(image.permute(1, 2, 0).numpy()))
            write_bytes(f'{stem}_heat.png', png_bytes((heat * 255).round().to(torch.uint8).numpy()))  # last: both are


def _folder(folder: str | Path, name: str) -> Path:
    return Path(folder) / name.replace('/', ' ')


# ---- the file -------------------------------------------------------------------------------------------------------

def _known(model: OVDiff, old: Index | None) -> dict[str, dict[str, ClassPrototypes]]:
    """Prototypes of the names of a file, by feature space."""
    if old is None:
        return {}
    found: dict[str, dict[str, ClassPrototypes]] = {name: {} for name in old.texts['names']}
    for extractor in model.extractors:
        rows = [old.tensors[f'{extractor.name}.{kind}'].split(old.tensors[f'{extractor.name}.{kind}_counts'].tolist())
                for kind in ('fg', 'bg')]
        for name, fg, bg in zip(found, *rows):
            found[name][extractor.name] = ClassPrototypes(fg, bg)
    return found


def _settings(model: OVDiff) -> dict:
    """What prototypes depend on besides networks and pictures."""
    return dict(num_parts=model.num_parts, count=model.count, support_px=model.support_px, proposals=model.proposals)


def _check_settings(model: OVDiff, old: Index, path: Path) -> None:
    now = _settings(model)
    wrong = [f'{key}={old.meta[key]!r} (now {value!r})' for key, value in now.items()
             if old.meta.get(key, value) != value]
    if wrong:
        raise DataError(f'{path} was made with {", ".join(wrong)}; make it anew with `{_COMMAND}`, or set model back.')


def _write(path: Path, model: OVDiff, known: Mapping[str, Mapping[str, ClassPrototypes]]) -> int:
    """Write what there is; returns the number of names."""
    tensors = dict(model.probes())
    for extractor in model.extractors:
        some = [spaces[extractor.name] for spaces in known.values()]
        for kind in ('fg', 'bg'):
            rows = [getattr(one, kind) for one in some]
            tensors[f'{extractor.name}.{kind}'] = torch.cat(rows)
            tensors[f'{extractor.name}.{kind}_counts'] = torch.tensor([len(one) for one in rows])
    write_index(path, 'ovdiff', tensors, dict(names=list(known)),
                dict(spaces=[one.name for one in model.extractors], **_settings(model)))
    return len(known)
