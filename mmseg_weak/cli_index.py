"""The verb ``index``: files in which training-free methods look things up, from the user's own images or captions."""
from collections.abc import Callable

import click

from mmseg_weak.cli_tools import logs_to_stderr, options_of

__all__ = ['index']


@click.group(epilog='Example: mmseg-weak index reco reco_toyworld --out reco.safetensors')
def index() -> None:
    """Make the file in which a method looks things up: pictures of a bank, captions, prototypes."""


def _common(command: Callable) -> Callable:
    """Options of every index."""
    for option in (
            click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may '
                                                              'follow.'),
            click.option('--overwrite', is_flag=True, help='Begin anew instead of adding what is missing.'),
            click.option('--device', help='As torch names it; the GPU where there is one.'),
            click.option('--weights', help='CLIP: a tag (openai), MODEL:TAG, or a file.'),
            click.option('--out', help='The file; model.index of CONFIG by default.')):
        command = option(command)
    return click.argument('config')(click.argument('overrides', nargs=-1)(command))


def _told(broken: list[tuple[str, str]]) -> None:
    for _, sentence in broken[:20]:
        click.echo(f'Skipped: {sentence}')
    if len(broken) > 20:
        click.echo(f'and {len(broken) - 20} more')


@index.command(epilog='Example: mmseg-weak index reco reco_toyworld --out reco.safetensors. Your own bank and names: '
                      'mmseg-weak index reco reco_deit-s_cityscapes27 --images photos --text "horse; rider" --out '
                      'mine.safetensors')
@_common
@click.option('--images', multiple=True, help='The bank: a folder, file or glob of images without labels; several may '
                                              'be given.')
@click.option('--text', help='Names to make references of, with semicolons, or a .txt file with one class a line.')
def reco(config: str, overrides: tuple, cfg_options: tuple, images: tuple, **kwargs) -> None:
    """Embed a bank of images and make references of names from it, for ReCo."""
    from mmseg_weak.apis.index_reco import index_reco as run
    with logs_to_stderr():
        result = run(config, images or None, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    _told(result.broken)
    click.echo(f'{result.written} pictures and references made, {result.skipped} were there already, '
               f'{len(result.broken)} images cannot be read; it knows {", ".join(result.names[:30])}'
               f'{", ..." if len(result.names) > 30 else ""}.\nWritten: {result.out}\n'
               f'Next: mmseg-weak test {config} model.index={result.out}')
