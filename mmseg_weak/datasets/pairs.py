"""Find the images of a dataset and the mask that belongs to each, in two folders or a list file."""
import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine import fileio

from mmseg_weak.errors import ConfigError, DataError, MissingFileError

from .lists import IMAGE_SUFFIXES, Pair, read_pairs

__all__ = ['MASK_SUFFIXES', 'find_pairs', 'list_images', 'pair_folders', 'take_subset']

MASK_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff', '.gif')
_STEM_ENDINGS = ('', '_mask', '-mask', '_gt', '_label', '_labels', '_seg', '_L', '_labelTrainIds',
                 '_gtFine_labelTrainIds')


def list_images(folder: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[str]:
    """Image files below a folder, as sorted paths relative to it.

    Raises:
        MissingFileError: where the folder is not there.
        DataError: where it holds no image.
    """
    if not fileio.isdir(folder):
        raise MissingFileError(f'Folder {folder} does not exist; give the path of a folder of images.')
    found = [name for name in fileio.list_dir_or_file(folder, list_dir=False, recursive=True)
             if name.lower().endswith(tuple(suffixes)) and not osp.basename(name).startswith('.')]
    if not found:
        raise DataError(f'Folder {folder} holds no image ({", ".join(suffixes)}); check the path.')
    return sorted(found)


def _stems(names: Sequence[str]) -> list[str]:
    return [osp.splitext(name)[0].replace('\\', '/') for name in names]


def pair_folders(images: str, masks: str, seg_map_suffix: str | None = None) -> list[Pair]:
    """Pair every image with the mask of the same stem (same place below the folder, else same bare name).

    Args:
        images: folder of the images.
        masks: folder of the masks.
        seg_map_suffix: what follows the image's stem in the mask's name, for example ``'_gt.png'``; None
            finds out which of the usual endings fits most images.

    Returns:
        One pair per image; ``mask`` is None where there is none.
    """
    image_names, mask_names = list_images(images), list_images(masks, MASK_SUFFIXES + IMAGE_SUFFIXES)
    image_stems = _stems(image_names)
    if seg_map_suffix is not None:
        known = {name.replace('\\', '/'): name for name in mask_names}
        hits = [known.get(stem + seg_map_suffix) for stem in image_stems]
        return [
            Pair(osp.join(images, n), osp.join(masks, m) if m else None) for n, m in zip(image_names, hits)
        ]
    by_stem: dict[str, str] = {}
    by_base: dict[str, str | None] = {}
    rank = {suffix: i for i, suffix in enumerate(MASK_SUFFIXES + IMAGE_SUFFIXES)}
    for name in sorted(mask_names, key=lambda n: (rank[osp.splitext(n)[1].lower()], n)):
        stem = _stems([name])[0]
        if stem in by_stem:
            continue
        by_stem[stem] = name
        base = osp.basename(stem)
        by_base[base] = None if base in by_base else name  # None: ambiguous
    best: list[str | None] = []
    for ending in _STEM_ENDINGS:
        hits = [
            by_stem.get(stem + ending) or by_base.get(osp.basename(stem) + ending) for stem in image_stems
        ]
        if sum(h is not None for h in hits) > sum(h is not None for h in best):
            best = hits
    best = best or [None] * len(image_names)
    return [Pair(osp.join(images, n), osp.join(masks, m) if m else None) for n, m in zip(image_names, best)]


def find_pairs(images: str | None,
               masks: str | None,
               list_file: str | None,
               data_root: str | None,
               img_suffix: str | None = None,
               seg_map_suffix: str | None = None,
               mask_replace: Sequence[Sequence[str]] | None = None) -> list[Pair]:
    """Pairs of a dataset from its list file or, without one, from its folders. See
    :func:`.lists.read_pairs`.
    """
    if list_file:
        return read_pairs(
            list_file, data_root, images, masks, img_suffix, seg_map_suffix or '.png', mask_replace
        )
    if not images:
        raise ConfigError('A dataset of files needs `images` (a folder) or `list_file`; neither was given.')
    if masks:
        return pair_folders(images, masks, seg_map_suffix)
    return [Pair(osp.join(images, name)) for name in list_images(images)]


def take_subset(items: list, subset: dict | Sequence[int] | None) -> list:
    """Part of a list, chosen by a rule that needs no file.

    Args:
        items: the sorted list.
        subset: None for all; a sequence of indices; or a dict of one rule and, if wanted,
            ``complement=True`` for everything else: ``every=8`` (the 1st, 9th, 17th, ...), ``first=20``,
            ``indices=[...]``, or ``count=20, seed=0`` (a seeded draw).

    >>> take_subset(list('abcdef'), dict(every=4))
    ['a', 'e']
    >>> take_subset(list('abcdef'), dict(every=4, complement=True))
    ['b', 'c', 'd', 'f']
    """
    if subset is None:
        return list(items)
    rule: dict[str, Any] = dict(subset) if isinstance(subset, dict) else dict(indices=list(subset))
    complement = rule.pop('complement', False)
    given = dict(rule)
    if set(rule) == {'every'} and rule['every'] >= 1:
        chosen = list(range(0, len(items), rule['every']))
    elif set(rule) == {'first'}:
        chosen = list(range(min(rule['first'], len(items))))
    elif set(rule) == {'indices'}:
        chosen = list(rule['indices'])
    elif set(rule) in ({'count'}, {'count', 'seed'}):
        rng = np.random.Generator(np.random.PCG64(rule.get('seed', 0)))
        chosen = sorted(rng.permutation(len(items))[:rule['count']].tolist())
    else:
        raise ConfigError(
            f'dataset.subset={given} is not understood; use one of every=K, first=N, indices=[...], '
            'count=N with seed=S, and complement=True for the rest.'
        )
    outside = [i for i in chosen if not 0 <= i < len(items)]
    if outside:
        raise ConfigError(f'dataset.subset names image {outside[0]}, but there are {len(items)} (0 to '
                          f'{len(items) - 1}).')
    if complement:
        taken = set(chosen)
        chosen = [i for i in range(len(items)) if i not in taken]
    if not chosen:
        raise DataError(f'dataset.subset={given} leaves none of {len(items)} images; choose another rule.')
    return [items[i] for i in chosen]
