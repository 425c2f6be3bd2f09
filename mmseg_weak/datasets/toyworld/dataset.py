"""ToyWorld as a dataset: images drawn on the fly from a seed, with whatever supervision is asked for."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_weak.errors import ConfigError, near

from ..pairs import take_subset
from ..transforms.supervision import image_rng, noisy_tags
from . import senses
from .backend import SPLIT_KEYS, scene_uri
from .draws import Draws
from .layout import CLASSES, PALETTE, draw_layout
from .scene import Scene, draw_scene

__all__ = ['SPLITS', 'SUPERVISION', 'ToyWorldDataset']

SPLITS = SPLIT_KEYS
_LOADERS = ('LoadImageFromFile', 'LoadAnnotations', 'LoadImage', 'LoadMask')


def _boxes(scene: Scene) -> dict:
    found, labels = senses.boxes(scene)
    return dict(gt_boxes=found, gt_box_labels=labels)


_KINDS: dict[str, Callable[[Scene], dict]] = {
    'mask': lambda scene: dict(gt_seg_map=scene.mask.copy()),
    'tags': lambda scene: dict(gt_image_label=senses.tags(scene)),
    'points': lambda scene: dict(gt_seg_map=senses.points(scene)),
    'scribbles': lambda scene: dict(gt_seg_map=senses.scribbles(scene)),
    'boxes': _boxes,
    'caption': lambda scene: dict(caption=senses.captions(scene)),
    'amodal': lambda scene: dict(
        gt_amodal_masks=senses.amodal_masks(scene), gt_depth_order=senses.depth_order(scene)
    ),
    'twin': lambda scene: dict(twin_img=scene.render(twin=True)),
    'modalities': lambda scene: dict(modalities=senses.modalities(scene)),
    **{
        name: (lambda scene, name=name: dict(modalities=senses.modalities(scene, (name,))))
        for name in senses.MODALITIES
    },
}
SUPERVISION = (*_KINDS, 'episode')


@DATASETS.register_module()
class ToyWorldDataset(BaseSegDataset):
    """Textured objects of seven shape-and-texture classes over cluttered ground; nothing is downloaded.

    An image is a function of (seed, split, index) alone: the same in every process, on every platform, at
    any worker count. Steps of the pipeline that load files are left out, since images are drawn; so one
    pipeline serves ToyWorld and files, and an exported model keeps its loading step.

    Args:
        num_images: how many images the split has.
        split: 'train', 'val' or 'test'; their images never coincide.
        seed: seed of the world.
        size: side of the square images in pixels.
        supervision: what to hand out, any of 'mask', 'points', 'scribbles' (the last two instead of 'mask'),
            'tags', 'boxes', 'caption', 'amodal' (whole objects and their depth order), 'depth', 'infrared',
            'events', 'tone', 'modalities' (all four), 'twin' (the scene in the other domain), 'episode'.
            ``()`` gives images alone, for the unlabelled branch.
        domain: 'day', or 'dusk' for the shifted twin of every image in place of the image.
        diagnose: hand the dense mask out as the hidden map, for measuring pseudo labels only.
        subset: part of the images, for example ``dict(first=8)`` and ``dict(first=8, complement=True)``, see
            :func:`mmseg_weak.datasets.pairs.take_subset`.
        shots: support images of an episode.
        episode_classes: classes (indices) from which episodes are made; None for all seven.
        tag_noise: arguments of :func:`mmseg_weak.datasets.transforms.noisy_tags` and ``seed``, for 'tags'.

    Raises:
        ConfigError: for an unknown split, supervision or domain.
    """
    METAINFO = dict(classes=CLASSES, palette=[list(colour) for colour in PALETTE])

    def __init__(self,
                 num_images: int = 200,
                 split: str = 'train',
                 seed: int = 0,
                 size: int = 128,
                 supervision: Sequence[str] = ('mask', ),
                 domain: str = 'day',
                 diagnose: bool = False,
                 subset: dict | Sequence[int] | None = None,
                 shots: int = 1,
                 episode_classes: Sequence[int] | None = None,
                 tag_noise: dict | None = None,
                 pipeline: Sequence[dict | Callable] = (),
                 **kwargs: Any) -> None:
        supervision = (supervision, ) if isinstance(supervision, str) else tuple(supervision)
        for kind in supervision:
            if kind not in SUPERVISION:
                raise ConfigError(
                    f'ToyWorldDataset: supervision={kind!r} is unknown. {near(kind, SUPERVISION)} '
                    f'Known: {", ".join(SUPERVISION)}.'
                )
        if split not in SPLITS:
            raise ConfigError(f'ToyWorldDataset: split={split!r} is unknown; use {", ".join(SPLITS)}.')
        if domain not in ('day', 'dusk'):
            raise ConfigError(f"ToyWorldDataset: domain={domain!r} is unknown; use 'day' or 'dusk'.")
        if num_images < 1 or size < 16:
            raise ConfigError(
                f'ToyWorldDataset: num_images={num_images} and size={size} are too small; use at least '
                '1 image of 16 pixels.'
            )
        if sum(kind in ('mask', 'points', 'scribbles', 'episode') for kind in supervision) > 1:
            raise ConfigError(
                f"ToyWorldDataset: supervision={supervision} asks for more than one of 'mask', 'points', "
                "'scribbles' and 'episode'; each of them fills gt_sem_seg."
            )
        self.num_images, self.split, self.seed, self.size = num_images, split, seed, size
        self.supervision, self.domain, self.diagnose = supervision, domain, diagnose
        self.subset, self.shots = subset, shots
        self.tag_noise = dict(tag_noise or {})
        self.episode_classes = tuple(episode_classes or range(1, len(CLASSES)))
        steps = [step for step in pipeline if not (isinstance(step, dict) and _name(step) in _LOADERS)]
        built = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in steps]
        super().__init__(pipeline=built, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Name the scenes; nothing is drawn yet."""
        numbers = take_subset(list(range(self.num_images)), self.subset)
        return [
            dict(
                img_path=self._uri(number),
                scene=number,
                label_map=None,
                reduce_zero_label=False,
                seg_fields=[],
            )
            for number in numbers
        ]

    def _uri(self, number: int) -> str:
        return scene_uri(self.seed, self.split, number, self.size, self.domain == 'dusk')

    def _key(self, number: int) -> tuple[int, int, int]:
        return self.seed, SPLITS[self.split], number

    def draw(self, number: int) -> Scene:
        """Scene of an image number of this split."""
        return draw_scene(self.size, *self._key(number))

    def prepare_data(self, idx: int) -> dict:
        """Draw an image and its supervision, then run the pipeline."""
        info = self.get_data_info(idx)
        scene = self.draw(info['scene'])
        results = {**info, 'img': scene.render(twin=self.domain == 'dusk')}
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        for kind in self.supervision:
            made = self._episode(info['scene'], scene) if kind == 'episode' else _KINDS[kind](scene)
            if 'modalities' in made:
                made['modalities'] = {**results.get('modalities', {}), **made['modalities']}
            results.update(made)
        if 'gt_image_label' in results and self.tag_noise:
            noise = {key: value for key, value in self.tag_noise.items() if key != 'seed'}
            rng = image_rng(info['img_path'], self.tag_noise.get('seed', 0))
            results['gt_image_label'] = noisy_tags(results['gt_image_label'], rng, **noise)
        if 'gt_seg_map' in results:
            results['seg_fields'].append('gt_seg_map')
            results['seg_map_path'] = scene_uri(self.seed, self.split, info['scene'], self.size, mask=True)
        if self.diagnose:
            results['hidden_seg_map'] = scene.mask.copy()
            results['seg_fields'].append('hidden_seg_map')
        return self.pipeline(results)

    def _episode(self, number: int, query: Scene) -> dict:
        """A class of the query, its mask as 0/1, and ``shots`` other images with that class."""
        draws = Draws(*query.layout.key, 31)
        present = [c for c in self.episode_classes if senses.tags(query)[c - 1]]
        label = draws.pick(present or self.episode_classes)
        images, masks = [], []
        while len(images) < self.shots:
            other = draws.integer(0, 1 << 30)
            key = (self.seed, SPLITS[self.split], other)
            if other == number or label not in draw_layout(self.size, *key).labels:
                continue
            scene = draw_scene(self.size, *key)
            if senses.tags(scene)[label - 1]:
                images.append(scene.render(twin=self.domain == 'dusk'))
                masks.append((scene.mask == label).astype(np.uint8))
        return dict(
            gt_seg_map=(query.mask == label).astype(np.uint8), support=(images, masks), episode_class=label
        )


def _name(step: dict) -> str:
    return str(step.get('type')).rsplit('.', 1)[-1]
