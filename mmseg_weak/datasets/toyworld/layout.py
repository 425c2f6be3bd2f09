"""What stands where in a ToyWorld scene: kinds, places and colours, before any pixel is drawn."""
from typing import NamedTuple

from .draws import TURNS, Draws

__all__ = ['BACKGROUNDS', 'CLASSES', 'KINDS', 'PALETTE', 'Layout', 'Thing', 'draw_layout']

CLASSES = ('background', 'ball', 'drum', 'box', 'crate', 'tent', 'kite', 'star')
PALETTE = (
    (0, 0, 0),
    (230, 60, 50),
    (250, 170, 40),
    (70, 130, 230),
    (60, 200, 220),
    (80, 190, 90),
    (190, 90, 220),
    (240, 220, 70),
)
# Every shape comes with two textures and every texture on two or three shapes: neither alone names a class.
KINDS = {1: ('disc', 'stripes'), 2: ('disc', 'dots'), 3: ('square', 'stripes'), 4: ('square', 'checks'),
         5: ('triangle', 'checks'), 6: ('triangle', 'dots'), 7: ('cross', 'stripes')}
BACKGROUNDS = ('meadow', 'water', 'tiles', 'sand')
# The classes that a background likes: tags and background go together, so weak labels are ambiguous.
_LIKED = {0: (1, 4), 1: (2, 6), 2: (3, 5), 3: (7, 1)}
_LIKING = 0.5
# A colour that most of a class's objects lean to; clutter leans to any of them. A hint, never enough.
_TINTS = {
    1: (196, 92, 84),
    2: (196, 150, 70),
    3: (84, 112, 190),
    4: (78, 170, 180),
    5: (96, 168, 92),
    6: (164, 92, 180),
    7: (190, 178, 84),
}
_TINTED = 0.7
SHAPES = ('disc', 'square', 'triangle', 'cross')
TEXTURES = ('stripes', 'dots', 'checks')


class Thing(NamedTuple):
    """An object or a piece of clutter. Lengths in pixels, colours RGB, ``label`` 0 for clutter."""
    label: int
    shape: str
    texture: str
    x: float
    y: float
    radius: float
    aspect: float
    turn: int
    texture_turn: int
    period: float
    phase: tuple[float, float]
    light: tuple[float, float, float]
    dark: tuple[float, float, float]
    distance: float


class Layout(NamedTuple):
    """A scene before rendering; ``things`` from the farthest to the nearest, clutter first."""
    size: int
    key: tuple[int, ...]
    background: int
    ground: tuple[tuple[float, float, float], tuple[float, float, float]]
    ground_turn: int
    ground_period: float
    light: tuple[float, float, float]
    things: tuple[Thing, ...]

    @property
    def labels(self) -> list[int]:
        """Classes of the objects, far to near (also those that end hidden)."""
        return [thing.label for thing in self.things if thing.label]


def _colours(draws: Draws, contrast: float, tint: tuple[int, int, int] | None = None
             ) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Two colours whose brightness differs by about ``contrast``, near a tint where one is given."""
    r, g, b, s, t, u = draws.unit(6)
    if tint:
        middle = (tint[0] + 50 * (r - 0.5), tint[1] + 50 * (g - 0.5), tint[2] + 50 * (b - 0.5))
    else:
        middle = (70 + 116 * r, 70 + 116 * g, 70 + 116 * b)
    apart = ((s - 0.5) * 50, (t - 0.5) * 50, (u - 0.5) * 50)
    light = tuple(min(255., m + contrast / 2 + d) for m, d in zip(middle, apart, strict=True))
    dark = tuple(max(0., m - contrast / 2 - d) for m, d in zip(middle, apart, strict=True))
    return light, dark


def _thing(draws: Draws, size: int, label: int, shape: str, texture: str, small: bool) -> Thing:
    low, high = (0.05, 0.10) if small else (0.13, 0.25)
    radius = draws.uniform(low, high) * size
    tinted = draws.chance(_TINTED)
    tint = _TINTS[label or draws.integer(1, len(CLASSES))]
    light, dark = _colours(draws, draws.uniform(80, 140), tint if tinted else None)
    return Thing(
        label,
        shape,
        texture,
        draws.uniform(0.05, 0.95) * size,
        draws.uniform(0.05, 0.95) * size,
        radius,
        draws.uniform(0.8, 1.25),
        draws.integer(0, TURNS),
        draws.integer(0, TURNS),
        draws.uniform(0.05, 0.085) * size,
        tuple(draws.unit(2)),
        light,
        dark,
        draws.uniform(1.0, 9.0),
    )


def draw_layout(size: int, *key: int) -> Layout:
    """Draw the scene of a key.

    Args:
        size: side of the square image in pixels; the scene is the same at every size.
        key: (seed, split, index).
    """
    draws = Draws(*key, 1)
    background = draws.integer(0, len(BACKGROUNDS))
    ground = _colours(draws, draws.uniform(30, 80))
    ground_turn, ground_period = draws.integer(0, TURNS), draws.uniform(0.05, 0.12) * size
    light = (draws.uniform(-0.25, 0.25), draws.uniform(-0.25, 0.25), draws.uniform(0.75, 1.15))
    clutter = []
    for _ in range(draws.integer(2, 6)):
        if draws.chance(0.35):  # the shape of a class, but plain
            clutter.append(_thing(draws, size, 0, draws.pick(SHAPES), 'plain', small=draws.chance(0.5)))
        else:  # the texture of a class, on no class's shape
            clutter.append(_thing(draws, size, 0, 'bar', draws.pick(TEXTURES), small=False))
    objects = []
    for _ in range(draws.integer(2, 6)):
        liked = draws.chance(_LIKING)
        label = draws.pick(_LIKED[background]) if liked else draws.integer(1, len(CLASSES))
        objects.append(_thing(draws, size, label, *KINDS[label], small=False))
    objects.sort(key=lambda thing: -thing.distance)
    return Layout(
        size, tuple(key), background, ground, ground_turn, ground_period, light, (*clutter, *objects)
    )
