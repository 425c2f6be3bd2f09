"""Write what a network sees as ordinary masks: a data set that can be looked at, corrected and trained on."""
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mmseg_weak.errors import ConfigError, DataError, WeakError
from mmseg_weak.evaluation.threshold_choice import AREA_PRIOR, RULES, bin_counts, choose_threshold
from mmseg_weak.files import check_writable

from .progress import progress
from .pseudo_files import Records, names_of, settle_settings, write_index
from .pseudo_sheet import write_sheet
from .pseudo_worker import Job, Labeller, label_part
from .refine import build_refiner

__all__ = ['PseudoLabelResult', 'pseudo_label']

_GRID = [i / 100 for i in range(100)]
_MOST_LOOKED_AT = 100  # images from which a rule chooses the threshold


@dataclass
class PseudoLabelResult:
    """What a call of :func:`pseudo_label` did.

    Attributes:
        out: the folder.
        written: number of masks written now.
        skipped: masks that were there already.
        corrected: names of masks that were corrected by hand and left alone.
        broken: images that could not be labelled, each with a sentence.
        missing: images without a mask so far (those of other shards, and broken ones).
        empty: images whose tags show on no pixel.
        thr: background score of the seeds; None where the model's own was left.
        classes: names.
        complete: whether index and contact sheet were written.
        images: folder or loader of the images.
    """
    out: Path
    written: int = 0
    skipped: int = 0
    corrected: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    missing: int = 0
    empty: int = 0
    thr: float | None = None
    classes: list[str] = field(default_factory=list)
    complete: bool = False
    images: str = ''


def pseudo_label(config: str | Path, checkpoint: str | Path | None, out: str | Path,
                 images: str | None = None, tags: str | None = None, loader: str | None = None,
                 thr: float | str | None = None, conf_thr: float = 0.0, refine: str | Sequence[str] = (),
                 scores: bool = False, amp: bool = False, pictures: int = 12, area_prior: float = AREA_PRIOR,
                 shards: int = 1, shard: str | None = None, device: str | None = None,
                 overwrite: bool = False, cfg_options: Mapping[str, Any] | None = None,
                 quiet: bool = False, kept: str | Path | None = None,
                 use_tags: bool = False) -> PseudoLabelResult:
    """Label the training images of a config, or a folder, with any segmentor, and write a data set.

    A method that learns from image tags gives class maps, limited to each image's tags; any other segmentor its
    probabilities. See :mod:`.pseudo_files` for the files. A call that was killed goes on where it stopped; masks that
    were corrected by hand since are never written over.

    Args:
        config: file or name.
        checkpoint: file; None for a config that trains nothing.
        out: folder of the data set.
        images: folder of images, instead of a loader of the config.
        tags: their tags: a file, or 'folders' (see ``ImageLabelDataset``); without them tags are predicted.
        loader: which loader of the config; 'train_eval' by default.
        thr: background score of class maps: a number, or a rule that chooses one from the class maps of 100 images
            without any mask: 'consistency', 'area' or 'entropy'. The config's own background by default.
        conf_thr: confidence below which a pixel becomes 255.
        refine: 'crf' ('crf:clip_es' with the settings of a publication), 'par' or 'pamr', several with commas in the
            order of their use.
        scores: write score files of the classes in each image.
        amp: let the network compute in half precision (bfloat16 without a GPU); refinement stays in float32.
        pictures: pictures in each part of the contact sheet.
        area_prior: share of an image that objects cover on average, for ``thr='area'``.
        shards: number of processes to start.
        shard: 'i/N' with i from 0: do only this part; run all N, on as many machines, with one ``out``.
        device: as torch names it; GPUs in turn for several processes.
        overwrite: make masks again that are there (never those corrected by hand).
        cfg_options: overrides of the config.
        quiet: no progress bar.
        kept: folder of an earlier call with ``scores`` of the same network and images: its class maps are read, and
            the network does not run. For another threshold or refinement.
        use_tags: leave out classes that an image's tags do not name, where the network does not do so by itself.

    Raises:
        ConfigError: options that do not go together, a folder that cannot be written, masks made in another way.
        CheckpointError, MissingFileError: of the checkpoint and the data.
        DataError: no image could be labelled.
    """
    out = Path(out)
    refine = tuple(name.strip() for name in (refine.split(',') if isinstance(refine, str) else refine) if name.strip())
    part, parts = _shard(shard)
    _check(thr, conf_thr, refine, shards, parts, overwrite, images, tags, loader)
    check_writable(out, out / 'masks')
    if loader is None and images is None:
        loader = 'train_eval'
    job = Job(str(config), None if checkpoint is None else str(checkpoint), out, device, dict(cfg_options or {}),
              loader, images, tags, thr if isinstance(thr, (int, float)) else None, conf_thr, refine, scores, amp,
              None if kept is None else str(kept), use_tags)
    labeller = Labeller(job)
    names = dict(enumerate(names_of(labeller.paths)))
    records = Records(out)
    known = records.read()
    states = {name: records.state(name, known) for name in names.values()}
    corrected = [name for name, state in states.items() if state == 'corrected']
    settle_settings(out, dict(
        job.made_with(), thr=thr, conf_thr=conf_thr, refine=list(refine), scores=scores, amp=amp,
        **({} if kept is None else {'from': os.path.abspath(kept)}), **({'use_tags': True} if use_tags else {})),
        overwrite)
    if overwrite:
        records.forget(keep=corrected)
    if isinstance(thr, str):
        job.thr = _chosen(labeller, thr, area_prior, quiet)
        labeller.model.seed.update(background='constant', thr=job.thr)
    mine = [index for index in names if index % parts == part]
    todo = {index: names[index] for index in mine
            if states[names[index]] == 'todo' or (overwrite and states[names[index]] == 'done')}
    result = PseudoLabelResult(out, len(todo), len(mine) - len(todo), corrected, thr=job.thr, classes=labeller.classes,
                               images=images or f'{loader}_dataloader')
    if shards > 1 and len(todo) > 1:
        result.broken = _spawn(job, todo, shards)
    else:
        result.broken = label_part(job, todo, f'part_{part}_of_{parts}', None, labeller,
                                   lambda items: progress(items, 'pseudo-label', quiet=quiet))
    result.written -= len(result.broken)
    if result.broken and not result.written and not result.skipped:
        raise DataError(f'none of {len(result.broken)} images could be labelled; the first: {result.broken[0][1]}')
    _finish(result, labeller, names, records, pictures)
    return result


def _check(thr: Any, conf_thr: float, refine: Sequence[str], shards: int, parts: int, overwrite: bool,
           images: str | None, tags: str | None, loader: str | None) -> None:
    if isinstance(thr, str) and thr not in RULES:
        raise ConfigError(f"thr is '{thr}'; give a number between 0 and 1, or one of the rules {', '.join(RULES)}.")
    if isinstance(thr, (int, float)) and not 0 <= thr <= 1:
        raise ConfigError(f'thr is {thr}; the background score lies between 0 and 1.')
    if not 0 <= conf_thr < 1:
        raise ConfigError(f'conf_thr is {conf_thr}; a confidence lies between 0 and 1.')
    for name in refine:
        build_refiner(name)
    if shards < 1:
        raise ConfigError(f'shards is {shards}; give the number of processes, at least 1.')
    if parts > 1 and shards > 1:
        raise ConfigError('shards starts processes here and shard is one of several that you start; give one of them.')
    if parts > 1 and overwrite:
        raise ConfigError('overwrite with one shard would drop what the others did; delete the folder first, or let '
                          'shards start the processes.')
    if images is not None and loader is not None:
        raise ConfigError('images and loader both say what to label; give one of them.')
    if tags is not None and images is None:
        raise ConfigError('tags go with images; those of a loader stand in the config.')


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 1
    try:
        part, parts = map(int, text.split('/'))
    except ValueError:
        part, parts = -1, 0
    if not 0 <= part < parts:
        raise ConfigError(f"shard is '{text}'; give i/N with i from 0 to N-1, such as 0/4.")
    return part, parts


def _chosen(labeller: Labeller, rule: str, area_prior: float, quiet: bool) -> float:
    """The threshold a rule picks on evenly spread images."""
    if not labeller.seeds:
        raise ConfigError(f"thr='{rule}' chooses the background score of class maps, and {labeller.job.config} gives "
                          f'probabilities with a background of their own; leave --thr out.')
    count = len(labeller.paths)
    chosen = sorted({round(i * (count - 1) / (_MOST_LOOKED_AT - 1)) for i in range(_MOST_LOOKED_AT)})
    counts, tags = [], []
    for index in progress(chosen, f'threshold by {rule}', quiet=quiet):
        try:
            scores, allowed, known = labeller.scores(index)
        except DataError:
            continue  # said when it is labelled
        counts.append(bin_counts(scores[None, 1:], _GRID, allowed[None, 1:].to(scores.device))[0].cpu())
        tags.append(allowed[1:] if known is None else known)
    if not counts:
        raise DataError(f'none of {len(chosen)} images could be labelled, from which the threshold should be chosen.')
    return _GRID[choose_threshold(rule, torch.stack(counts), torch.stack(tags), _GRID, area_prior)]


def _spawn(job: Job, todo: dict[int, str], shards: int) -> list[tuple[str, str]]:
    """Share the images among processes."""
    shards = min(shards, len(todo))
    threads = max(1, (os.cpu_count() or 1) // shards)
    order, gpus = list(todo), torch.cuda.device_count()
    try:
        with ProcessPoolExecutor(shards, mp_context=get_context('spawn')) as pool:
            futures = []
            for number in range(shards):
                device = job.device or (f'cuda:{number % gpus}' if gpus else None)
                mine = Job(**{**vars(job), 'device': device})
                names = {index: todo[index] for index in order[number::shards]}
                futures.append(pool.submit(label_part, mine, names, f'process_{number}_of_{shards}', threads))
            return [each for future in futures for each in future.result()]
    except BrokenProcessPool:
        raise WeakError(f'one of {shards} processes was killed, perhaps for lack of memory; what they wrote is kept. '
                        f'Run the command again to go on, with fewer --shards if it happens again.') from None


def _finish(result: PseudoLabelResult, labeller: Labeller, names: dict[int, str], records: Records,
            pictures: int) -> None:
    """Write index and contact sheet, if all images have been tried."""
    known = records.read()
    items = [known[name] for name in names.values() if name in known and records.mask(name).is_file()]
    result.missing = len(names) - len(items)
    result.empty = sum(bool(item['tags']) and not item['shown'] for item in items)
    result.complete = result.missing <= len(result.broken)
    if result.complete:
        made = dict(config=labeller.job.config, checkpoint=labeller.job.checkpoint, thr=result.thr,
                    conf_thr=labeller.job.conf_thr, refine=list(labeller.job.refine), seeds=labeller.seeds)
        write_index(result.out, items, labeller.classes, labeller.palette, made)
        write_sheet(result.out, pictures)
