"""``mmseg-weak``: a thin shell over ``mmseg_weak.apis``; every verb is one function there."""
import sys
import traceback
from collections.abc import Sequence

import click

from mmseg_weak.cli_index import index, words
from mmseg_weak.cli_page import serve
from mmseg_weak.cli_pseudo import debias, eval_pseudo, pseudo_label
from mmseg_weak.cli_refer import refer, refer_label
from mmseg_weak.cli_tools import checkpoint_or_override, logs_to_stderr, options_of

__all__ = ['cli', 'main']


class _Verbs(click.Group):
    """A group that answers a mistyped verb with the near ones."""

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and not args[0].startswith('-') and self.get_command(ctx, args[0]) is None:
            from mmseg_weak.errors import near
            hint = near(args[0], self.list_commands(ctx))
            raise click.UsageError(f'there is no verb {args[0]!r}. {hint} `mmseg-weak --help` '
                                   f'shows all'.replace('  ', ' '))
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one needs them."""
        return list(self.commands)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the user can mend it, 1 our bug, 130 interrupted.

    Args:
        argv: arguments, those of the process by default.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    debug = '--debug' in args
    args = [arg for arg in args if arg != '--debug']
    try:
        code = cli.main(args, prog_name='mmseg-weak', standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo('Interrupted.', err=True)
        sys.exit(130)
    except BrokenPipeError:  # `mmseg-weak list | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        from mmseg_weak.errors import WeakError
        mendable = isinstance(error, WeakError)
        if debug:
            traceback.print_exc()
        elif mendable:
            click.echo(f'Error: {error}', err=True)
        else:
            click.echo(f'This is a bug in mmseg_weak ({type(error).__name__}: {error}). Run it again with --debug and '
                       f'report what it prints.', err=True)
        sys.exit(2 if mendable else 1)


@click.group(cls=_Verbs, epilog='Start with: mmseg-weak demo', context_settings=dict(help_option_names=['-h', '--help'],
                                                                                   max_content_width=100))
@click.option('--debug', is_flag=True, help='Show the traceback of an error; goes with every verb.')
@click.option('--version', is_flag=True, expose_value=False, is_eager=True, help='Show the version.',
              callback=lambda ctx, _, value: _version(ctx) if value else None)
def cli(debug: bool) -> None:
    """Train segmentation models from a few masks and many plain images."""


def _version(ctx: click.Context) -> None:
    from mmseg_weak.version import __version__
    click.echo(f'mmseg-weak {__version__}')
    ctx.exit()


@cli.command(epilog='Example: mmseg-weak demo --out work_dirs/demo')
@click.option('--out', default='work_dirs/demo', show_default=True, help='Folder of everything it writes.')
@click.option('--iters', type=click.IntRange(1), help='Another length than the configs\'.')
@click.option('--overwrite', is_flag=True, help='Train again what is there.')
def demo(**kwargs) -> None:
    """Masks alone against UniMatch on ToyWorld; some minutes, nothing is downloaded."""
    from mmseg_weak.apis.demo import demo as run
    with logs_to_stderr():
        result = run(**kwargs)
    click.echo(result.text())
    click.echo(f'\nWritten: {result.out}/summary.json, {result.out}/pictures.png, {result.out}/report.html\n'
               f'Next: open {result.out}/report.html, then your own images: '
               f'mmseg-weak new DIR --images ... --masks ... --unlabeled ...')


@cli.command('list', epilog='Example: mmseg-weak list unimatch')
@click.argument('method', required=False)
@click.option('--commercial-only', is_flag=True, help='Leave out what research-only weights or data forbid.')
@click.option('--json', 'as_json', is_flag=True, help='As JSON.')
def list_(method: str | None, commercial_only: bool, as_json: bool) -> None:
    """The methods: what they learn from, paper, configs, licences. With METHOD, all its configs."""
    from mmseg_weak.apis.list_methods import format_methods, list_methods, methods_json
    with logs_to_stderr():
        methods = list_methods(method, commercial_only)
    click.echo(methods_json(methods) if as_json else format_methods(methods, details=method is not None))
    if not as_json and methods:
        click.echo(f'\nNext: mmseg-weak train {methods[0].models[0].name if methods[0].models else "CONFIG"}')


@cli.command(epilog='Example, from your own two folders: mmseg-weak new horses --images horses/images --masks '
                    'horses/masks --unlabeled more/images. ToyWorld needs none: mmseg-weak train unimatch_toyworld')
@click.argument('dir')
@click.option('--images', help='Folder of images.')
@click.option('--masks', help='Folder of masks, each named as its image.')
@click.option('--unlabeled', help='Folder of images without masks.')
@click.option('--tags', help='Tags of the images instead of masks: CSV, JSON, .npy, or "folders".')
@click.option('--method', help='See mmseg-weak list; or supervised. By default unimatch, with --tags cam.')
@click.option('--classes', help='Names of the classes in the order of the mask values, with commas.')
@click.option('--from', 'from_config', help='Your own mmseg config, instead of --images and --masks.')
@click.option('--weights', help='File with ImageNet weights of the backbone, or the checkpoint of a '
                               'network that has it.')
@click.option('--iters', type=int, help='Length of the training.')
@click.option('--val-ratio', type=float, default=0.2, show_default=True, help='Share of the masks to hold out.')
@click.option('--seed', type=int, default=0, show_default=True)
@click.option('--device', help='cpu or cuda, for which to choose; what the machine has by default.')
@click.option('--overwrite', is_flag=True, help='Replace a config that is there.')
def new(classes: str | None, **kwargs) -> None:
    """Look at your folders, say what is there and what is wrong, and write a config that trains as it is."""
    from mmseg_weak.apis.new import new_project
    names = [name.strip() for name in classes.split(',')] if classes else None
    with logs_to_stderr():
        project = new_project(classes=names, **kwargs)
    click.echo('\n'.join(project.messages))
    after = '' if kwargs['tags'] is None else (f', then mmseg-weak pseudo-label {project.config} CHECKPOINT --out '
                                               f'{project.config.parent}/pseudo')
    click.echo(f'\nWritten: {project.config}\nNext: mmseg-weak train {project.config}{after}')


@cli.command('check-data', epilog='Example: mmseg-weak check-data --images horses/images --masks horses/masks. '
                                  'ToyWorld '
                                  'is always right: mmseg-weak train supervised_toyworld')
@click.option('--images', help='Folder of images.')
@click.option('--masks', help='Folder of masks, each named as its image.')
@click.option('--unlabeled', help='Folder of images without masks.')
@click.option('--list-file', help='List of labelled images, "image mask" a line or an id a line.')
@click.option('--unlabeled-list', help='List of unlabelled images.')
@click.option('--data-root', help='Folder to which lists and folders are relative.')
@click.option('--classes', help='Names of the classes in the order of the mask values, with commas.')
@click.option('--full/--headers', default=True, show_default=True, help='Read every mask, or only the headers.')
@click.option('--reduce-zero-label', is_flag=True, help='0 means unlabelled and classes start at 1.')
def check_data(classes: str | None, **kwargs) -> None:
    """Check images and masks before any training: pairs, kinds, values, sizes, broken files."""
    if not (kwargs['images'] or kwargs['list_file'] or kwargs['unlabeled'] or kwargs['unlabeled_list']):
        raise click.UsageError('nothing to check; give --images, --list-file, --unlabeled or --unlabeled-list')
    from mmseg_weak.apis.check_data import check_data as run
    from mmseg_weak.apis.check_data import format_findings
    names = [name.strip() for name in classes.split(',')] if classes else None
    with logs_to_stderr():
        found = run(classes=names, **kwargs)
    click.echo(format_findings(found, names))
    if not found.ok:
        sys.exit(2)
    click.echo('Next: mmseg-weak new DIR --images ... --masks ... --unlabeled ...')


@cli.command(epilog='Example: mmseg-weak split --images horses/images --masks horses/masks --out splits. ToyWorld '
                    'brings '
                    'its own: mmseg-weak train unimatch_toyworld')
@click.option('--out', required=True, help='Folder of the lists.')
@click.option('--images', help='Folder of images.')
@click.option('--masks', help='Folder of masks.')
@click.option('--list-file', help='List of images instead of folders.')
@click.option('--data-root', help='Folder to which lists and folders are relative.')
@click.option('--denominators', default='16,8,4', show_default=True, help='16 for one sixteenth; with commas.')
@click.option('--counts', default='', help='Numbers of labelled images; with commas.')
@click.option('--seed', type=int, default=0, show_default=True)
@click.option('--class-aware/--uniform', default=True, show_default=True, help='Images with new classes first, or any.')
def split(denominators: str, counts: str, **kwargs) -> None:
    """Make labelled and unlabelled lists: seeded, class-aware, nested (the 1/16 lies in the 1/8)."""
    from mmseg_weak.apis.split import make_split
    with logs_to_stderr():
        result = make_split(denominators=_numbers(denominators, '--denominators'), counts=_numbers(counts, '--counts'),
                            progress=sys.stderr.isatty(), **kwargs)
    click.echo(result.text())
    click.echo(f'\nWritten: {kwargs["out"]}\nNext: name the lists in a config (list_file=...), then mmseg-weak train '
               f'CONFIG')


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(',') if part.strip()]
    except ValueError:
        raise click.UsageError(f'{option} is {text!r}; give whole numbers with commas, as 16,8,4') from None


@cli.command(epilog='Example: mmseg-weak train unimatch_toyworld')
@click.argument('config')
@click.argument('overrides', nargs=-1)
@click.option('--work-dir', help='Folder of logs and checkpoints; work_dirs/<config> by default.')
@click.option('--resume', is_flag=True, help='Go on from the newest checkpoint that loads.')
@click.option('--amp', is_flag=True, help='Mixed precision: float16 on GPU, bfloat16 on CPU.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may follow.')
@click.option('--launcher', type=click.Choice(['none', 'pytorch', 'slurm', 'mpi']), default='none', show_default=True)
def train(config: str, overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Train CONFIG, a file or a name."""
    from mmseg_weak.apis.train import train as run
    with logs_to_stderr():
        runner = run(config, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    folder = runner.work_dir
    click.echo(f'Written: {folder}\nNext: mmseg-weak report {folder}')


@cli.command(epilog='Example: mmseg-weak test unimatch_toyworld work_dirs/unimatch_toyworld/iter_3000.pth')
@click.argument('config')
@click.argument('checkpoint', required=False)
@click.argument('overrides', nargs=-1)
@click.option('--work-dir', help='Folder of logs and results.')
@click.option('--out', help='Folder to write the predicted masks to.')
@click.option('--show-dir', help='Folder to write painted images to.')
@click.option('--tta', is_flag=True, help='Test-time augmentation.')
@click.option('--loader', help='Another loader of CONFIG with its evaluator: val, or train_eval for seeds.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may follow.')
@click.option('--launcher', type=click.Choice(['none', 'pytorch', 'slurm', 'mpi']), default='none', show_default=True)
def test(config: str, checkpoint: str | None, overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Evaluate CHECKPOINT on the test images of CONFIG; configs that train nothing have none."""
    from mmseg_weak.apis.train import test as run
    checkpoint, overrides = checkpoint_or_override(checkpoint, overrides)
    with logs_to_stderr():
        metrics = run(config, checkpoint, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    for name, value in metrics.items():
        click.echo(f'{name} {value}')
    click.echo(f'Next: mmseg-weak predict IMAGES --out DIR --config {config} --checkpoint {checkpoint}' if checkpoint
               else f'Next: mmseg-weak predict IMAGES --text "NAME; NAME" --method {config}')


@cli.command(epilog='Example, with a trained model: mmseg-weak predict photos --out labels --config unimatch_toyworld '
                    '--checkpoint work_dirs/unimatch_toyworld/iter_3000.pth. Without one: mmseg-weak predict photos '
                    '--text "horse; rider; grass" --method sclip')
@click.argument('images', nargs=-1, required=True)
@click.option('--out', help='Folder of masks/, confidence/, overlays/; with --text work_dirs/predict by default.')
@click.option('--config', help='Config, a file or a name.')
@click.option('--checkpoint', help='Checkpoint file.')
@click.option('--text', help='Names to look for, with semicolons, or a .txt file with one class a line.')
@click.option('--method', default='naclip', show_default=True, help='Finds names: clip, sclip, naclip, ...')
@click.option('--weights', help='CLIP: a tag (openai), MODEL:TAG, a file, or toyworld.')
@click.option('--background', help='Words of a class 0 for --text, as in --text.')
@click.option('--embeddings', help='.npy file of the embeddings of --text, one a row, instead of the text tower.')
@click.option('--threshold', type=float, default=0.0, show_default=True,
              help='With --text: less probable pixels are background.')
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--overwrite', is_flag=True, help='Label again what is there.')
@click.option('--confidence/--no-confidence', default=True, show_default=True)
@click.option('--overlays/--no-overlays', default=True, show_default=True)
@click.option('--opacity', type=float, default=0.5, show_default=True, help='Of the masks in the overlays.')
@click.option('--exif/--no-exif', default=True, show_default=True, help='Turn photos as their EXIF tag says.')
def predict(config: str | None, checkpoint: str | None, text: str | None, out: str | None, method: str,
            weights: str | None, background: str | None, embeddings: str | None, threshold: float, **kwargs) -> None:
    """Label IMAGES: files, folders or globs; by a trained model (--config, --checkpoint) or by names (--text)."""
    if text is not None and (config or checkpoint):
        raise click.UsageError('--text finds names without training and takes no --config and --checkpoint; a config '
                               'of such a method goes into --method')
    if text is None and not (config and checkpoint and out):
        raise click.UsageError('give --text "NAME; NAME", or --config, --checkpoint and --out of a trained model')
    from mmseg_weak.apis.predict import predict as run
    from mmseg_weak.apis.predict import predict_text
    with logs_to_stderr():
        if text is None:
            result = run(config=config, checkpoint=checkpoint, out=out, **kwargs)
        else:
            result = predict_text(text=text, out=out or 'work_dirs/predict', method=method, weights=weights,
                                  background=background, embeddings=embeddings, threshold=threshold, **kwargs)
    for _, sentence in result.broken:
        click.echo(f'Skipped: {sentence}')
    click.echo(f'{len(result.written)} images labelled, {len(result.skipped)} were there already, {len(result.broken)} '
               f'cannot be read.\nWritten: {result.out}\n'
               f'Next: look at {result.out}/{"overlays" if kwargs["overlays"] else "masks"}')


@cli.command(epilog='Example: mmseg-weak refine --with crf photos labels/masks --out refined. ToyWorld has perfect '
                    'masks: mmseg-weak train supervised_toyworld')
@click.argument('images')
@click.argument('masks')
@click.option('--out', required=True, help='Folder of the refined masks.')
@click.option('--with', 'using', type=click.Choice(['crf', 'par', 'pamr']), default='crf', show_default=True,
              help='Dense CRF, or pixel-adaptive refinement (faster).')
@click.option('--preset', help='Settings of the CRF: deeplab (the default), irn_label, psa, toco_cam, toco_seg, '
                               'clip_es.')
@click.option('--iters', type=click.IntRange(1), help='Iterations; 10 by default.')
@click.option('--gt-prob', type=float, default=0.7, show_default=True, help='Trust in the masks, between 0 and 1.')
@click.option('--unknown', type=click.Choice(['keep', 'fill']), default='keep', show_default=True,
              help='What becomes of pixels of value 255.')
@click.option('--confidence/--no-confidence', default=False, show_default=True)
@click.option('--overlays/--no-overlays', default=False, show_default=True)
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--max-side-px', type=click.IntRange(1), default=2048, show_default=True,
              help='Larger images are refined at this size.')
@click.option('--overwrite', is_flag=True, help='Refine again what is there.')
def refine(**kwargs) -> None:
    """Improve MASKS of IMAGES by the images' colours: class indices in, palette PNGs of the same names out."""
    from mmseg_weak.apis.refine import refine as run
    with logs_to_stderr():
        result = run(**kwargs)
    for _, sentence in result.broken:
        click.echo(f'Skipped: {sentence}')
    click.echo(f'{len(result.written)} masks refined ({100 * result.changed_ratio:.1f} % of their pixels changed), '
               f'{len(result.skipped)} were there already, {len(result.broken)} cannot be used, '
               f'{len(result.without_mask)} images have no mask.\nWritten: {result.out}\n'
               f'Next: mmseg-weak new DIR --images {kwargs["images"]} --masks {result.out}')


cli.add_command(serve)
cli.add_command(pseudo_label)
cli.add_command(debias)
cli.add_command(eval_pseudo)
cli.add_command(index)
cli.add_command(words)
cli.add_command(refer)
cli.add_command(refer_label)


@cli.command(epilog='Example: mmseg-weak fetch unimatch_toyworld')
@click.argument('name')
@click.option('--out', default='checkpoints', show_default=True, help='Folder to put it in.')
@click.option('--overwrite', is_flag=True, help='Download again what is there.')
def fetch(name: str, **kwargs) -> None:
    """Download the published checkpoint of the config NAME and check its hash; clip:MODEL:TAG brings CLIP weights."""
    from mmseg_weak.apis.fetch import fetch as run
    with logs_to_stderr():
        path = run(name, **kwargs)
    click.echo(f'Written: {path}')
    if not name.startswith('clip:'):
        click.echo(f'Next: mmseg-weak predict IMAGES --out DIR --config {name} --checkpoint {path}')


@cli.command('export-student', epilog='Example: mmseg-weak export-student unimatch_toyworld '
                                      'work_dirs/unimatch_toyworld/iter_3000.pth --out exported')
@click.argument('config')
@click.argument('checkpoint')
@click.option('--out', required=True, help='Folder for the config and the checkpoint.')
@click.option('--which', type=click.Choice(['student', 'teacher']), default='student', show_default=True)
@click.option('--overwrite', is_flag=True, help='Replace what is there.')
def export_student(**kwargs) -> None:
    """Write a plain mmseg config and checkpoint that run without this plugin."""
    from mmseg_weak.apis.export import export_student as run
    with logs_to_stderr():
        files = run(**kwargs)
    click.echo(f'Written: {files[0]}, {files[1]}\nNext: python tools/test.py {files[0]} {files[1]} in mmsegmentation')


@cli.command(epilog='Example: mmseg-weak report work_dirs/unimatch_toyworld --against work_dirs/supervised_toyworld')
@click.argument('work_dir')
@click.option('--against', help='work_dir of a supervised run on the same labelled images.')
@click.option('--upper', help='work_dir of a run with all labels.')
@click.option('--out', help='Where to write; WORK_DIR/report.html by default.')
def report(**kwargs) -> None:
    """One HTML page about a run: curves, classes, pictures, and whether the unlabelled images helped."""
    from mmseg_weak.apis.report import report as run
    with logs_to_stderr():
        path = run(**kwargs)
    click.echo(f'Written: {path}\nNext: open it in a browser')


if __name__ == '__main__':
    main()
