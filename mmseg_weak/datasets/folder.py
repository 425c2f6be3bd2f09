"""Datasets of a person's own folders: images with masks, images alone, images with tags."""
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS
from mmseg.utils import dataset_aliases, get_classes, get_palette

from mmseg_weak.errors import ConfigError, DataError, near

from .corrections import say_corrected
from .findings import check_pairs, raise_first
from .lists import Pair
from .masks import colour_table
from .pairs import find_pairs, take_subset

__all__ = ['FolderSegDataset', 'UnlabeledDataset', 'resolve']

_MOST_HEADERS = 2000  # a look at more of them costs seconds at every start of a run


class _FileDataset(BaseSegDataset):
    """A :class:`BaseSegDataset` whose files come from :func:`find_pairs`."""

    def __init__(
        self,
        files: dict,
        subset: dict | Sequence[int] | None,
        classes: Sequence[str] | str | None,
        palette: Sequence | None,
        metainfo: dict | None,
        data_root: str | None,
        **kwargs: Any,
    ) -> None:
        self.files = files
        self.subset = subset
        info = dict(metainfo or {})
        if isinstance(classes, str):
            classes, palette = _known_classes(classes, palette)
        if classes is not None:
            info['classes'] = tuple(classes)
        if palette is not None:
            info['palette'] = [list(colour) for colour in palette]
        self.root = data_root
        if kwargs.get('test_mode') and not info.get('classes') and not self.METAINFO.get('classes'):
            raise ConfigError(
                f'{type(self).__name__}: `classes` is missing; list the class names in the order of '
                'their indices in the masks.'
            )
        prefix = dict(img_path=files['images'], seg_map_path=files['masks'])
        # built here, in mmseg's registry, so that the datasets work without a runner's default scope
        kwargs['pipeline'] = [TRANSFORMS.build(step) if isinstance(step, dict) else step
                              for step in kwargs.get('pipeline', ())]
        super().__init__(ann_file='', metainfo=info, data_root=None, data_prefix=prefix, **kwargs)

    def _pairs(self) -> list[Pair]:
        files = {**self.files}
        for key in ('images', 'masks', 'list_file'):
            if files[key]:
                files[key] = resolve(files[key], self.root, where_user_stands=key == 'list_file')
        return take_subset(find_pairs(data_root=self.root, **files), self.subset)

    @property
    def num_classes(self) -> int | None:
        """Number of classes, None where the class names are not given."""
        classes = self._metainfo.get('classes')
        return len(classes) if classes else None

    def _info(self, pair: Pair) -> dict:
        return dict(img_path=pair.image, label_map=self.label_map, reduce_zero_label=self.reduce_zero_label,
                    seg_fields=[])


@DATASETS.register_module()
class FolderSegDataset(_FileDataset):
    """Images and masks from two folders (paired by stem) or from a list file.

    A mask is one channel of class indices: greyscale, 1-bit or palette; 255 is unknown. RGB masks need
    ``color_map``. Training data are checked when the dataset is built: every mask is there, has the size of
    its image and one channel (headers only), and in sets of up to 200 masks every value is one of the
    classes; in larger sets values are checked as masks are loaded, and beyond 2000 images the headers of
    evenly spread ones are read. In test mode masks are not opened before the evaluation. Of masks that
    `mmseg-weak pseudo-label` wrote, the log says which were corrected by hand since.

    Args:
        images: folder of the images, also below ``data_root``.
        masks: folder of the masks.
        list_file: list of images, or of image and mask, in either published form.
        data_root: root of the folders and of the paths in the list.
        classes: class names in the order of the indices, or the name of a dataset that mmseg knows ('voc',
            'ade', 'cityscapes', ...), whose palette is then taken too.
        palette: colours of the classes; drawn where not given.
        subset: part of the sorted images, see :func:`.pairs.take_subset`.
        img_suffix: extension of the images of bare ids in a list; None tries the usual ones.
        seg_map_suffix: what follows the image's stem in the mask's name; None finds out.
        mask_replace: ``(old, new)`` pairs that turn an image path of a list into its mask path.
        color_map: colours of RGB masks: a list in the order of the classes, or ``{'#rrggbb': index}``. The
            pipeline's ``LoadMask`` uses it.
        check: ``'auto'`` as above, ``'headers'``, ``'full'`` (all values), or None.

    Raises:
        DataError, MissingFileError: for the first kind of fault found, with file and count.
    """

    def __init__(self,
                 images: str | None = None,
                 masks: str | None = None,
                 list_file: str | None = None,
                 data_root: str | None = None,
                 classes: Sequence[str] | str | None = None,
                 palette: Sequence | None = None,
                 metainfo: dict | None = None,
                 subset: dict | Sequence[int] | None = None,
                 img_suffix: str | None = None,
                 seg_map_suffix: str | None = None,
                 mask_replace: Sequence[Sequence[str]] | None = None,
                 color_map: Mapping | Sequence | None = None,
                 check: str | None = 'auto',
                 **kwargs: Any) -> None:
        if check not in ('auto', 'headers', 'full', None):
            raise ConfigError(
                f"FolderSegDataset: check={check!r} is unknown; use 'auto', 'headers', 'full' or None."
            )
        if not masks and not list_file:
            raise ConfigError(
                'FolderSegDataset needs `masks` (a folder) or a `list_file` that names them; images '
                'without masks belong in UnlabeledDataset.'
            )
        self.color_table = colour_table(color_map) if color_map is not None else None
        self.check = check
        files = dict(images=images, masks=masks, list_file=list_file, img_suffix=img_suffix,
                     seg_map_suffix=seg_map_suffix, mask_replace=mask_replace)
        super().__init__(files, subset, classes, palette, metainfo, data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the pairs and check them."""
        pairs = self._pairs()
        missing = [pair.image for pair in pairs if pair.mask is None]
        if missing:
            raise DataError(
                f'{len(missing)} of {len(pairs)} images in {self.files["list_file"] or self.files["images"]}'
                f' have no mask (first: {missing[0]}); a mask has the stem of its image. Give images without '
                'masks to UnlabeledDataset.'
            )
        level = {'auto': 'full' if len(pairs) <= 200 else 'headers'}.get(self.check, self.check)
        if self.test_mode and self.check == 'auto':
            level = 'exists'
        if level:
            num_classes = self.num_classes if self.label_map is None else len(self.METAINFO['classes'])
            options = (self.color_table, self.reduce_zero_label, self.ignore_index)
            some = pairs
            if self.check == 'auto' and level == 'headers' and len(pairs) > _MOST_HEADERS:
                raise_first(check_pairs(pairs, num_classes, 'exists', *options))
                some = pairs[::-(-len(pairs) // _MOST_HEADERS)]
            exif = any(getattr(step, 'exif', False) for step in self.pipeline.transforms)
            raise_first(check_pairs(some, num_classes, level, *options, exif=exif))
        if not self.test_mode:
            say_corrected(pairs)
        return [dict(self._info(pair), seg_map_path=pair.mask, num_classes=self.num_classes,
                     color_table=self.color_table) for pair in pairs]


@DATASETS.register_module()
class UnlabeledDataset(_FileDataset):
    """Images alone. No mask is made up, and none is opened.

    Args:
        images, list_file, data_root, subset, img_suffix: as in :class:`FolderSegDataset`. In a list of two
            columns the second is ignored.
        diagnose: also hand out the hidden masks (second column, or ``masks``) as ``hidden_sem_seg``, for
            measuring pseudo labels; the loss never sees them. The pipeline's ``LoadMask`` reads them only
            then.
        masks: folder of the hidden masks, used with ``diagnose`` only.
        extra_images: further folders of images.
    """

    def __init__(self,
                 images: str | None = None,
                 list_file: str | None = None,
                 data_root: str | None = None,
                 classes: Sequence[str] | str | None = None,
                 palette: Sequence | None = None,
                 metainfo: dict | None = None,
                 subset: dict | Sequence[int] | None = None,
                 img_suffix: str | None = None,
                 diagnose: bool = False,
                 masks: str | None = None,
                 seg_map_suffix: str | None = None,
                 mask_replace: Sequence[Sequence[str]] | None = None,
                 extra_images: Sequence[str] = (),
                 **kwargs: Any) -> None:
        self.diagnose = diagnose
        self.extra_images = tuple(extra_images)
        hidden = diagnose
        files = dict(
            images=images,
            masks=masks if hidden else None,
            list_file=list_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix if hidden else None,
            mask_replace=mask_replace if hidden else None,
        )
        super().__init__(files, subset, classes, palette, metainfo, data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the images."""
        pairs = self._pairs()
        for folder in self.extra_images:
            pairs += find_pairs(resolve(folder, self.root), None, None, None)
        if not self.diagnose:
            return [self._info(pair) for pair in pairs]
        return [
            dict(self._info(pair), hidden_map_path=pair.mask, num_classes=self.num_classes) for pair in pairs
        ]


def _known_classes(name: str, palette: Sequence | None) -> tuple[Sequence[str], Sequence]:
    """Classes and palette of a dataset that mmseg knows by name."""
    if name not in [alias for aliases in dataset_aliases.values() for alias in aliases]:
        raise ConfigError(
            f'dataset.classes={name!r} is no dataset that mmseg knows. {near(name, dataset_aliases)} Give '
            'a list of class names, or one of: ' + ', '.join(dataset_aliases) + '.'
        )
    return get_classes(name), palette or get_palette(name)


def resolve(path: str, root: str | None, where_user_stands: bool = False) -> str:
    """Put a path below the root unless it is absolute or remote.

    Args:
        path: as the user wrote it.
        root: root of the data; None changes nothing.
        where_user_stands: whether a path relative to the working directory goes first, as for list files.
    """
    if not root or osp.isabs(path) or '://' in path:
        return path
    below = osp.join(root, path)
    if where_user_stands and (fileio.exists(path) or not fileio.exists(below)):
        return path
    return below
