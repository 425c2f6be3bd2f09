"""ToyWorld: a small world to learn from, drawn from a seed. It is the demo and the lift table, never a
benchmark.
"""
from .backend import ToyWorldBackend, scene_uri
from .dataset import SUPERVISION, ToyWorldDataset
from .referring import ToyWorldReferring
from .scene import Scene, draw_scene

__all__ = ['SUPERVISION', 'Scene', 'ToyWorldBackend', 'ToyWorldDataset', 'ToyWorldReferring', 'draw_scene', 'scene_uri']
