"""What Python users call; each verb of the command line is one function here."""
from typing import Any

__all__ = ['OpenVocabInferencer', 'SegInferencer']

_PLACES = dict(OpenVocabInferencer='open_vocab', SegInferencer='inferencer')


def __getattr__(name: str) -> Any:
    """Classes that bring torch and mmseg are imported when they are asked for."""
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from importlib import import_module
    return getattr(import_module(f'.{_PLACES[name]}', __name__), name)
