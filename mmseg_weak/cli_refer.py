"""The verbs about sentences: ``refer`` finds what one means, ``refer-label`` writes what TRIS learns from next."""
import click

from mmseg_weak.cli_tools import logs_to_stderr, options_of, tell_skipped

__all__ = ['refer', 'refer_label']


@click.command(epilog='Example: mmseg-weak refer photos --text "the man on the left" --config tris_toyworld '
                      '--checkpoint work_dirs/tris_toyworld/iter_600.pth')
@click.argument('images', nargs=-1, required=True)
@click.option('--text', required=True, help='The sentence.')
@click.option('--config', required=True, help='Of TRIS, either stage.')
@click.option('--checkpoint', required=True, help='Its weights.')
@click.option('--out', default='work_dirs/refer', show_default=True, help='Folder of masks/, scores/, overlays/.')
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may be given.')
def refer(cfg_options: tuple, **kwargs) -> None:
    """Find what a sentence means in IMAGES: files, folders or globs."""
    from mmseg_weak.apis.refer import refer as run
    with logs_to_stderr():
        result = run(cfg_options=options_of(cfg_options), **kwargs)
    tell_skipped(result.broken)
    for name, share in list(result.shares.items())[:20]:
        click.echo(f'{name}: {100 * share:.0f} % of the image')
    if len(result.shares) > 20:
        click.echo(f'and {len(result.shares) - 20} more')
    click.echo(f'{len(result.shares)} images searched, {len(result.broken)} cannot be read.\nWritten: {result.out}\n'
               f'Next: look at {result.out}/overlays')


@click.command('refer-label', epilog='Example: mmseg-weak refer-label tris_toyworld work_dirs/tris_toyworld/'
                                     'iter_600.pth --out work_dirs/tris_toyworld/refer')
@click.argument('config')
@click.argument('checkpoint')
@click.argument('overrides', nargs=-1)
@click.option('--out', required=True, help='Folder of scores/, seeds/, masks/ and their lists.')
@click.option('--walk', help='Config of TRISWalk: masks walk up to its boundaries.')
@click.option('--walk-checkpoint', help='Its weights.')
@click.option('--thr', type=click.FloatRange(0, 1), default=0.25, show_default=True,
              help='Of the largest response, above which a mask is that does not walk.')
@click.option('--strict', type=click.FloatRange(0, 1), default=0.3, show_default=True, help='Of surely the object.')
@click.option('--loose', type=click.FloatRange(0, 1), default=0.1, show_default=True, help='Of surely not.')
@click.option('--crf/--no-crf', default=True, show_default=True, help="Refine seeds by the image's colours.")
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--overwrite', is_flag=True, help='Ask CHECKPOINT again where there are scores.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may be given.')
def refer_label(overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Write what CHECKPOINT, stage 1 of TRIS, sees of the training objects of CONFIG, for IRNet and stage 2."""
    from mmseg_weak.apis.refer_label import refer_label as run
    with logs_to_stderr():
        result = run(cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    tell_skipped(result.broken)
    click.echo(f'{result.written} objects labelled, {result.skipped} were there already, {len(result.broken)} images '
               f'cannot be read; an object fills {100 * result.object_share:.0f} % of its image.\n'
               f'Written: {result.out}: objects.json (masks, for stage 2), seeds.json (for TRISWalk)\n'
               'Next: look at masks/, then train a config of stage 2 on them: configs/tris/README.md')
