"""Progress on stderr, so that stdout holds results alone."""
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ['progress']

T = TypeVar('T')


def progress(items: Iterable[T], what: str, total: int | None = None, quiet: bool = False) -> Iterator[T]:
    """Walk over items with a bar on stderr; without a terminal there is no bar.

    Args:
        items: what to walk over.
        what: a word or two in front of the bar.
        total: their number, if ``len`` does not tell.
        quiet: no bar.

    Yields:
        The items.
    """
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield from items
        return
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(items, total=total, description=what)
