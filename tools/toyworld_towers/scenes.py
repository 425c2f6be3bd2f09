"""ToyWorld drawn once into memory-mapped arrays, and crops of it with their captions."""
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from mmseg_weak.datasets.toyworld.layout import BACKGROUNDS, CLASSES, KINDS, SHAPES, TEXTURES, draw_layout
from mmseg_weak.datasets.toyworld.scene import Scene, draw_scene
from mmseg_weak.datasets.toyworld.senses import captions

__all__ = ['SINGLES', 'Crops', 'Drawn', 'draw_all']

SIZE = 128
WORLD = 7  # the lift table's images come from world 0: none of them is seen here
MOST = 8
MIN_SEEN_PX = 48
# What a single image may show: every shape with every surface, and the bars of the clutter. ToyWorld's seven classes
# are among the 19, as VOC's are among ImageNet's.
SINGLES = [(shape, texture) for shape in SHAPES for texture in (*TEXTURES, 'plain')] + [('bar', t) for t in TEXTURES]


class Drawn(NamedTuple):
    """Images of one sort; N of them, at most ``MOST`` objects each."""
    images: np.ndarray  # (N,128,128,3) uint8 RGB
    instances: np.ndarray  # (N,128,128) uint8, 0 ground and clutter, k the object k
    labels: np.ndarray  # (N,MOST) uint8: class of object k + 1; in single images the kind
    centres: np.ndarray  # (N,MOST,2) float32: y, x of its visible pixels, -1 where none
    grounds: np.ndarray  # (N,) uint8: index in BACKGROUNDS


def _single(split: int, index: int) -> tuple[Scene, int]:
    """A scene that holds nothing but one large thing of a kind of :data:`SINGLES`, coloured as ToyWorld colours it."""
    random = np.random.default_rng((WORLD, split, index))
    kind = int(random.integers(len(SINGLES)))
    shape, texture = SINGLES[kind]
    label = next((label for label, look in KINDS.items() if look == (shape, texture)), 0)
    for attempt in itertools.count():  # clutter is in every scene, an object of a class in two of five
        layout = draw_layout(SIZE, WORLD, 10 + split, index, attempt)
        model = next((thing for thing in layout.things if thing.label == label), None)
        if model is not None:
            break
    x, y, radius = random.uniform((0.3, 0.3, 0.15), (0.7, 0.7, 0.28)).tolist()
    thing = model._replace(label=1, shape=shape, texture=texture, x=x * SIZE, y=y * SIZE,
                                       radius=radius * SIZE)
    return Scene(layout._replace(things=(thing, ))), kind


def _draw(folder: Path, sort: str, split: int, count: int) -> None:
    shapes = dict(images=((SIZE, SIZE, 3), np.uint8), instances=((SIZE, SIZE), np.uint8), labels=((MOST, ), np.uint8),
                  centres=((MOST, 2), np.float32), grounds=((), np.uint8))
    out = {name: np.zeros((count, *shape), kind) for name, (shape, kind) in shapes.items()}
    out['centres'][:] = -1
    for i in range(count):
        scene, kind = _single(split, i) if sort == 'single' else (draw_scene(SIZE, WORLD, split, i), None)
        out['images'][i] = scene.render()[..., ::-1]
        out['instances'][i] = scene.instances
        out['grounds'][i] = scene.layout.background
        for k, (thing, _) in enumerate(scene.objects[:MOST]):
            out['labels'][i, k] = thing.label if kind is None else kind
            places = np.nonzero(scene.instances == k + 1)
            if len(places[0]):
                out['centres'][i, k] = places[0].mean(), places[1].mean()
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in out.items():
        np.save(folder / f'{sort}{split}_{name}.npy', array)
    (folder / f'{sort}{split}.{count}').touch()


def draw_all(folder: Path, sort: str, split: int, count: int) -> Drawn:
    """Images of a sort ('scene' or 'single') and split (0 training, 1 held out), drawn if they are not there yet."""
    if not (folder / f'{sort}{split}.{count}').exists():
        _draw(folder, sort, split, count)
    return Drawn(*(np.load(folder / f'{sort}{split}_{name}.npy', mmap_mode='r') for name in Drawn._fields))


class Crops(NamedTuple):
    """A batch of square crops, ``px`` wide."""
    images: np.ndarray  # (B,px,px,3) uint8
    counts: np.ndarray  # (B,7) int64: objects of each class of which enough is seen
    grounds: np.ndarray  # (B,) int64
    captions: list[list[str]]  # two for each crop


def cut(drawn: Drawn, rows: np.ndarray, px: int, random: np.random.Generator, centred: float = 0.7,
        jitter: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Top left corners (B,2) of crops; a share ``centred`` of them lies around an object, up to ``jitter`` px off."""
    corners = random.integers(0, SIZE - px + 1, (len(rows), 2))
    for b, row in enumerate(rows):
        there = np.flatnonzero(drawn.centres[row, :, 0] >= 0)
        if len(there) and random.random() < centred:
            centre = drawn.centres[row, random.choice(there)]
            corners[b] = np.clip(centre - px / 2 + random.uniform(-jitter, jitter, 2) * px, 0, SIZE - px)
    return corners


def take(array: np.ndarray, rows: np.ndarray, corners: np.ndarray, px: int) -> np.ndarray:
    """Windows (B,px,px,...) of an array (N,128,128,...)."""
    return np.stack([array[r, y:y + px, x:x + px] for r, (y, x) in zip(rows, corners, strict=True)])


def crops(drawn: Drawn, batch: int, px: int, random: np.random.Generator, centred: float = 0.7) -> Crops:
    """A batch of crops of scenes with what their captions say; captions are ToyWorld's own, of what is in the crop."""
    rows = random.integers(0, len(drawn.images), batch)
    corners = cut(drawn, rows, px, random, centred)
    seen = take(drawn.instances, rows, corners, px)
    counts, texts = np.zeros((batch, len(CLASSES) - 1), np.int64), []
    for b, row in enumerate(rows):
        visible = np.bincount(seen[b].ravel(), minlength=MOST + 1)[1:MOST + 1]
        kept = [(k, int(drawn.labels[row, k])) for k in np.flatnonzero(visible >= MIN_SEEN_PX)]
        for _, label in kept:
            counts[b, label - 1] += 1
        layout = SimpleNamespace(size=SIZE, background=int(drawn.grounds[row]), key=(int(random.integers(1 << 30)), ))
        texts.append(captions(SimpleNamespace(layout=layout, visible=[MIN_SEEN_PX] * len(kept),
                                              objects=[(SimpleNamespace(label=label), None) for _, label in kept])))
    grounds = drawn.grounds[rows].astype(np.int64)
    assert grounds.max() < len(BACKGROUNDS)
    return Crops(take(drawn.images, rows, corners, px), counts, grounds, texts)
