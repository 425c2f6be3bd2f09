"""The verb that opens the local page."""
import sys

import click

from mmseg_weak.cli_tools import logs_to_stderr

__all__ = ['serve']


@click.command(epilog='Example: mmseg-weak serve --method sclip. With the tiny CLIP of ToyWorld: mmseg-weak serve '
                      '--weights toyworld')
@click.option('--method', default='naclip', show_default=True, help='Finds names: clip, sclip, naclip, ...')
@click.option('--weights', help='CLIP: a tag (openai), MODEL:TAG, a file, or toyworld.')
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--port', type=click.IntRange(0, 65535), default=8321, show_default=True, help='0 takes any free one.')
@click.option('--open/--no-open', 'open_browser', default=True, show_default=True, help='Show it in the browser.')
def serve(**kwargs) -> None:
    """Open a page on this machine alone: drop a picture, type names, see masks and scores."""
    from mmseg_weak.apis.page import serve as run
    out = sys.stdout
    with logs_to_stderr():
        run(ready=lambda url: click.echo(f'Open {url} (Ctrl+C ends it)', file=out), **kwargs)
