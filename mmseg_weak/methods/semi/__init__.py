"""Semi-supervised methods: few masks, many plain images."""
from .fixmatch import FixMatch
from .unimatch import UniMatch

__all__ = ['FixMatch', 'UniMatch']
