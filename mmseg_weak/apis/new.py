"""From two folders, or from one's own mmseg config, to a semi-supervised config that `train` runs as it is."""
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import init_default_scope

from mmseg_weak.datasets.corrections import find_pseudo_folder, read_index
from mmseg_weak.datasets.findings import raise_first
from mmseg_weak.datasets.lists import Pair
from mmseg_weak.datasets.masks import decode_mask
from mmseg_weak.errors import ConfigError, DataError, near
from mmseg_weak.files import write_text

from .check_data import DataReport, check_data, format_findings
from .new_config import Plan, from_folders, from_own_config, methods
from .new_masks import index_masks
from .new_tags import TAG_METHODS, config_of_tags

__all__ = ['NewProject', 'new_project']


@dataclass
class NewProject:
    """What :func:`new_project` wrote and found.

    Attributes:
        config: the config file.
        labeled: images with masks to train on.
        validation: images with masks held out.
        unlabeled: images without masks to train on.
        messages: what was found and decided, in plain words, a sentence or block each.
        method: slug of the method.
    """
    config: Path
    method: str
    labeled: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)
    unlabeled: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def new_project(dir: str | Path, images: str | None = None, masks: str | None = None, unlabeled: str | None = None,
                method: str | None = None, classes: Sequence[str] | None = None, from_config: str | Path | None = None,
                weights: str | Path | None = None, iters: int | None = None, val_ratio: float = 0.2, seed: int = 0,
                device: str | None = None, overwrite: bool = False, tags: str | None = None) -> NewProject:
    """Write ``dir/<method>.py`` for a person's own images.

    From folders: pairs images and masks by stem, checks every file, turns RGB and 0/255 masks into class indices
    (as copies in ``dir/masks``), holds out a share of the masks for validation, and chooses sizes, network and
    length by what the machine has. Images without a mask join the unlabelled ones. From an own mmseg config
    (``from_config``): keeps its network, data, schedule and evaluation and adds the unlabelled images. From ``images``
    and ``tags``: a classifier whose class maps `mmseg-weak pseudo-label` turns into masks.

    Args:
        dir: folder of the project.
        images: folder of images.
        masks: folder of masks.
        unlabeled: folder of unlabelled images.
        method: name of a semi-supervised method (``mmseg-weak list``), or 'supervised'; 'unimatch' by default, with
            ``tags`` 'cam'.
        classes: names in the order of the mask values.
        from_config: an own mmseg config, instead of ``images`` and ``masks``.
        weights: file with ImageNet weights of the backbone, MobileNetV2 or ResNet-50, or checkpoint of a network that
            has it, such as the classifier that the masks came from; from scratch without.
        iters: length of the training.
        val_ratio: share of the masks to hold out; at least 2 are.
        seed: of that choice and of the training.
        device: 'cpu' or 'cuda', for which to choose; what the machine has by default.
        overwrite: replace a config that is there.
        tags: tags of the images, instead of masks: a file (CSV, JSON, .npy), or 'folders'.

    Returns:
        The files and what to know about them.

    Raises:
        ConfigError: unknown method, contradicting arguments, weights that fit no backbone, a config that is there.
        DataError, MissingFileError: of the images and masks, naming the file.
    """
    method = method or ('unimatch' if tags is None else 'cam')
    known = methods()
    if method not in known and tags is None and method in TAG_METHODS:
        raise ConfigError(f'{method} learns from tags; give them (--tags FILE, or --tags folders)')
    if method not in known and tags is None:
        hint = near(method, known)
        raise ConfigError(f'there is no method {method!r}. {hint} `mmseg-weak list` shows all'.replace('  ', ' '))
    out = Path(dir) / f'{method}.py'
    if out.exists() and not overwrite:
        raise ConfigError(f'{out} is there already; give another folder or say overwrite')
    if iters is not None and iters < 1:
        raise ConfigError(f'iters is {iters}; give at least 1')
    if not 0 < val_ratio < 1:
        raise ConfigError(f'val_ratio is {val_ratio}; give a share between 0 and 1')
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    project = NewProject(out, method)
    init_default_scope('mmseg')
    if tags is not None:
        if not images or masks or unlabeled or from_config:
            raise ConfigError('tags go with images alone; give --images DIR and leave masks, unlabelled images and '
                              'configs out')
        text, project.messages, project.labeled = config_of_tags(images, tags, method, classes, weights, iters, seed,
                                                                 device.startswith('cuda'))
    elif from_config is not None:
        if images or masks:
            raise ConfigError('images and masks come from the config that from_config names; give one or the other')
        text = _from_config(project, from_config, unlabeled, method, iters, seed)
    else:
        text = _from_folders(project, Path(dir), images, masks, unlabeled, classes, weights, iters, val_ratio, seed,
                             device)
    write_text(out, text)
    return project


def _from_config(project: NewProject, from_config, unlabeled: str | None, method: str, iters: int | None,
                 seed: int) -> str:
    if not unlabeled:
        raise ConfigError('from_config needs the folder of unlabelled images too; give unlabeled (--unlabeled DIR)')
    if method == 'supervised':
        raise ConfigError("method is 'supervised', which takes no unlabelled images; the own config is that already")
    found = check_data(unlabeled=unlabeled)
    project.messages.append(format_findings(found).rsplit('\n', 1)[0])
    raise_first(found.findings)
    project.unlabeled = found.unlabeled
    text, said = from_own_config(from_config, str(Path(unlabeled).resolve()), method, iters, seed)
    project.messages += said
    return text


def _from_folders(project: NewProject, folder: Path, images, masks, unlabeled, classes, weights, iters,
                  val_ratio: float, seed: int, device: str) -> str:
    if not images or not masks:
        missing = 'images' if not images else 'masks'
        raise ConfigError(f'{missing} is missing: a semi-supervised method learns from some images with masks; give '
                          f'the '
                          f'folder of {missing} (--{missing} DIR), a mask named as its image')
    pseudo = find_pseudo_folder(masks)
    if pseudo and classes is None:
        classes = read_index(pseudo)['classes']  # a few pseudo masks may lack the last classes
    if pseudo:
        project.messages.append(f'The masks are pseudo masks of {pseudo}: those held out are no truth either, so the '
                                f'validation says how well they are imitated.')
    found = check_data(images, masks, unlabeled, classes=classes)
    said, masks = index_masks(found, masks, folder / 'masks')
    if said:
        found = check_data(images, masks, unlabeled, classes=classes)
    project.messages += [*said, format_findings(found, classes).rsplit('\n', 1)[0]]
    raise_first(found.findings)
    pairs = [pair for pair in found.pairs if pair.mask]
    train, held_out = hold_out(pairs, val_ratio, seed)
    project.unlabeled = _unlabeled(found)
    if not project.unlabeled and project.method != 'supervised':
        raise DataError('there are no unlabelled images; give their folder (--unlabeled DIR), or take --method '
                        'supervised to train on the masks alone')
    project.labeled = [pair.image for pair in train]
    project.validation = [pair.image for pair in held_out]
    names = [Path(pair.image).name for pair in held_out]
    project.messages.append(f'{len(held_out)} of {len(pairs)} masks are held out for validation and never trained on: '
                            f'{", ".join(names)}.')
    lists = dict(labeled=_lines(train), validation=_lines(held_out),
                 unlabeled=[str(Path(image).resolve()) for image in project.unlabeled])
    for name, lines in lists.items():
        if lines:
            write_text(folder / f'{name}.txt', '\n'.join(lines) + '\n')
    classes = list(classes) if classes else [f'class_{index}' for index in range(found.num_classes)]
    plan = Plan(folder=folder.resolve(), method=project.method, classes=classes, palette=found.palette,
                size=found.median_size, labeled=len(train), unlabeled=len(project.unlabeled), held_out=names,
                weights=weights, iters=iters, seed=seed, gpu=device.startswith('cuda'))
    text, more = from_folders(plan)
    project.messages += more
    return text


def hold_out(pairs: Sequence[Pair], ratio: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Divide pairs into training and validation.

    Of 50 seeded draws the first is taken that leaves the most classes in the training part: a class that is only in
    the validation part can never be learned.

    Args:
        pairs: images with masks.
        ratio: share to hold out; at least 2 pairs are, at least 1 is not.
        seed: of the draws.

    Returns:
        Training and validation pairs, each in the order given.

    Raises:
        DataError: there are fewer than 3 pairs.
    """
    if len(pairs) < 3:
        raise DataError(f'{len(pairs)} images have masks, and 2 of them are needed for validation; give at least 3, '
                        f'better 10')
    count = min(max(2, round(ratio * len(pairs))), len(pairs) - 1)
    seen = [frozenset(np.unique(decode_mask(pair.mask)).tolist()) - {255} for pair in pairs]
    best, most = None, -1
    for draw in range(50):
        chosen = set(np.random.default_rng([seed, draw]).permutation(len(pairs))[:count].tolist())
        kept = len(frozenset().union(*(seen[i] for i in range(len(pairs)) if i not in chosen)))
        if kept > most:
            best, most = chosen, kept
    return ([pair for i, pair in enumerate(pairs) if i not in best], [pairs[i] for i in sorted(best)])


def _unlabeled(found: DataReport) -> list[str]:
    """Unlabelled images and images without a mask, each once; never one that has a mask."""
    labeled = {Path(pair.image).resolve() for pair in found.pairs if pair.mask}
    broken = {file for finding in found.findings if finding.kind in ('broken', 'missing') for file in finding.files}
    kept: dict[Path, str] = {}
    for image in [pair.image for pair in found.pairs if not pair.mask] + list(found.unlabeled):
        path = Path(image).resolve()
        if path not in labeled and image not in broken:
            kept.setdefault(path, image)
    return list(kept.values())


def _lines(pairs: Sequence[Pair]) -> list[str]:
    """Lines of a list file; a TAB, since paths may hold spaces."""
    return [f'{Path(pair.image).resolve()}\t{Path(pair.mask).resolve()}' for pair in pairs]
