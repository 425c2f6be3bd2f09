"""Other supervision of a ToyWorld scene: points, scribbles, boxes, captions, hidden parts, depth and further
senses.

Everything is a function of the scene alone; nothing is drawn unless one of these functions is called.
"""
from collections import Counter

import numpy as np

from .draws import Draws
from .layout import BACKGROUNDS, CLASSES
from .scene import Scene

__all__ = [
    'MODALITIES',
    'amodal_masks',
    'boxes',
    'captions',
    'depth_order',
    'expressions',
    'modalities',
    'points',
    'scribbles',
    'tags',
]

UNKNOWN = 255
MIN_VISIBLE_PX = 24
_WORDS = {'ball': 'striped ball', 'drum': 'dotted drum', 'box': 'striped box', 'crate': 'checkered crate',
          'tent': 'checkered tent', 'kite': 'dotted kite', 'star': 'striped star'}
_NUMBERS = ('no', 'a', 'two', 'three', 'four', 'five', 'six')
_PLACES = {'meadow': 'in a meadow', 'water': 'on the water', 'tiles': 'on tiles', 'sand': 'on the sand'}
_WARMTH = (0.30, 0.85, 0.45, 0.60, 0.75, 0.40, 0.65, 0.90)
MODALITIES = ('depth', 'infrared', 'events', 'tone')


def _seen(scene: Scene) -> list[int]:
    """Numbers of the objects of which enough is visible."""
    return [k for k, area in enumerate(scene.visible, 1) if area >= _enough(scene)]


def _enough(scene: Scene) -> int:
    return max(1, MIN_VISIBLE_PX * scene.layout.size**2 // 128**2)


def tags(scene: Scene) -> np.ndarray:
    """(C,) uint8 over the foreground classes: 1 for a class of which enough is visible."""
    out = np.zeros(len(CLASSES) - 1, np.uint8)
    for number in _seen(scene):
        out[scene.objects[number - 1][0].label - 1] = 1
    return out


def boxes(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Boxes around the visible part of each object: (n, 4) float32 x1, y1, x2, y2 (exclusive) and (n,) int64
    classes.
    """
    found, labels = [], []
    for number in _seen(scene):
        ys, xs = np.nonzero(scene.instances == number)
        found.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        labels.append(scene.objects[number - 1][0].label)
    return np.array(found, np.float32).reshape(-1, 4), np.array(labels, np.int64)


def _regions(scene: Scene) -> list[tuple[int, np.ndarray]]:
    """(class, flat pixel places) of the ground and of each visible object."""
    flat = scene.instances.ravel()
    ground = [(0, np.flatnonzero(flat == 0))]
    return ground + [(scene.objects[k - 1][0].label, np.flatnonzero(flat == k)) for k in _seen(scene)]


def points(scene: Scene, count: int = 1, radius_px: int = 1) -> np.ndarray:
    """(H, W) uint8: ``count`` labelled discs in the ground and in each object, 255 elsewhere."""
    size, draws = scene.layout.size, Draws(*scene.layout.key, 11)
    out = np.full((size, size), UNKNOWN, np.uint8)
    for label, places in _regions(scene):
        for _ in range(count):
            y, x = divmod(int(places[draws.integer(0, len(places))]), size)
            rows, columns = np.ogrid[:size, :size]
            disc = (rows - y)**2 + (columns - x)**2 <= radius_px**2
            out[disc & (scene.mask == label)] = label
    return out


def scribbles(scene: Scene, strokes: int = 2) -> np.ndarray:
    """(H, W) uint8: a broken line through places of the ground and of each object, 255 elsewhere."""
    size, draws = scene.layout.size, Draws(*scene.layout.key, 12)
    out = np.full((size, size), UNKNOWN, np.uint8)
    for label, places in _regions(scene):
        corners = [divmod(int(places[draws.integer(0, len(places))]), size) for _ in range(strokes + 1)]
        for (y0, x0), (y1, x1) in zip(corners[:-1], corners[1:], strict=True):
            steps = max(abs(y1 - y0), abs(x1 - x0), 1)
            along = np.arange(steps + 1)
            ys = (2 * y0 * steps + 2 * (y1 - y0) * along + steps) // (2 * steps)
            xs = (2 * x0 * steps + 2 * (x1 - x0) * along + steps) // (2 * steps)
            for sy, sx in ((0, 0), (0, 1), (1, 0)):  # a pen of three pixels
                y, x = np.minimum(ys + sy, size - 1), np.minimum(xs + sx, size - 1)
                hit = scene.mask[y, x] == label
                out[y[hit], x[hit]] = label
    return out


def amodal_masks(scene: Scene) -> np.ndarray:
    """(n, H, W) uint8: the whole of each visible object, its occluded part included, in the order of
    ``boxes``.
    """
    size = scene.layout.size
    out = np.zeros((len(_seen(scene)), size, size), np.uint8)
    for row, number in enumerate(_seen(scene)):
        patch = scene.objects[number - 1][1]
        out[row, patch.rows, patch.columns] = patch.inside
    return out


def depth_order(scene: Scene) -> np.ndarray:
    """(n,) int64: rank of each visible object, 0 the nearest, in the order of ``boxes``."""
    seen = _seen(scene)
    return np.arange(len(seen) - 1, -1, -1, dtype=np.int64)  # objects are sorted from far to near


def captions(scene: Scene) -> list[str]:
    """Two sentences about the scene: what there is and where, and what there is in short."""
    names = [CLASSES[scene.objects[k - 1][0].label] for k in _seen(scene)]
    place = _PLACES[BACKGROUNDS[scene.layout.background]]
    if not names:
        return [f'nothing but clutter {place}', 'an empty scene']
    counts = Counter(names)
    draws = Draws(*scene.layout.key, 13)
    kinds = [sorted(counts)[i] for i in draws.order(len(counts))]
    long = [f'{_NUMBERS[min(counts[k], 6)]} {_plural(_WORDS[k], counts[k])}' for k in kinds]
    short = [f'{_NUMBERS[min(counts[k], 6)]} {_plural(k, counts[k])}' for k in kinds]
    return [f'{_listed(long)} {place}', f'a picture of {_listed(short)}']


def expressions(scene: Scene) -> list[tuple[int, list[str]]]:
    """Sentences that mean one object each, with its class: of every class of which the scene has one object to see."""
    labels = [scene.objects[k - 1][0].label for k in _seen(scene)]
    shown = [thing.label for thing, _ in scene.objects]  # also those of which little is seen
    place = _PLACES[BACKGROUNDS[scene.layout.background]]
    return [(label, [f'the {_WORDS[CLASSES[label]]}', f'a {_WORDS[CLASSES[label]]} {place}', f'the {CLASSES[label]}'])
            for label in labels if shown.count(label) == 1]


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return word + ('es' if word.endswith('x') else 's')


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f'{", ".join(words[:-1])} and {words[-1]}'


def modalities(scene: Scene, names: tuple[str, ...] = MODALITIES) -> dict[str, np.ndarray]:
    """Further senses of the scene.

    Returns:
        ``depth`` (H, W) float32 in metres, 0 where the sensor saw nothing; ``infrared`` (H, W) float32 in
        [0, 1]; ``events`` (H, W, 2) float32 counts of brighter and darker changes while the objects move;
        ``tone`` (16, 32) float32, a spectrogram in which each sounding class hums at its own pitch.
    """
    size = scene.layout.size
    made = {}
    if 'depth' in names:
        draws = Draws(*scene.layout.key, 21)
        near = np.array([0., *(thing.distance for thing, _ in scene.objects)], np.float32)
        ground = np.float32(12) - np.arange(size, dtype=np.float32)[:, None] * np.float32(2. / size)
        depth = np.where(scene.instances > 0, near[scene.instances], ground)
        grain = draws.grid(size, size)
        depth = depth + (grain - np.float32(0.5)) * np.float32(0.3)
        made['depth'] = np.where(draws.grid(size, size) < np.float32(0.03), np.float32(0), depth)
    if 'infrared' in names:
        draws = Draws(*scene.layout.key, 22)
        warmth = [np.float32(_WARMTH[thing.label] + draws.uniform(-0.12, 0.12)) for thing, _ in scene.objects]
        heat = np.array([_WARMTH[0], *warmth], np.float32)[scene.instances]
        made['infrared'] = np.clip(heat + (draws.grid(size, size) - np.float32(0.5)) * np.float32(0.25), 0, 1)
    if 'events' in names:
        made['events'] = _events(scene)
    if 'tone' in names:
        made['tone'] = _tone(scene)
    return made


def _events(scene: Scene) -> np.ndarray:
    draws = Draws(*scene.layout.key, 23)
    size = scene.layout.size
    grey = scene.render().astype(np.int16).sum(axis=2)
    moved = grey.copy()
    for number in range(1, len(scene.objects) + 1):
        step_y, step_x = draws.integer(-2, 3), draws.integer(-2, 3)
        ys, xs = np.nonzero(scene.instances == number)
        moved[ys, xs] = grey[np.clip(ys - step_y, 0, size - 1), np.clip(xs - step_x, 0, size - 1)]
    change = moved - grey
    return np.stack([change > 60, change < -60], axis=2).astype(np.float32)


def _tone(scene: Scene, bands: int = 16, steps: int = 32) -> np.ndarray:
    draws = Draws(*scene.layout.key, 24)
    sound = draws.grid(bands, steps) * np.float32(0.35)
    for label in sorted({scene.objects[k - 1][0].label for k in _seen(scene)}):
        start, length = draws.integer(0, steps // 2), draws.integer(steps // 4, steps // 2)
        sound[2 * label, start:start + length] += np.float32(0.6)
        sound[(2 * label + 5) % bands, start:start + length] += np.float32(0.3)
    return np.minimum(sound, np.float32(1))
