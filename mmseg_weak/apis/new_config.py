"""The configs that `new` writes: a method's own settings, around a person's data and network."""
import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.visualization import voc_palette

from .checkpoints import backbone_weights, shared_weights
from .config import config_names, configs_root, load_config
from .inferencer import forget_pretrained
from .list_methods import list_methods
from .pretty import format_config

__all__ = ['Plan', 'check_model', 'from_folders', 'from_own_config', 'methods', 'plain_values']

# Long side to which images are reduced, labelled images a batch, iterations. CPU: some minutes on two cores.
_CPU = dict(side=256, batch=4, iters=600)
_GPU = dict(side=768, batch=8, iters=20000)
_TOY_BATCH = 4  # labelled images in a batch of configs/_base_/datasets/toyworld.py
_BACKBONES = dict(MobileNetV2='_base_/models/mobilenetv2_light.py', ResNetV1c='_base_/models/deeplabv3plus_r50-d16.py')
_KEPT = ('custom_imports', 'default_scope', 'runner_type', 'model_wrapper_cfg', 'env_cfg', 'vis_backends', 'visualizer',
         'log_processor', 'log_level', 'load_from', 'resume')


@dataclass
class Plan:
    """What a config from folders is made of.

    Attributes:
        folder: of the project, where the list files lie.
        method: slug.
        classes: names.
        palette: of palette masks, None otherwise.
        size: median (width, height) of the images.
        labeled: number of labelled images to train on.
        unlabeled: number of unlabelled images.
        held_out: names of the images held out.
        weights: of the backbone, None for scratch.
        iters: length, None to choose.
        seed: of the training.
        gpu: whether to choose for a GPU.
    """
    folder: Path
    method: str
    classes: list[str]
    palette: list[list[int]] | None
    size: tuple[int, int]
    labeled: int
    unlabeled: int
    held_out: list[str]
    weights: str | Path | None
    iters: int | None
    seed: int
    gpu: bool


def plain_values(value: Any) -> Any:
    """Config values as plain dicts and lists, copied."""
    if isinstance(value, dict):
        return {
            key: plain_values(item)
            for key, item in (value.to_dict() if isinstance(value, ConfigDict) else value).items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(plain_values(item) for item in value)
    return copy.deepcopy(value)


def methods() -> dict[str, str]:
    """What ``--method`` takes, to the config it takes the settings from.

    That is every ToyWorld config of a method that learns from masks, under its own name without ``_toyworld``, and
    under the name of its folder where it is the folder's first.
    """
    found: dict[str, str] = {}
    needs = {model.name: model.supervision for method in list_methods() for model in method.models}
    toys = sorted(name for name in config_names() if name.endswith('_toyworld')
                  and 'masks' in needs.get(name.split('/')[-1], ''))
    for name in toys:
        slug, leaf = name.split('/')[0], name.split('/')[-1].removesuffix('_toyworld')
        found[leaf] = name
        if leaf.replace('-', '_') == slug or slug not in found:
            found[slug] = name
    return found


def _template(method: str) -> Config:
    """The method's own settings.

    Raises:
        ConfigError: the method starts from networks trained before, which `new` cannot know.
    """
    toy = load_config(methods()[method])
    needs = [key for key in toy.model if key.endswith('_checkpoint')]
    if needs:
        raise ConfigError(f'{method} starts from networks that were trained before ({", ".join(needs)}); take its '
                          f'config '
                          f'{methods()[method]} as the pattern of your own')
    return toy


def from_folders(plan: Plan) -> tuple[str, list[str]]:
    """A config for list files ``labeled.txt``, ``validation.txt`` and ``unlabeled.txt`` in the project's folder.

    Returns:
        The text, and what to know about it.
    """
    choice = _GPU if plan.gpu else _CPU
    toy = _template(plan.method)
    backbone, said = _backbone(plan)
    network = plain_values(load_config(configs_root() / _BACKBONES[backbone]).model)
    network['backbone']['init_cfg'] = backbone_weights(plan.weights)[1] if plan.weights else None
    network.pop('data_preprocessor', None)
    network.pop('pretrained', None)
    _set_classes(network, len(plan.classes))
    scale, crop = _sizes(plan.size, choice['side'])
    iters = plan.iters or choice['iters'] * (1 if plan.weights or plan.gpu else 2)
    train_steps = [dict(type='LoadImage'), dict(type='LoadMask'), *_resize(scale),
                   dict(type='RandomRescale', ratio_range=(0.5, 2.0)), dict(type='RandomCrop', crop_size=crop),
                   dict(type='RandomFlipFields', prob=0.5), dict(type='PackSemiInputs')]
    test_steps = [dict(type='LoadImage'), *_resize(scale), dict(type='LoadMask'), dict(type='PackSemiInputs')]
    names = dict(classes=plan.classes, palette=plan.palette or voc_palette(len(plan.classes)))

    def data(kind: str, name: str, steps: list, **more) -> dict:
        return dict(type=kind, list_file=str(plan.folder / f'{name}.txt'), **names, pipeline=steps, **more)

    labeled = data('FolderSegDataset', 'labeled', train_steps)
    if plan.method == 'supervised':
        train_set, sampler, batch = dict(type='SeededDataset',
                                         dataset=labeled), dict(type='RunSampler'), choice['batch']
    else:
        train_set = dict(type='SemiDataset',
                         labeled=labeled,
                         unlabeled=data('UnlabeledDataset', 'unlabeled', train_steps))
        sampler = plain_values(toy.train_dataloader.sampler)
        batch = _batch(sampler, choice['batch'])
    sampler['batch_size'] = batch
    validation = dict(batch_size=1, num_workers=1, sampler=dict(type='DefaultSampler', shuffle=False),
                      dataset=data('FolderSegDataset', 'validation', test_steps, test_mode=True))
    runtime = {key: plain_values(toy[key]) for key in _KEPT if key in toy}
    sections = {key: runtime.pop(key) for key in ('custom_imports', 'default_scope')}
    sections.update(
        randomness=dict(seed=plan.seed),
        model=_model(toy, network, dict(size=crop), len(plan.classes)),
        train_dataloader=dict(batch_size=batch, num_workers=2, persistent_workers=True, sampler=sampler,
                              dataset=train_set),
        val_dataloader=validation, test_dataloader=plain_values(validation),
        val_evaluator=dict(type='WeakIoUMetric', iou_metrics=['mIoU']),
        test_evaluator=dict(type='WeakIoUMetric', iou_metrics=['mIoU']),
        optim_wrapper=_optimizer(toy, bool(plan.weights)),
        param_scheduler=[dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=iters, by_epoch=False)],
        **_loops(toy, iters), default_hooks=_hooks(toy, iters),
        custom_hooks=plain_values(toy.get('custom_hooks') or []), **runtime)
    check_model(sections['model'], plan.method)
    said.append(f'Images are {"kept at their size" if scale is None else f"reduced to a long side of {scale[0]} px"}, '
                f'crops are {crop[1]}x{crop[0]}, {iters} iterations, chosen for {"a GPU" if plan.gpu else "one CPU"}.')
    head = (f'{plan.method} on {plan.labeled} labelled and {plan.unlabeled} unlabelled images; written by `mmseg-weak '
            f'new`, change what you like.\nHeld out for validation (validation.txt): {", ".join(plan.held_out)}.')
    return format_config(sections, head, _NOTES), said


_NOTES = dict(model='The method, and inside it `segmentor`: the network; any EncoderDecoder of mmseg will do.',
              train_dataloader='Labelled and unlabelled images; paths are in the list files beside this config.',
              optim_wrapper='Learning rate and length.', default_hooks='How it runs: logs, checkpoints, pictures.')


def from_own_config(config: str | Path, unlabeled: str, method: str, iters: int | None,
                    seed: int) -> tuple[str, list[str]]:
    """An own mmseg config made semi-supervised.

    Returns:
        The text, and what to know about it.

    Raises:
        ConfigError: it has no network or training part, or counts in epochs.
    """
    own, toy = load_config(config), _template(method)
    for key in ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper'):
        if not own.get(key):
            raise ConfigError(f'{config} has no {key}; give a whole mmseg config, one that tools/train.py runs')
    if 'segmentor' in own.model:
        raise ConfigError(f'model.type of {config} is {own.model.type}, which is semi-supervised already; give the '
                          f'config '
                          f'of the plain network')
    length = iters or own.train_cfg.get('max_iters')
    if not length:
        raise ConfigError(f'train_cfg of {config} counts in epochs (max_epochs={own.train_cfg.get("max_epochs")}); a '
                          f'semi-supervised run counts iterations, give their number (--iters N)')
    network = plain_values(own.model)
    prepare = network.pop('data_preprocessor', None) or plain_values(own.get('data_preprocessor') or {})
    labeled = plain_values(own.train_dataloader.dataset)
    while 'dataset' in labeled and 'pipeline' not in labeled:  # RepeatDataset and the like
        labeled = labeled['dataset']
    if 'pipeline' not in labeled:
        raise ConfigError(f'train_dataloader.dataset of {config} is {labeled.get("type")}, which has no pipeline of '
                          f'its '
                          f'own; give a config with one dataset')
    crop = _crop(prepare, labeled['pipeline'], config)
    sampler = plain_values(toy.train_dataloader.sampler)
    batch = _batch(sampler, own.train_dataloader.get('batch_size', 4))
    sampler['batch_size'] = batch
    steps = _geometry(labeled['pipeline'])
    meta = labeled.get('metainfo') or {}
    plain = dict(type='UnlabeledDataset', images=unlabeled, pipeline=steps)
    plain.update({key: meta[key] for key in ('classes', 'palette') if meta.get(key)})
    classes = int(_head(network).get('num_classes', 0))
    settings = dict(size=crop, **{key: prepare[key] for key in ('mean', 'std', 'bgr_to_rgb', 'seg_pad_val', 'test_cfg')
                                  if prepare.get(key) is not None})
    sections = plain_values(own._cfg_dict)
    for key in ('lift', 'work_dir', 'launcher', 'data_preprocessor'):
        sections.pop(key, None)
    imports = sections.get('custom_imports') or {}
    names = [*dict.fromkeys([*([imports['imports']] if isinstance(imports.get('imports'), str)
                               else imports.get('imports', [])), 'mmseg_weak'])]
    loader = sections['train_dataloader'] | dict(batch_size=batch, sampler=sampler,
                                                 dataset=dict(type='SemiDataset', labeled=labeled, unlabeled=plain))
    sections.update(custom_imports=dict(imports=names, allow_failed_imports=False), default_scope='mmseg',
                    runner_type='WeakRunner', model_wrapper_cfg=dict(type='mmseg.WeakDDP'),
                    randomness=sections.get('randomness') or dict(seed=seed),
                    model=_model(toy, network, settings, classes), train_dataloader=loader,
                    custom_hooks=[*sections.get('custom_hooks', []), *plain_values(toy.get('custom_hooks') or [])])
    sections['train_cfg'] = dict(type='WeakIterTrainLoop', max_iters=length,
                                 val_interval=min(own.train_cfg.get('val_interval') or length, length)
                                 if own.train_cfg.get('max_iters') else max(1, length // 10))
    hooks = sections.setdefault('default_hooks', {})
    hooks.setdefault('counter_seed', dict(type='CounterSeedHook'))
    for key in ('val_evaluator', 'test_evaluator'):
        each = sections.get(key)
        if isinstance(each, dict) and str(each.get('type')).rsplit('.', 1)[-1] == 'IoUMetric':
            each['type'] = 'WeakIoUMetric'
    head = (f'{Path(str(config)).name} made semi-supervised with {method}; written by `mmseg-weak new`, change what '
            f'you '
            f'like.')
    order = ['custom_imports', 'default_scope', 'model', 'train_dataloader']
    sections = {key: sections[key] for key in [*order, *(k for k in sections if k not in order)]}
    said = [f'Network, labelled data, schedule and evaluation are those of {config}; a batch is {batch} images instead '
            f'of {own.train_dataloader.get("batch_size", 4)}, the others unlabelled.']
    return format_config(sections, head, _NOTES), said


def _crop(prepare: dict, steps: list[dict], config) -> tuple[int, int]:
    for value in (prepare.get('size'), *(step.get('crop_size') for step in steps)):
        if value:
            return (value, value) if isinstance(value, int) else tuple(value)
    raise ConfigError(f'{config} has neither model.data_preprocessor.size nor a RandomCrop in its training pipeline; '
                      f'add '
                      f'one, since labelled and unlabelled images of a batch need one size')


def _geometry(steps: list[dict]) -> list[dict]:
    """What of a labelled pipeline also holds for images without masks; colours are the views' business."""
    kept = []
    for step in steps:
        name = str(step['type']).rsplit('.', 1)[-1]
        if name in ('Resize', 'RandomResize', 'RandomRescale', 'RandomChoiceResize', 'ResizeShortestEdge'):
            kept.append(plain_values(step))
        elif name == 'RandomCrop':
            kept.append(dict(type='RandomCrop', crop_size=step['crop_size']))
        elif name in ('RandomFlip', 'RandomFlipFields'):
            kept.append(dict(type='RandomFlipFields', prob=step.get('prob') or 0.5))
    return [dict(type='LoadImage'), *kept, dict(type='PackSemiInputs')]


def _model(toy: Config, network: dict, settings: dict, classes: int) -> dict:
    """The method's model with another network, crop and number of classes."""
    model = plain_values(toy.model)
    prepare = dict(model.get('data_preprocessor') or dict(type='MultiBranchDataPreprocessor')) | settings
    if 'segmentor' not in model:  # supervised only
        return network | dict(data_preprocessor=prepare)
    for key, value in model.items():
        if isinstance(value, dict) and str(value.get('type', '')).endswith('EncoderDecoder'):
            model[key] = plain_values(network)
    _set_classes({key: value for key, value in model.items() if key != 'segmentor'}, classes)
    model['data_preprocessor'] = prepare
    return model


def _head(network: dict) -> dict:
    head = network.get('decode_head') or {}
    return head[-1] if isinstance(head, list) else head


def _set_classes(node: Any, classes: int) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == 'num_classes':
                node[key] = classes
            else:
                _set_classes(value, classes)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _set_classes(value, classes)


def _batch(sampler: dict, labeled: int) -> int:
    """Size of a batch with ``labeled`` images of each 8 in the ToyWorld config's supervised batch."""
    return sampler['batch_size'] * labeled // _TOY_BATCH


def _sizes(size: tuple[int, int], side: int) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """Scale to reduce images to (None: they are small enough) and crop (height, width), in multiples of 8."""
    share = min(1.0, side / max(size))
    width, height = (max(32, round(value * share) // 8 * 8) for value in size)
    return ((side, side) if share < 1 else None), (height, width)


def _resize(scale: tuple[int, int] | None) -> list[dict]:
    return [dict(type='Resize', scale=scale, keep_ratio=True)] if scale else []


def _optimizer(toy: Config, pretrained: bool) -> dict:
    """SGD around the method's own wrapper; a pretrained backbone learns at a tenth of the head's rate."""
    wrapper = {
        key: value
        for key, value in plain_values(toy.optim_wrapper).items() if key not in ('optimizer', 'paramwise_cfg')
    }
    rate = 0.01 if pretrained else 0.05
    wrapper['optimizer'] = dict(type='SGD', lr=rate, momentum=0.9, weight_decay=1e-4)
    if pretrained:
        wrapper['paramwise_cfg'] = dict(custom_keys=dict(decode_head=dict(lr_mult=10.0)))
    return wrapper


def _loops(toy: Config, iters: int) -> dict:
    loop = plain_values(toy.train_cfg) | dict(max_iters=iters, val_interval=max(1, iters // 4))
    return dict(train_cfg=loop, val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'))


def _hooks(toy: Config, iters: int) -> dict:
    hooks = plain_values(toy.default_hooks)
    if 'checkpoint' in hooks:
        hooks['checkpoint'].update(interval=max(1, iters // 4), max_keep_ckpts=2)
    if 'logger' in hooks:
        hooks['logger']['interval'] = max(1, min(50, iters // 12))
    return hooks


def check_model(model: dict, method: str) -> None:
    """Build the model once, so that a config that cannot train is never written."""
    trial = plain_values(model)
    forget_pretrained(trial)
    try:
        MODELS.build(trial)
    except (TypeError, KeyError, AssertionError, AttributeError) as error:
        raise ConfigError(f'{method} does not go with this network ({error}); take another method, or start from one '
                          f'of '
                          f'its own configs (`mmseg-weak list {method}`)') from error


def _backbone(plan: Plan) -> tuple[str, list[str]]:
    """Type of the backbone: the one that the weights fit, else by the machine."""
    default = 'ResNetV1c' if plan.gpu else 'MobileNetV2'
    if plan.weights is None:
        return default, [f'The backbone is {default} and starts from random weights, so it needs longer and ends '
                         f'lower; '
                         f'--weights FILE starts it from ImageNet.']
    have, shares = backbone_weights(plan.weights)[0], {}
    for name, base in _BACKBONES.items():
        settings = plain_values(load_config(configs_root() / base).model.backbone)
        shares[name] = shared_weights(MODELS.build(settings | dict(init_cfg=None)), have)
    best = max(shares, key=shares.get)
    if shares[best] < 0.9:
        raise ConfigError(f'weights {plan.weights} fit neither backbone ('
                          + ', '.join(f'{100 * share:.0f} % of {name}' for name, share in shares.items())
                          + '); give ImageNet weights of MobileNetV2 or ResNetV1c-50 in mmseg\'s names, or a '
                          'checkpoint of a network with one of them')
    return best, [f'The backbone is {best} and starts from {plan.weights}.']
