"""Turn a semi-supervised checkpoint into a plain mmseg model."""
import copy
import io
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.files import write_bytes, write_text

from .checkpoints import load_weights, read_checkpoint, state_dict_of
from .config import load_config
from .inferencer import build_model, config_meta, forget_pretrained
from .pretty import format_config

__all__ = ['export_student']

_TEST_STEPS = ('LoadImageFromFile', 'Resize', 'Pad', 'LoadAnnotations', 'PackSegInputs')


def export_student(config: str | Path, checkpoint: str | Path, out: str | Path, which: str = 'student',
                   overwrite: bool = False) -> tuple[Path, Path]:
    """Write the network of a semi-supervised run as a checkpoint and config that need no plugin.

    The checkpoint holds weights, class names and palette and nothing else; the config names mmseg's own types alone
    and works with mmseg's ``init_model``, ``inference_model`` and ``tools/test.py``. Losses of ours become
    CrossEntropyLoss there, since inference does not need them.

    Args:
        config: config of the run, file or name.
        checkpoint: checkpoint of the run.
        out: folder for ``<which>.pth`` and ``<which>.py``.
        which: 'student', or 'teacher' where the method has one.
        overwrite: replace what is there.

    Returns:
        The config and the checkpoint written.

    Raises:
        ConfigError: the network itself uses types of this plugin, or ``which`` is unknown.
        CheckpointError: the checkpoint has no such network or does not fit.
    """
    if which not in ('student', 'teacher'):
        raise ConfigError(f"which is {which!r}; give 'student' or 'teacher'")
    out = Path(out)
    files = out / f'{which}.py', out / f'{which}.pth'
    there = [str(file) for file in files if file.exists()]
    if there and not overwrite:
        raise ConfigError(f'{there[0]} is there already; give another folder or say overwrite')
    cfg = load_config(config)
    init_default_scope('mmseg')
    content = read_checkpoint(checkpoint)
    weights = state_dict_of(content)
    model, prefix = _network(cfg, which, weights, checkpoint)
    weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    plain = Config(dict(model=model, default_scope='mmseg'))
    network = build_model(plain)
    load_weights(network, dict(state_dict=weights), checkpoint)
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    meta = (content.get('meta') or {}).get('dataset_meta') or config_meta(cfg)
    classes = [str(name) for name in meta.get('classes') or
               [f'class_{index}' for index in range(network.num_classes)]]
    palette = [[int(value) for value in colour] for colour in meta.get('palette') or []]
    text = _config_text(cfg, model, dict(classes=classes, palette=palette), config, checkpoint, which)
    stream = _bytes(dict(meta=dict(dataset_meta=dict(classes=classes, palette=palette)), state_dict=weights))
    write_text(files[0], text)
    write_bytes(files[1], stream)
    return files


def _bytes(value: dict) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _network(cfg: Config, which: str, weights: dict, checkpoint) -> tuple[dict, str]:
    """Config of the plain segmentor, and the prefix of its weights in the checkpoint."""
    source = cfg.get('model') or {}
    kind = MODELS.get(str(source.get('type')))
    segmentor = kind.plain_config(source) if hasattr(kind, 'plain_config') else source.get('segmentor')
    if segmentor is None:  # a supervised run: already a plain network
        if which == 'teacher':
            raise ConfigError(f'model.type is {source.get("type")}, which has no teacher; export the student')
        segmentor, prefix = source, ''
    else:
        prefix = 'student.' if which == 'student' else 'teacher.module.'
    if prefix and not any(key.startswith(prefix) for key in weights):
        raise CheckpointError(f'{checkpoint} holds no {which} (no weight starts with {prefix!r}); '
                              + ("export which='student'" if which == 'teacher'
                                 else 'give the checkpoint of a semi-supervised run'))
    model = copy.deepcopy(segmentor.to_dict() if isinstance(segmentor, ConfigDict) else dict(segmentor))
    forget_pretrained(model)
    for key in ('train_cfg', 'init_cfg'):
        model.pop(key, None)
    model['data_preprocessor'] = _preprocessor(source.get('data_preprocessor') or
                                               segmentor.get('data_preprocessor') or {})
    _plain_losses(model)
    foreign = sorted(set(_ours(model)))
    if foreign:
        raise ConfigError(f'the network uses {", ".join(foreign)} of mmseg_weak, so it cannot run without the plugin; '
                          f'keep it and use `mmseg-weak predict`')
    return model, prefix


def _preprocessor(ours: dict) -> dict:
    plain = dict(type='SegDataPreProcessor')
    for key in ('mean', 'std', 'bgr_to_rgb', 'pad_val', 'seg_pad_val', 'test_cfg'):
        if ours.get(key) is not None:
            plain[key] = copy.deepcopy(ours[key])
    if 'MultiBranch' in str(ours.get('type')):  # its own defaults, written out
        for key, value in dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
                               seg_pad_val=255).items():
            plain.setdefault(key, value)
    return plain


def _plain_losses(node) -> None:
    """Replace losses that only we register."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.startswith('loss') and any(True for _ in _ours(value)):
                node[key] = dict(type='CrossEntropyLoss', loss_weight=1.0)
            else:
                _plain_losses(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _plain_losses(value)


def _ours(node):
    """Names of registered types in a config that live in this package."""
    if isinstance(node, dict):
        kind = node.get('type')
        found = MODELS.get(kind) if isinstance(kind, str) else kind
        if getattr(found, '__module__', '').split('.')[0] == 'mmseg_weak':
            yield found.__name__
        for value in node.values():
            yield from _ours(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _ours(value)


def _config_text(cfg: Config, model: dict, metainfo: dict, config, checkpoint, which: str) -> str:
    """A config of mmseg's own types: the network, its test pipeline, a dataset to fill in."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    dataset = loader.get('dataset') or {}
    steps = dataset.get('pipeline') or cfg.get('test_pipeline') or []
    steps = [step.to_dict() if isinstance(step, ConfigDict) else dict(step) for step in steps]
    resize = [step for step in steps if step['type'] in _TEST_STEPS[1:3]]
    labels = dict(type='LoadAnnotations')
    if dataset.get('reduce_zero_label'):
        labels['reduce_zero_label'] = True
    pipeline = [dict(type='LoadImageFromFile'), *resize, labels, dict(type='PackSegInputs')]
    prefix = dataset.get('data_prefix') or {}
    data = dict(type='BaseSegDataset', metainfo=metainfo, pipeline=pipeline,
                data_root=dataset.get('data_root') or 'data',
                data_prefix=dict(img_path=prefix.get('img_path', 'images'),
                                 seg_map_path=prefix.get('seg_map_path', 'masks')))
    for key in ('img_suffix', 'seg_map_suffix', 'reduce_zero_label'):
        if isinstance(dataset.get(key), (str, bool)):
            data[key] = dataset[key]
    scopes = sorted({kind.split('.')[0] for kind in _types(model) if '.' in kind} - {'mmseg', 'mmengine'})
    sections = dict(default_scope='mmseg')
    if scopes:
        sections['custom_imports'] = dict(imports=[f'{scope}.models' for scope in scopes],
                                          allow_failed_imports=False)
    sections.update(model=model, test_pipeline=pipeline,
                    test_dataloader=dict(batch_size=1, num_workers=2, dataset=data,
                                         sampler=dict(type='DefaultSampler', shuffle=False)),
                    test_cfg=dict(type='TestLoop'), test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']))
    head = (f'The {which} of {Path(str(config)).name} ({Path(str(checkpoint)).name}), plain mmseg: nothing else is '
            f'needed to run it.\nFor tools/test.py set data_root and data_prefix of test_dataloader.')
    return format_config(sections, head)


def _types(node):
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type']
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _types(value)
