"""Scores of one image from any segmentor, and the pseudo mask made of them."""
import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch import Tensor

from mmseg_weak.datasets.corrections import file_mark
from mmseg_weak.datasets.masks import decode_image
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.files import write_bytes
from mmseg_weak.models.segmentors.tag import TagSegmentor
from mmseg_weak.visualization import mask_png

from .config import find_config, load_config
from .inferencer import SegInferencer
from .pseudo_files import Records, checkpoint_mark, names_of, save_scores
from .pseudo_scores import KeptScores, without_refiner
from .refine import build_refiner

__all__ = ['Job', 'Labeller', 'build_dataset', 'label_part', 'mask_of_scores', 'refine_scores']

_IGNORE = 255
_SOME_PROB = 0.05  # a class of a probability map takes part in the refinement if it reaches this anywhere


@dataclass
class Job:
    """What the processes of a call share; picklable.

    Attributes:
        config, checkpoint, out, device: as in :func:`.pseudo_label`.
        cfg_options: overrides of the config.
        loader: name of the config's loader, None where ``images`` is given.
        images, tags: a folder of images and its tags.
        thr: background score of seeds; None leaves the model's own.
        conf_thr: confidence below which a pixel is unknown.
        refine: names of the refinements, in order.
        scores: whether to write score files.
        amp: whether the network computes in half precision.
        kept: a folder of score files that stand in for the network.
        use_tags: whether any network's masks show the image's tags alone.
    """
    config: str
    checkpoint: str | None
    out: Path
    device: str | None = None
    cfg_options: dict = field(default_factory=dict)
    loader: str | None = None
    images: str | None = None
    tags: str | None = None
    thr: float | None = None
    conf_thr: float = 0.0
    refine: tuple[str, ...] = ()
    scores: bool = False
    amp: bool = False
    kept: str | None = None
    use_tags: bool = False

    def made_with(self) -> dict[str, Any]:
        """What the class maps depend on."""
        return dict(config=find_config(self.config).name, checkpoint=checkpoint_mark(self.checkpoint),
                    images=self.images, tags=self.tags, loader=self.loader,
                    cfg_options={key: str(value) for key, value in self.cfg_options.items()})


def build_dataset(job: Job, cfg: Config, classes: list[str], palette: list) -> Any:
    """The images to label, with their tags; no mask is opened, but those that tags are derived from.

    Raises:
        ConfigError: the config has no such loader.
    """
    loader = cfg.get(f'{job.loader}_dataloader') if job.loader else cfg.get('test_dataloader')
    if loader is None:
        known = sorted(key.removesuffix('_dataloader') for key in cfg if key.endswith('_dataloader'))
        raise ConfigError(f'{job.config} has no {job.loader}_dataloader (it has {", ".join(known) or "none"}); choose '
                          f'one with --loader, or give a folder with --images.')
    dataset = copy.deepcopy(loader.dataset)
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    def named(step: dict, *starts: str) -> bool:
        return str(step['type']).rsplit('.', 1)[-1].startswith(starts)

    steps = list(dataset.get('pipeline', []))
    if any(named(step, 'DeriveSupervision') for step in steps):
        raise ConfigError(f'{job.config} derives its supervision in the pipeline; give tags in the dataset instead '
                          "(ImageLabelDataset with tags='masks').")
    load = [step for step in steps if named(step, 'LoadImage')] or [dict(type='LoadImage')]
    steps = [step for step in steps if not named(step, 'Load', 'Pack')]
    pipeline = [*load, *steps, dict(type='PackSemiInputs')]
    if job.images is not None:
        names = dict(images=job.images, classes=classes, palette=palette, pipeline=pipeline, test_mode=True)
        return DATASETS.build(dict(type='ImageLabelDataset', tags=job.tags, **names) if job.tags else
                              dict(type='UnlabeledDataset', **names))
    dataset.pipeline = pipeline
    dataset.test_mode = True
    if dataset.get('with_masks'):
        dataset.with_masks = False
    if 'supervision' in dataset:  # ToyWorld
        dataset.supervision = tuple(kind for kind in dataset.supervision if kind == 'tags')
    return DATASETS.build(dataset)


class Labeller:
    """A model and its images, ready to give scores.

    Args:
        job: what to do.

    Attributes:
        classes, palette: of the masks.
        paths: of the images.
        seeds: whether scores are class maps with a background score, rather than probabilities.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        cfg = load_config(job.config, job.cfg_options)
        if job.checkpoint is None and cfg.get('train_cfg') is not None:
            raise ConfigError(f'{job.config} is a config that trains: name the checkpoint whose masks are wanted, for '
                              f'example the one that work_dir/last_checkpoint names.')
        self.inferencer = SegInferencer(cfg, job.checkpoint, device=job.device)
        self.model = self.inferencer.model
        self.dataset = build_dataset(job, cfg, self.inferencer.classes, self.inferencer.palette)
        meta = self.dataset.metainfo
        self.classes = list(meta.get('classes') or self.inferencer.classes)
        if self.inferencer.num_classes and len(self.classes) != self.inferencer.num_classes:
            raise ConfigError(f'the images have {len(self.classes)} classes and the network '
                              f'{self.inferencer.num_classes}; give both the same (model.num_classes counts the '
                              f'background).')
        self.palette = [list(map(int, colour)) for colour in meta.get('palette') or self.inferencer.palette]
        self.paths = [str(self.dataset.get_data_info(i)['img_path']) for i in range(len(self.dataset))]
        self.tagged = isinstance(self.model, TagSegmentor)
        self.seeds = self.tagged and self.model.test_cfg['mode'] == 'seed'
        use = self.model.test_cfg.get('use_tags') if self.tagged else False
        self.limited = job.use_tags or (self.seeds if use is None else bool(use))
        if job.thr is not None:
            if not self.seeds:
                raise ConfigError(f'--thr is the background score of class maps, and {job.config} gives probabilities '
                                  f'with a background of their own; use --conf-thr, below which a pixel is unknown.')
            self.model.seed.update(background='constant', thr=float(job.thr))
        self.refiners = [build_refiner(name) for name in job.refine]
        self.kept = None
        if job.kept is not None:
            own = load_config(job.config, without_refiner(job.cfg_options)).model.get('refiner') is not None
            self.kept = KeptScores(job.kept, job.made_with(), self.model, own)
            self.names = names_of(self.paths)
        if job.amp:  # half precision is fastest with the channels last
            self.model.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def scores(self, index: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores of an image.

        Returns:
            (C,H,W) float32, the background first; (C,) bool, the classes that may win; (C-1,) bool, its tags, None
            where it has none.

        Raises:
            DataError: the image cannot be read, the scores are not finite.
        """
        packed = self.dataset[index]
        sample = packed['data_samples']
        tags = sample.get('gt_image_label', None)
        if self.kept is not None:
            image = np.ascontiguousarray(decode_image(self.paths[index])[..., ::-1].transpose(2, 0, 1))
            scores = self.kept.planes(self.names[index], torch.from_numpy(image).to(self.inferencer.device))
        else:
            kind = self.inferencer.device.type
            with torch.autocast(kind, torch.float16 if kind == 'cuda' else torch.bfloat16, enabled=self.job.amp):
                result = self.model.test_step(dict(inputs=[packed['inputs']], data_samples=[sample]))[0]
            scores = result.seg_logits.data.float()
        if len(scores) == 1:  # one sigmoid channel
            scores = torch.cat([1 - scores, scores])
        elif not self.tagged:
            scores = scores.softmax(0)
        if not bool(torch.isfinite(scores).all()):
            raise DataError(f'{int((~torch.isfinite(scores)).sum())} of {scores.numel()} scores of {self.paths[index]} '
                            f'are NaN or infinite; the network has diverged, take an earlier checkpoint.')
        if self.seeds:
            allowed = torch.cat([torch.ones(1, dtype=torch.bool), scores[1:].flatten(1).amax(1).cpu() > 0])
        else:
            allowed = scores.flatten(1).amax(1).cpu() > _SOME_PROB
        if tags is None and self.job.use_tags:
            raise DataError(f'{self.paths[index]} has no tags to keep to; give --tags, or leave --use-tags out.')
        if tags is not None:
            tags = tags.flatten().bool().cpu()
            if self.limited:
                allowed = torch.cat([torch.ones(1, dtype=torch.bool), allowed[1:] & tags])
        return scores, allowed, tags


def refine_scores(scores: Tensor, allowed: Tensor, image: np.ndarray, refiners: list,
                  max_side_px: int = 2048) -> Tensor:
    """Send scores through refinements, one after the other.

    Args:
        scores: (C,H,W), at least 0.
        allowed: (C,) bool, classes that take part.
        image: (H,W,3) uint8, BGR.
        refiners: modules of :mod:`mmseg_weak.models.refine`. The CRF gets scores that sum to 1 in every pixel.
        max_side_px: larger images are refined at this size.

    Returns:
        (C,H,W) that sum to 1 in every pixel, 0 for classes that do not take part.
    """
    from mmseg_weak.models.refine import DenseCRF
    picture = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)[None].to(scores.device)
    size, work = tuple(scores.shape[1:]), (scores * allowed.to(scores)[:, None, None])[None]
    large = max(size) > max_side_px
    if large:
        smaller = [max(1, round(side * max_side_px / max(size))) for side in size]
        picture, work = (F.interpolate(x.float(), smaller, mode='area') for x in (picture, work))
    present = allowed[None].to(scores.device)
    for refiner in refiners:
        if isinstance(refiner, DenseCRF):
            work = work / work.sum(1, keepdim=True).clamp_min(1e-8)
        work = refiner(work, picture, present)
    if large:
        work = F.interpolate(work, size, mode='bilinear', align_corners=False)
    return (work / work.sum(1, keepdim=True).clamp_min(1e-8))[0]


def mask_of_scores(scores: Tensor, allowed: Tensor, seeds: bool,
                   conf_thr: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The class of each pixel and how sure it is.

    Args:
        scores: (C,H,W), the background first; it wins ties.
        allowed: (C,) bool, the classes that may win.
        seeds: whether the background's plane is a threshold: it is then as sure as the objects are weak.
        conf_thr: confidence below which a pixel becomes 255.

    Returns:
        mask (H,W) uint8, confidence (H,W) float32 in [0, 1].
    """
    limited = scores.masked_fill(~allowed.to(scores.device)[:, None, None], -torch.inf)
    conf, label = limited.max(0)
    if seeds:
        objects = limited[1:].amax(0).clamp(0, 1) if len(limited) > 1 else torch.zeros_like(conf)
        conf = torch.where(label == 0, 1 - objects, objects)
    conf = conf.clamp(0, 1)
    if conf_thr > 0:
        label = label.masked_fill(conf < conf_thr, _IGNORE)
    return label.cpu().numpy().astype(np.uint8), conf.cpu().numpy()


def label_image(labeller: Labeller, index: int, name: str, records: Records, part: str) -> None:
    """Write the mask of one image, and what else the job asks for; the mask last."""
    job = labeller.job
    scores, allowed, tags = labeller.scores(index)
    if job.scores:
        kept = [c for c in range(1, len(scores)) if bool(allowed[c])]
        save_scores(job.out / 'scores' / f'{name}.npz', scores.cpu().numpy(), kept)
    seeds = labeller.seeds and not labeller.refiners
    if labeller.refiners:
        image = decode_image(labeller.paths[index])
        if image.shape[:2] != tuple(scores.shape[1:]):
            raise DataError(f'{labeller.paths[index]} has {image.shape[1]}x{image.shape[0]} pixels and its scores '
                            f'{scores.shape[2]}x{scores.shape[1]}; take steps that cut the image out of the pipeline.')
        scores = refine_scores(scores, allowed, image, labeller.refiners)
    mask, conf = mask_of_scores(scores, allowed, seeds, job.conf_thr)
    data = mask_png(mask, labeller.palette)
    counts = np.bincount(mask.ravel(), minlength=256)
    shown = [c for c in range(1, len(labeller.classes)) if counts[c]]
    named = None if tags is None else [c + 1 for c in tags.nonzero().flatten().tolist()]
    path = labeller.paths[index]
    records.add(part, dict(
        name=name, image=path if '://' in path else os.path.abspath(path), mark=file_mark(data), shape=list(mask.shape),
        confidence=float(conf.mean()), foreground=float(counts[1:_IGNORE].sum() / mask.size),
        unknown=float(counts[_IGNORE] / mask.size), shown=[labeller.classes[c] for c in shown],
        tags=None if named is None else [labeller.classes[c] for c in named],
        not_shown=[labeller.classes[c] for c in named or [] if c not in shown]))
    write_bytes(records.mask(name), data)


def label_part(job: Job, names: dict[int, str], part: str, threads: int | None = None,
               labeller: Labeller | None = None, walk: Any = None) -> list[tuple[str, str]]:
    """Label some images: the work of one process.

    Args:
        job: what to do.
        names: of the masks, by index of the image.
        part: name of this process's file of records.
        threads: of torch; None leaves their number.
        labeller: ready to use, else it is built here.
        walk: wraps the indices, to show progress.

    Returns:
        The images that could not be labelled, each with a sentence.
    """
    if threads:
        torch.set_num_threads(threads)
    labeller = labeller or Labeller(job)
    records, broken = Records(job.out), []
    for index in (walk or iter)(list(names)):
        try:
            label_image(labeller, index, names[index], records, part)
        except (DataError, MissingFileError) as error:
            broken.append((labeller.paths[index], str(error)))
    return broken
