"""Render a ToyWorld layout: image, class mask, objects, and the other things one can sense of the same
scene.
"""
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .draws import COS, SIN, Draws
from .layout import Layout, Thing, draw_layout

__all__ = ['Scene', 'draw_scene']

_HALF = np.float32(0.5)


class _Patch(NamedTuple):
    """Where a thing lies: a window of the image, its pixels (h, w) bool, and their texture in [0, 1]."""
    rows: slice
    columns: slice
    inside: np.ndarray
    dx: np.ndarray
    dy: np.ndarray


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points, in units of the radius, lie in a shape."""
    if shape == 'disc':
        return u * u + v * v < 1
    if shape == 'square':
        return np.maximum(np.abs(u), np.abs(v)) < 0.86
    if shape == 'triangle':
        return (v < 0.62) & (np.abs(u) * 1.75 < v + 1.05)
    if shape == 'cross':
        a, b = np.abs(u), np.abs(v)
        return (np.minimum(a, b) < 0.34) & (np.maximum(a, b) < 1)
    return (np.abs(v) < 0.22) & (np.abs(u) < 1)  # bar


def _texture(kind: str, dx: np.ndarray, dy: np.ndarray, turn: int, period: float,
             phase: tuple[float, float]) -> np.ndarray | None:
    """Pattern (h, w) bool at pixel offsets; None for a plain surface."""
    if kind == 'plain':
        return None
    c, s = np.float32(COS[turn] / period), np.float32(SIN[turn] / period)
    p = dx * c + dy * s + np.float32(phase[0])
    p -= np.floor(p)
    if kind == 'stripes':
        return p < _HALF
    q = dy * c - dx * s + np.float32(phase[1])
    q -= np.floor(q)
    if kind == 'checks':
        return (p < _HALF) ^ (q < _HALF)
    p -= _HALF
    q -= _HALF
    return p * p + q * q < np.float32(0.1)  # dots


def _place(thing: Thing, size: int) -> _Patch | None:
    """Pixels of a thing within the image; None where it lies outside."""
    reach = thing.radius * 1.3
    top, left = max(0, int(thing.y - reach)), max(0, int(thing.x - reach))
    bottom, right = min(size, int(thing.y + reach) + 2), min(size, int(thing.x + reach) + 2)
    if bottom <= top or right <= left:
        return None
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(thing.y)
    dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(thing.x)
    c, s = COS[thing.turn], SIN[thing.turn]
    u = dx * np.float32(c / thing.radius / thing.aspect) + dy * np.float32(s / thing.radius / thing.aspect)
    v = dy * np.float32(c / thing.radius) - dx * np.float32(s / thing.radius)
    return _Patch(slice(top, bottom), slice(left, right), _inside(thing.shape, u, v), dx, dy)


def _smooth(draws: Draws, cells: int, size: int) -> np.ndarray:
    """(size, size) float32 in [0, 1): random values on a lattice, linear in between."""
    lattice = draws.grid(cells + 1, cells + 1)
    place = np.arange(size, dtype=np.float32) * np.float32(cells / size)
    low = place.astype(np.int64)
    weight = place - low
    rows = lattice[low] + (lattice[low + 1] - lattice[low]) * weight[:, None]
    return rows[:, low] + (rows[:, low + 1] - rows[:, low]) * weight


class Scene:
    """One scene; every view of it is drawn when it is first asked for.

    Args:
        layout: from :func:`.layout.draw_layout`.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._patches = [_place(thing, layout.size) for thing in layout.things]

    @cached_property
    def objects(self) -> list[tuple[Thing, _Patch]]:
        """Objects that touch the image, far to near."""
        pairs = zip(self.layout.things, self._patches, strict=True)
        return [(thing, patch) for thing, patch in pairs if thing.label and patch is not None]

    @cached_property
    def instances(self) -> np.ndarray:
        """(H, W) uint8: 0 where no object is, k for ``objects[k - 1]``."""
        out = np.zeros((self.layout.size, ) * 2, np.uint8)
        for number, (_, patch) in enumerate(self.objects, 1):
            out[patch.rows, patch.columns][patch.inside] = number
        return out

    @cached_property
    def mask(self) -> np.ndarray:
        """(H, W) uint8 class indices."""
        table = np.array([0, *(thing.label for thing, _ in self.objects)], np.uint8)
        return table[self.instances]

    @cached_property
    def visible(self) -> list[int]:
        """Visible pixels of each object."""
        return np.bincount(self.instances.ravel(), minlength=len(self.objects) + 1)[1:].tolist()

    def _ground(self, draws: Draws) -> np.ndarray:
        """(H, W) float32 in [0, 1]: how far the ground is from its dark to its light colour."""
        layout, size = self.layout, self.layout.size
        cloud = _smooth(draws, 5, size)
        fine = _smooth(draws, 21, size)
        axis = np.arange(size, dtype=np.float32)
        dy, dx = axis[:, None], axis[None, :]
        kind = ('dots', 'stripes', 'checks', 'plain')[layout.background]
        pattern = _texture(
            kind,
            dx + cloud * np.float32(0.06 * size),
            dy,
            layout.ground_turn,
            layout.ground_period,
            (0.0, 0.0),
        )
        tone = cloud * np.float32(0.45) + fine * np.float32(0.55)
        return tone if pattern is None else tone * np.float32(0.55) + pattern * np.float32(0.45)

    def render(self, twin: bool = False) -> np.ndarray:
        """(H, W, 3) uint8 BGR.

        Args:
            twin: draw the same scene in the other domain: dusk light, other colours, haze and coarser noise.
        """
        layout = self.layout
        draws = Draws(*layout.key, 3 if twin else 2)
        tone = self._ground(draws)
        light, dark = layout.ground
        planes = [np.float32(d) + tone * np.float32(a - d) for a, d in zip(light, dark, strict=True)]
        for thing, patch in zip(layout.things, self._patches, strict=True):
            if patch is None:
                continue
            pattern = _texture(
                thing.texture, patch.dx, patch.dy, thing.texture_turn, thing.period, thing.phase
            )
            for plane, a, d in zip(planes, thing.light, thing.dark, strict=True):
                window = plane[patch.rows, patch.columns]
                if pattern is None:
                    window[patch.inside] = np.float32((a + d) / 2)
                else:
                    np.copyto(window, np.where(pattern, np.float32(a), np.float32(d)), where=patch.inside)
        if twin:
            planes = self._dusk(planes, draws)
        return self._expose(planes, draws, np.float32(0.2 if twin else 0.12))

    def _dusk(self, planes: list[np.ndarray], draws: Draws) -> list[np.ndarray]:
        """Turn colours and lay a haze over the scene, thicker towards the top."""
        red, green, blue = planes
        haze = np.linspace(0.55, 0.2, self.layout.size).astype(np.float32)[:, None]
        fog = np.float32(draws.uniform(70, 120))
        turned = [green * np.float32(0.45), blue * np.float32(0.5), red * np.float32(0.6) + np.float32(25)]
        return [plane + (fog - plane) * haze for plane in turned]

    def _expose(self, planes: list[np.ndarray], draws: Draws, noise: np.float32) -> np.ndarray:
        """Light falling from one side, a soft lens and sensor noise."""
        size = self.layout.size
        axis = (np.arange(size, dtype=np.float32) * np.float32(1 / size)) - _HALF
        across, down, gain = (np.float32(v) for v in self.layout.light)
        shade = gain + axis[None, :] * across + axis[:, None] * down
        grain = draws.bytes(size * size).reshape(size, size).astype(np.float32) - np.float32(127.5)
        image = np.empty((size, size, 3), np.uint8)
        for channel, plane in enumerate(planes):
            soft = plane * np.float32(2)
            soft[1:] += plane[:-1]
            soft[0] += plane[0]
            soft[:-1] += plane[1:]
            soft[-1] += plane[-1]
            soft *= shade * np.float32(0.25)
            soft += grain * noise
            np.clip(soft, 0, 255, out=soft)
            image[..., 2 - channel] = soft  # planes are R, G, B
        return image


def draw_scene(size: int, *key: int) -> Scene:
    """Scene of a key (seed, split, index); see :func:`.layout.draw_layout`."""
    return Scene(draw_layout(size, *key))
