"""From photographs and their tags to a config that learns class maps, the first step to pseudo masks."""
import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmseg.registry import MODELS

from mmseg_weak.datasets.findings import check_images, raise_first
from mmseg_weak.datasets.pairs import list_images
from mmseg_weak.datasets.tags import ImageLabelDataset, load_tag_file
from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.visualization import voc_palette

from .checkpoints import backbone_weights, shared_weights
from .config import load_config
from .new_config import check_model, plain_values
from .pretty import format_config

__all__ = ['TAG_METHODS', 'classes_of_tags', 'config_of_tags']

TAG_METHODS = {'cam': 'cam/cam_mobilenetv2_1xb8-300_coco-mini'}
_CPU = dict(side=320, crop=256, batch=8, iters=1000)
_GPU = dict(side=512, crop=384, batch=16, iters=4000)
_NOTES = dict(model='The classifier whose class maps become masks; `seed` says how.',
              train_dataloader='Images and their tags, without every fifth, which `val_dataloader` holds out.',
              train_eval_dataloader='All images: what `mmseg-weak pseudo-label` labels.',
              optim_wrapper='Learning rate and length.')


def classes_of_tags(images: str, tags: str) -> list[str]:
    """Class names that a tag file or folder names use, in alphabetical order after the background.

    Raises:
        DataError: there is none, or an image lies in no class's folder.
    """
    if tags == 'folders':
        names = {osp.dirname(name).replace('\\', '/').rsplit('/', 1)[-1] for name in list_images(images)}
        if '' in names:
            raise DataError(f'some images lie in {images} itself; with --tags folders each lies in a folder named '
                            f'after its class.')
    else:
        values = list(load_tag_file(tags).values())
        vectors = [value for value in values if isinstance(value, np.ndarray)]
        if vectors:
            names = {f'class_{i + 1:02d}' for i in range(len(vectors[0]))}
        else:
            found = {str(tag) for value in values for tag in ([value] if isinstance(value, (str, int)) else value)}
            if found and all(name.isdigit() for name in found):
                raise ConfigError(f'the tags in {tags} are numbers up to {max(map(int, found))}; give the names of all '
                                  f'classes, the background first (--classes background,...).')
            names = found
    names = sorted(names - {'background'})
    if not names:
        raise DataError(f'{tags} names no class: every image is without tags.')
    return ['background', *names]


def config_of_tags(images: str, tags: str, method: str, classes: Sequence[str] | None, weights: str | Path | None,
                   iters: int | None, seed: int, gpu: bool) -> tuple[str, list[str], list[str]]:
    """The text of a config, what to know about it, and the images.

    Args:
        images: folder.
        tags: file, or 'folders'.
        method: of ``TAG_METHODS``.
        classes: all names, the background first; those of the tags by default.
        weights: ImageNet weights of MobileNetV2 in mmseg's names; from scratch without.
        iters: length.
        seed: of the training.
        gpu: whether to choose for a GPU.

    Raises:
        ConfigError: a method that needs more than tags.
        DataError, MissingFileError: of images and tags.
    """
    if method not in TAG_METHODS:
        raise ConfigError(f'{method} is not written from tags alone; take --method {", ".join(TAG_METHODS)}, or one of '
                          f'its configs as the pattern of your own (`mmseg-weak list {method}`).')
    choice = _GPU if gpu else _CPU
    names = list(classes) if classes else classes_of_tags(images, tags)
    where = str(Path(images).resolve())
    given = tags if tags == 'folders' else str(Path(tags).resolve())
    palette = voc_palette(len(names))
    dataset = ImageLabelDataset(images=where, tags=given, classes=names)
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    labels = np.array([dataset.get_data_info(i)['gt_image_label'] for i in range(len(dataset))])
    infos, found = check_images(paths, len(paths))
    raise_first(found)
    if len(paths) < 5:
        raise DataError(f'{images} holds {len(paths)} images; give at least 5, better 100.')
    cfg = load_config(TAG_METHODS[method])
    size = (choice['crop'], choice['crop'])
    resize = [dict(type='Resize', scale=(choice['side'], choice['side']), keep_ratio=True)]
    if max(max(info.width, info.height) for info in infos.values()) <= choice['side']:
        resize = []
    train_steps = [dict(type='LoadImage'), *resize, dict(type='RandomRescale', ratio_range=(0.64, 1.28)),
                   dict(type='RandomCrop', crop_size=size), dict(type='RandomFlipFields', prob=0.5),
                   dict(type='PackSemiInputs')]
    test_steps = [dict(type='LoadImage'), *resize, dict(type='PackSemiInputs')]
    files = dict(type='ImageLabelDataset', images=where, tags=given, classes=names, palette=palette)
    length = iters or choice['iters'] * (1 if weights or gpu else 2)
    model = plain_values(cfg.model) | dict(num_classes=len(names))
    model['backbone']['init_cfg'] = None
    if weights:
        have, model['backbone']['init_cfg'] = backbone_weights(weights)
        share = shared_weights(MODELS.build(model['backbone'] | dict(init_cfg=None)), have)
        if share < 0.9:
            raise ConfigError(f"weights {weights} hold {100 * share:.0f} % of {model['backbone']['type']}, the "
                              f"backbone of {TAG_METHODS[method]}; give ImageNet weights of it in mmseg's names.")
    model['backbone']['norm_eval'] = bool(weights)
    model['data_preprocessor']['size'] = size
    model['test_cfg'] = dict(model.get('test_cfg') or {}, tag_scores=True)
    loader = dict(batch_size=1, num_workers=1, sampler=dict(type='DefaultSampler', shuffle=False))
    held_out = loader | dict(dataset=dict(files, subset=dict(every=5), pipeline=test_steps, test_mode=True))
    kept = ('custom_imports', 'default_scope', 'runner_type', 'model_wrapper_cfg', 'env_cfg', 'vis_backends',
            'visualizer', 'log_processor', 'log_level', 'load_from', 'resume')
    runtime = {key: plain_values(cfg[key]) for key in kept if key in cfg}
    sections = {key: runtime.pop(key) for key in ('custom_imports', 'default_scope')}
    hooks = plain_values(cfg.default_hooks)
    hooks['checkpoint'].update(interval=max(1, length // 4), max_keep_ckpts=2)
    train_set = dict(type='SeededDataset', dataset=dict(files, subset=dict(every=5, complement=True),
                                                        pipeline=train_steps))
    sections.update(
        randomness=dict(seed=seed), model=model,
        train_dataloader=dict(batch_size=choice['batch'], num_workers=2, persistent_workers=True,
                              sampler=dict(type='RunSampler', batch_size=choice['batch']), dataset=train_set),
        train_eval_dataloader=loader | dict(dataset=dict(files, pipeline=test_steps, test_mode=True)),
        val_dataloader=held_out, test_dataloader=held_out, val_evaluator=dict(type='TagMetric'),
        test_evaluator=dict(type='TagMetric'), optim_wrapper=plain_values(cfg.optim_wrapper),
        param_scheduler=[dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=length, by_epoch=False)],
        train_cfg=dict(type='WeakIterTrainLoop', max_iters=length, val_interval=max(1, length // 4)),
        val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'), default_hooks=hooks,
        custom_hooks=plain_values(cfg.get('custom_hooks') or []), **runtime)
    check_model(model, method)
    counts = ', '.join(f'{name} {count}' for name, count in zip(names[1:], labels.sum(0).tolist()))
    said = [f'{len(paths)} images, {int((labels.sum(1) == 0).sum())} of them without any tag. Images with each tag: '
            f'{counts}.',
            f'The network starts from {weights}.' if weights else
            'The network starts from random weights, and class maps need a good classifier: with fewer than some '
            'thousand images give ImageNet weights (--weights FILE).',
            f'{length} iterations of {choice["batch"]} crops of {size[0]} px, chosen for '
            f'{"a GPU" if gpu else "one CPU"}.']
    head = (f'{method} on {len(paths)} images with tags of {len(names) - 1} classes; written by `mmseg-weak new`, '
            f'change what you like.\nAfter training: mmseg-weak pseudo-label {method}.py CHECKPOINT --out pseudo')
    return format_config(sections, head, _NOTES), said, paths
