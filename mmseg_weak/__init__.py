"""Weakly and semi-supervised segmentation for MMSegmentation 1.x: importing it puts everything in the registries."""
from . import compat  # isort: skip  (first: it makes the OpenMMLab stack importable)
from . import datasets, engine, evaluation, methods, models, structures, visualization
from .version import __version__

__all__ = ['__version__', 'compat', 'datasets', 'engine', 'evaluation', 'methods', 'models', 'structures',
           'visualization']
