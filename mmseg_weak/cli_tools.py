"""What the verbs of the command line share."""
import ast
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

__all__ = ['checkpoint_or_override', 'logs_to_stderr', 'options_of', 'tell_skipped']


@contextlib.contextmanager
def logs_to_stderr() -> Iterator[None]:
    """mmengine logs to stdout; there only results belong."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def options_of(values: Sequence[str]) -> dict:
    """``key=value`` pairs, as mmseg's ``--cfg-options`` reads them; a dict or list in Python's notation as well."""
    parsed = {}
    for pair in values:
        key, equals, value = pair.partition('=')
        if not equals or not key:
            raise click.UsageError(f'{pair!r} is no key=value; give for example train_cfg.max_iters=100')
        parsed[key] = _value_of(key, value)
    return parsed


def _value_of(key: str, text: str) -> object:
    from mmengine.config import DictAction
    if text.startswith(('[', '(', '{')):  # mmengine splits these at commas and never ends at a dict within a list
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(text)
    try:
        return DictAction._parse_iterable(text)
    except (RecursionError, AssertionError):
        raise click.UsageError(f"{key}={text} cannot be read; write lists and dicts in Python's notation, for example "
                               f"\"{key}=[{{'type': 'CrossEntropyLoss'}}]\"") from None


def checkpoint_or_override(checkpoint: str | None, overrides: tuple) -> tuple[str | None, tuple]:
    """The two, where an override may stand in the place of a checkpoint that is not needed."""
    if checkpoint and '=' in checkpoint and not Path(checkpoint).is_file():
        return None, (checkpoint, *overrides)
    return checkpoint, overrides


def tell_skipped(broken: Sequence[tuple[str, str]]) -> None:
    """A line for each of the first images that could not be read."""
    for _, sentence in broken[:20]:
        click.echo(f'Skipped: {sentence}')
    if len(broken) > 20:
        click.echo(f'and {len(broken) - 20} more')
