"""What the verbs of the command line share."""
import contextlib
import sys
from collections.abc import Iterator, Sequence

import click

__all__ = ['logs_to_stderr', 'options_of']


@contextlib.contextmanager
def logs_to_stderr() -> Iterator[None]:
    """mmengine logs to stdout; there only results belong."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def options_of(values: Sequence[str]) -> dict:
    """``key=value`` pairs, as mmseg's ``--cfg-options`` reads them."""
    from mmengine.config import DictAction
    parsed = {}
    for pair in values:
        key, equals, value = pair.partition('=')
        if not equals or not key:
            raise click.UsageError(f'{pair!r} is no key=value; give for example train_cfg.max_iters=100')
        parsed[key] = DictAction._parse_iterable(value)
    return parsed
