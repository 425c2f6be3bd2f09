"""The verbs that write, debias and judge pseudo masks."""
import click

from mmseg_weak.cli_tools import checkpoint_or_override, logs_to_stderr, options_of

__all__ = ['debias', 'eval_pseudo', 'pseudo_label']


@click.command('pseudo-label', epilog='Example: mmseg-weak pseudo-label cam_toyworld work_dirs/cam_toyworld/'
                                    'iter_2000.pth --out pseudo --thr consistency --refine par')
@click.argument('config')
@click.argument('checkpoint', required=False)
@click.argument('overrides', nargs=-1)
@click.option('--out', required=True, help='Folder of the data set.')
@click.option('--images', help='Folder of images, instead of the training images of CONFIG.')
@click.option('--tags', help='Tags of --images: CSV, JSON, .npy, or "folders". Predicted without.')
@click.option('--use-tags', is_flag=True, help="Leave out classes that an image's tags do not name, with networks that "
                                               'do not do so by themselves.')
@click.option('--loader', help='Loader of CONFIG that names the images; train_eval by default.')
@click.option('--thr', help='Background score of class maps: a number, or a rule that needs no mask: consistency, '
                            'area, entropy. The config\'s own by default.')
@click.option('--conf-thr', type=float, default=0.0, show_default=True, help='Below it a pixel is unknown, 255.')
@click.option('--refine', default='', help='crf (or crf:PRESET), par, pamr; several with commas, in their order.')
@click.option('--scores', is_flag=True, help='Write score files too: what eval-pseudo sweeps thresholds over.')
@click.option('--from', 'kept', help='Folder of an earlier call with --scores: take its class maps instead of the '
                                      "network's, for another threshold or refinement.")
@click.option('--amp', is_flag=True, help='Half precision in the network: faster, rounded scores.')
@click.option('--pictures', type=click.IntRange(1), default=12, show_default=True,
              help='In each part of the contact sheet.')
@click.option('--area-prior', type=float, default=0.3, show_default=True,
              help='Share of an image that objects cover, for --thr area.')
@click.option('--shards', type=click.IntRange(1), default=1, show_default=True, help='Processes to start.')
@click.option('--shard', help='i/N: only this part; run all N with one --out.')
@click.option('--device', help='As torch names it; the GPUs there are, in turn.')
@click.option('--overwrite', is_flag=True, help='Make masks again, but never those corrected by hand.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may follow.')
def pseudo_label(checkpoint: str | None, thr: str | None, overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Write the masks that CHECKPOINT gives the training images of CONFIG, as a data set to look at and train on."""
    from mmseg_weak.apis.pseudo_label import pseudo_label as run
    checkpoint, overrides = checkpoint_or_override(checkpoint, overrides)
    try:
        value = None if thr is None else float(thr)
    except ValueError:
        value = thr
    with logs_to_stderr():
        result = run(checkpoint=checkpoint, thr=value, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    for _, sentence in result.broken:
        click.echo(f'Skipped: {sentence}')
    click.echo(f'{result.written} images labelled, {result.skipped} were there already, {len(result.broken)} cannot be '
               f'labelled, {result.empty} show none of their tags.')
    if isinstance(value, str):
        click.echo(f'Threshold by {value}: {result.thr:g}')
    if result.corrected:
        click.echo(f'{len(result.corrected)} masks were corrected by hand and left as they are: '
                   f'{", ".join(result.corrected[:10])}{", ..." if len(result.corrected) > 10 else ""}')
    if not result.complete:
        click.echo(f'{result.missing} images have no mask yet; the index comes with the last of them: run the other '
                   f'shards, or this command without --shard.')
        return
    click.echo(f'Written: {result.out}/masks, index.csv, index.html, dataset.py\n'
               f'Next: open {result.out}/index.html; then mmseg-weak eval-pseudo {result.out} --masks MASKS, or train: '
               f'mmseg-weak new DIR --method supervised --images IMAGES --masks {result.out}/masks')


@click.command('eval-pseudo', epilog='Example: mmseg-weak eval-pseudo pseudo --masks voc/SegmentationClassAug. '
                                     'ToyWorld: mmseg-weak test cam_toyworld CHECKPOINT --loader train_eval')
@click.argument('folder')
@click.option('--masks', required=True, help='Folder of true masks, named as the images.')
@click.option('--out', help='Where to write; FOLDER/eval by default.')
@click.option('--classes', help='Names of the classes in the order of the mask values, with commas.')
@click.option('--unknown', type=click.Choice(['background', 'drop', 'wrong']), default='background', show_default=True,
              help='How 255 in a pseudo mask counts.')
@click.option('--mean', type=click.Choice(['union', 'present', 'all']), default='union', show_default=True,
              help='Over classes in truth or prediction, in truth, or all.')
@click.option('--held-out', type=click.IntRange(0), default=10, show_default=True,
              help='Images with masks for one of the choices of a threshold.')
@click.option('--seed', type=int, default=0, show_default=True, help='Of that draw.')
@click.option('--area-prior', type=float, default=0.3, show_default=True, help='For the choice by area.')
def eval_pseudo(classes: str | None, **kwargs) -> None:
    """Compare pseudo masks with true ones: nine conventions, classes, and what the choice of a threshold costs."""
    from mmseg_weak.apis.eval_pseudo import eval_pseudo as run
    names = [name.strip() for name in classes.split(',')] if classes else None
    with logs_to_stderr():
        result = run(classes=names, **kwargs)
    click.echo(result.text())
    if result.without_truth or result.not_covered:
        click.echo(f'{result.without_truth} pseudo masks have no true mask, {result.not_covered} true masks no pseudo '
                   f'mask; neither counts.')
    files = 'summary.json, classes.csv' + (', curve.png, curve.svg' if result.curve else '')
    click.echo(f'\nWritten: {result.out}/: {files}\nNext: '
               + ('mmseg-weak pseudo-label ... --thr with the threshold you choose' if result.curve else
                  'mmseg-weak pseudo-label ... --scores gives the threshold curve'))


@click.command(epilog='Example: mmseg-weak debias pseudo --config mars_toyworld --out debiased')
@click.argument('folder')
@click.argument('overrides', nargs=-1)
@click.option('--config', required=True, help='Config with a key debias: that of MARS.')
@click.option('--out', required=True, help='Folder of the debiased labels.')
@click.option('--device', help='As torch names it; the GPU where there is one.')
@click.option('--pictures', type=click.IntRange(1), default=12, show_default=True,
              help='In each part of the contact sheet.')
@click.option('--overwrite', is_flag=True, help='Make masks again, but never those corrected by hand.')
@click.option('--cfg-options', multiple=True, help='key=value that overrides the config; several may follow.')
def debias(folder: str, overrides: tuple, cfg_options: tuple, **kwargs) -> None:
    """Mark objects of the pseudo masks in FOLDER that are background elsewhere with 254 (MARS)."""
    from mmseg_weak.apis.debias import debias as run
    with logs_to_stderr():
        result = run(folder, cfg_options=options_of([*cfg_options, *overrides]), **kwargs)
    for _, sentence in result.broken:
        click.echo(f'Skipped: {sentence}')
    for name, (ratio, pixels) in result.by_class.items():
        click.echo(f'{name}: {100 * ratio:.1f} % of {pixels} pixels are biased')
    click.echo(f'{result.written} masks written, {result.skipped} were there already ({len(result.corrected)} '
               f'corrected by hand), {len(result.broken)} cannot be used; {100 * result.biased_ratio:.1f} % of the '
               f'objects is biased.\nWritten: {result.out}/masks (254 where biased), index.csv, index.html, '
               f'dataset.py\nNext: mmseg-weak train {kwargs["config"]} '
               f'train_dataloader.dataset.dataset.folder={result.out}')
