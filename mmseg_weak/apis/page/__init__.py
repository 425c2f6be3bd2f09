"""The local page of ``mmseg-weak serve``: pictures and names in, masks out; nothing leaves the machine."""
from .desk import Desk, Limits
from .server import PageServer, serve

__all__ = ['Desk', 'Limits', 'PageServer', 'serve']
