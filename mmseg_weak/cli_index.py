"""The verb ``index``: files in which training-free methods look things up, from the user's own images or captions; and
``words``, which reads one.
"""
from collections.abc import Callable

import click

from mmseg_weak.cli_tools import logs_to_stderr, options_of, tell_skipped

__all__ = ['index', 'words']


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
    tell_skipped(result.broken)
    click.echo(f'{result.written} pictures and references made, {result.skipped} were there already, '
               f'{len(result.broken)} images cannot be read; it knows {", ".join(result.names[:30])}'
               f'{", ..." if len(result.names) > 30 else ""}.\nWritten: {result.out}\n'
               f'Next: mmseg-weak test {config} model.index={result.out}')


@index.command(epilog='Example: mmseg-weak index cased cased_toyworld --out captions.safetensors. Your own captions: '
                      'mmseg-weak index cased cased_vit-l14_voc21 --captions captions.csv --out mine.safetensors')
@_common
@click.option('--captions', help='A .txt with one caption a line, a .csv or .tsv, a .json or .jsonl.')
@click.option('--column', help='Of a table, or key of an object; "caption" and the like are found.')
def cased(config: str, overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Embed captions, in whose words CaSED tells what images show."""
    from mmseg_weak.apis.index_cased import index_cased as run
    with logs_to_stderr():
        result = run(config, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    click.echo(f'{result.written} captions embedded, {result.skipped} were there already.\nWritten: {result.out}\n'
               f'Next: mmseg-weak words IMAGES --index {result.out} --config {config}')


@index.command(epilog='Example: mmseg-weak index ovdiff ovdiff_toyworld --out prototypes.safetensors. Your own '
                      'pictures, a folder a name: mmseg-weak index ovdiff ovdiff_vit-b16_voc21 --images pictures '
                      '--text "horse; rider" --out mine.safetensors')
@_common
@click.option('--images', help='Folder with a folder of pictures for each name.')
@click.option('--draw', help='Such a folder, into which Stable Diffusion draws what is missing.')
@click.option('--text', help='Names to make prototypes of, with semicolons, or a .txt file with one class a line.')
def ovdiff(config: str, overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Make prototypes of names from pictures of them, for OVDiff."""
    from mmseg_weak.apis.index_ovdiff import index_ovdiff as run
    with logs_to_stderr():
        result = run(config, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    tell_skipped(result.broken)
    click.echo(f'Prototypes of {result.written} names made, {result.skipped} were there already, '
               f'{len(result.broken)} pictures cannot be read; it knows {", ".join(result.names[:30])}'
               f'{", ..." if len(result.names) > 30 else ""}.\nWritten: {result.out}\n'
               f'Next: mmseg-weak test {config} model.index={result.out}')


@click.command(epilog='Example: mmseg-weak words photos --index captions.safetensors --out named. With tiny towers: '
                      'mmseg-weak words photos --config cased_toyworld --index captions.safetensors')
@click.argument('images', nargs=-1, required=True)
@click.option('--index', help='File of mmseg-weak index cased; that of the config by default.')
@click.option('--out', default='work_dirs/words', show_default=True,
              help='Folder of tags.csv, masks/, overlays/, words/.')
@click.option('--config', default='cased_vit-l14_voc21', show_default=True, help='Config of CaSED, a file or a name.')
@click.option('--weights', help='CLIP: a tag (openai), MODEL:TAG, or a file.')
@click.option('--top', type=int, default=3, show_default=True, help='Tags an image.')
@click.option('--masks/--tags-only', default=True, show_default=True)
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may follow.')
def words(images: tuple, out: str, cfg_options: tuple, **kwargs) -> None:
    """Name what IMAGES show, without a list of names: tags and masks in words of captions (CaSED)."""
    from mmseg_weak.apis.words import find_words as run
    with logs_to_stderr():
        result = run(images, out=out, cfg_options=options_of(cfg_options), **kwargs)
    tell_skipped(result.broken)
    for image, tags in list(result.tags.items())[:10]:
        click.echo(f'{image}: {", ".join(f"{word} {100 * prob:.0f} %" for word, prob in tags)}')
    more = f'Next: look at {out}/overlays, ' if kwargs['masks'] else 'Next: '
    click.echo(f'{len(result.tags)} images named, {len(result.broken)} cannot be read.\nWritten: {out}\n'
               f'{more}or train on the tags: mmseg-weak new DIR --images IMAGES --tags {out}/tags.csv')
