"""From folders, or from an own config, to a config that trains."""
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from PIL import Image

import mmseg_weak  # noqa: F401
from mmseg_weak.apis.new import hold_out, new_project
from mmseg_weak.apis.new_config import methods
from mmseg_weak.apis.pretty import format_config
from mmseg_weak.datasets.lists import Pair
from mmseg_weak.errors import ConfigError, DataError


def folders(root, count=10, size=(40, 60), plain=5, values=(0, 1, 2), rgb=None):
    """Images, masks and unlabelled images; every mask holds all values, in stripes."""
    rng = np.random.default_rng(0)
    for name, number in (('images', count), ('unlabeled', plain)):
        (root / name).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).save(root / name / f'{name}_{i}.jpg')
    (root / 'masks').mkdir()
    stripes = np.array(values, np.uint8)[np.arange(size[1]) * len(values) // size[1]]
    mask = np.repeat(stripes[None], size[0], 0)
    for i in range(count):
        shown = mask if rgb is None else np.array(rgb, np.uint8)[mask]
        Image.fromarray(shown).save(root / 'masks' / f'images_{i}.png')
    return {name: str(root / name) for name in ('images', 'masks', 'unlabeled')}


def build(config):
    init_default_scope('mmseg')
    cfg = Config.fromfile(str(config))
    return cfg, DATASETS.build(cfg.train_dataloader.dataset), MODELS.build(cfg.model)


def test_default_project(tmp_path):
    where = folders(tmp_path)
    (tmp_path / 'unlabeled/bad.jpg').write_bytes(b'no')
    project = new_project(tmp_path / 'p', **where, device='cpu')
    cfg, dataset, model = build(project.config)
    assert dataset.source_lengths == [8, 5] and model.num_classes == 3
    assert len(project.validation) == 2 and not set(project.validation) & set(project.labeled)
    assert cfg.train_dataloader.batch_size == 12 and cfg.train_cfg.max_iters == 1200
    assert len(DATASETS.build(cfg.val_dataloader.dataset)) == 2
    names = ', '.join(path.rsplit('/', 1)[1] for path in project.validation)
    assert (f'2 of 10 masks are held out for validation and never trained on: {names}.') in project.messages
    assert f'# Held out for validation (validation.txt): {names}.' in project.config.read_text()
    assert project.messages[-1] == ('Images are kept at their size, crops are 56x40, 1200 iterations, chosen for one '
                                    'CPU.')
    assert project.messages[-2] == ('The backbone is MobileNetV2 and starts from random weights, so it needs longer '
                                    'and ends '
                                    'lower; --weights FILE starts it from ImageNet.')
    assert 'unlabelled images cannot be read' in project.messages[0]
    assert new_project(tmp_path / 'q', **where, device='cpu').validation == project.validation  # seeded


@pytest.mark.parametrize('method', sorted(set(methods()) - {'mgd'}))
def test_every_method_builds(tmp_path, method):
    project = new_project(tmp_path / 'p', **folders(tmp_path), method=method, device='cpu', classes=['a', 'b', 'c'])
    cfg, dataset, model = build(project.config)
    num_classes = model.num_classes if hasattr(model, 'student') else model.decode_head.num_classes
    assert num_classes == 3 and len(dataset) == (8 if method == 'supervised' else 13)
    assert cfg.train_dataloader.batch_size == {'supervised': 4, 'fst-wide': 32}.get(
        method, 4 * sum(cfg.train_dataloader.sampler.get('source_ratio', [1])))
    assert set(format_config(cfg._cfg_dict.to_dict())) > set('dict')


def test_images_without_a_mask_become_unlabelled_and_labelled_ones_never_do(tmp_path):
    where = folders(tmp_path, count=6)
    (tmp_path / 'masks/images_5.png').unlink()
    project = new_project(tmp_path / 'p', where['images'], where['masks'], unlabeled=where['images'], device='cpu')
    assert [path.rsplit('/', 1)[1] for path in project.unlabeled] == ['images_5.jpg']


def test_rgb_masks_become_indices(tmp_path):
    where = folders(tmp_path, rgb=[[9, 9, 9], [0, 0, 0], [255, 0, 0]])
    project = new_project(tmp_path / 'p', **where, device='cpu')
    assert project.messages[0] == (f'The masks are RGB; copies with class indices were written to {tmp_path}/p/masks '
                                   f'(0 = #000000, 1 = #090909, 2 = #ff0000).')
    copied = np.asarray(Image.open(tmp_path / 'p/masks/images_0.png'))
    assert copied[0, [0, 30, 59]].tolist() == [1, 0, 2]
    _, dataset, model = build(project.config)
    assert model.num_classes == 3 and set(
        dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist()) <= {0, 1, 2, 255}


@pytest.mark.parametrize('values, legend, expected', [
    ((0, 255), '0 = 0, 1 = 255', [0, 1]), ((0, 100, 200), '0 = 0, 1 = 100, 2 = 200', [0, 2])])
def test_grey_masks_become_indices(tmp_path, values, legend, expected):
    project = new_project(tmp_path / 'p', **folders(tmp_path, values=values), device='cpu')
    assert project.messages[0] == (f'The masks hold grey levels; copies with class indices were written to '
                                   f'{tmp_path}/p/'
                                   f'masks ({legend}).')
    assert np.asarray(Image.open(tmp_path / 'p/masks/images_0.png'))[0, [0, 59]].tolist() == expected


def test_smoothed_rgb_masks_are_refused(tmp_path):
    where = folders(tmp_path, count=3)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / 'masks/images_0.png')
    with pytest.raises(DataError) as error:
        new_project(tmp_path / 'p', **where, device='cpu')
    assert str(error.value) == (
        f'the RGB masks hold more than 64 colours (seen at {tmp_path}/masks/images_0.png), so the colours are no '
        f'classes: '
        f'they were smoothed or saved as JPEG. Export them as PNG without smoothing, best as class indices')
    assert not (tmp_path / 'p/unimatch.py').exists()


def test_hold_out_keeps_every_class_in_training(tmp_path):
    pairs = []
    for i in range(8):
        mask = np.zeros((4, 4), np.uint8)
        mask[0] = 7 if i == 3 else 1  # class 7 is in one mask alone
        Image.fromarray(mask).save(tmp_path / f'{i}.png')
        pairs.append(Pair(f'{i}.jpg', str(tmp_path / f'{i}.png')))
    for seed in range(20):
        train, held_out = hold_out(pairs, 0.4, seed)
        assert len(held_out) == 3 and pairs[3] in train and sorted(train + held_out) == sorted(pairs)
    with pytest.raises(DataError) as error:
        hold_out(pairs[:2], 0.2, 0)
    assert str(error.value) == ('2 images have masks, and 2 of them are needed for validation; give at least 3, better '
                                '10')


def test_errors(tmp_path):
    where = folders(tmp_path)
    cases = [
        (dict(method='unimach', **where), "there is no method 'unimach'. Did you mean unimatch, unimatch_v2, "
                                          "unimatch-v2? "
                                          "`mmseg-weak list` shows all"),
        (dict(images=where['images']), 'masks is missing: a semi-supervised method learns from some images with masks; '
                                       'give the folder of masks (--masks DIR), a mask named as its image'),
        (dict(method='mgd', **where), 'mgd starts from networks that were trained before (deep_checkpoint, '
                                      'wide_checkpoint); take its config mgd/mgd_toyworld as the pattern of your own'),
        (dict(val_ratio=1.0, **where), 'val_ratio is 1.0; give a share between 0 and 1'),
        (dict(iters=0, **where), 'iters is 0; give at least 1'),
        (dict(from_config='x.py', **where), 'images and masks come from the config that from_config names; give one or '
                                            'the other'),
        (dict(from_config='x.py'), 'from_config needs the folder of unlabelled images too; give unlabeled (--unlabeled '
                                   'DIR)'),
        (dict(images=where['images'], masks=where['masks']), 'there are no unlabelled images; give their folder '
         '(--unlabeled DIR), or take --method supervised to train on the masks alone')]
    for arguments, sentence in cases:
        with pytest.raises((ConfigError, DataError)) as error:
            new_project(tmp_path / 'p', device='cpu', **arguments)
        assert str(error.value) == sentence
    new_project(tmp_path / 'p', **where, device='cpu')
    with pytest.raises(ConfigError) as error:
        new_project(tmp_path / 'p', **where, device='cpu')
    assert str(error.value) == f'{tmp_path}/p/unimatch.py is there already; give another folder or say overwrite'


def test_foreign_weights_are_refused(tmp_path):
    import torch
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'w.pth')
    with pytest.raises(ConfigError) as error:
        new_project(tmp_path / 'p', **folders(tmp_path), device='cpu', weights=tmp_path / 'w.pth')
    assert str(error.value) == (f"weights {tmp_path}/w.pth fit neither backbone (0 % of MobileNetV2, 0 % of "
                                f"ResNetV1c); give "
                                f"ImageNet weights of MobileNetV2 or ResNetV1c-50 in mmseg's names, or a checkpoint of "
                                f'a network with one of them')


@pytest.mark.parametrize('given', ['masks', 'tags'])
@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_weights_of_a_backbone_or_of_a_whole_network_are_loaded(tmp_path, given, prefix):
    import torch
    where = folders(tmp_path)
    if given == 'tags':
        (tmp_path / 'tags.csv').write_text(''.join(f'images_{i}.jpg,cat\n' for i in range(10)))
        where = dict(images=where['images'], tags=str(tmp_path / 'tags.csv'))
    else:
        where = dict(where, method='supervised', unlabeled=None)
    project = new_project(tmp_path / 'p', **where, device='cpu')
    cfg = Config.fromfile(str(project.config))
    backbone = MODELS.build(cfg.model.backbone)
    state = {f'{prefix}{key}': torch.full_like(value, 0.5) for key, value in backbone.state_dict().items()}
    torch.save(dict(state_dict=state | {'head.classifier.weight': torch.zeros(1)}), tmp_path / 'w.pth')
    project = new_project(tmp_path / 'q', **where, device='cpu', weights=tmp_path / 'w.pth')
    started = MODELS.build(Config.fromfile(str(project.config)).model.backbone)
    started.init_weights()
    assert all((value == 0.5).all() for value in started.parameters())


def test_foreign_weights_are_refused_for_tags(tmp_path):
    import torch
    where = folders(tmp_path)
    (tmp_path / 'tags.csv').write_text(''.join(f'images_{i}.jpg,cat\n' for i in range(10)))
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'w.pth')
    with pytest.raises(ConfigError, match=r'w\.pth hold 0 % of MobileNetV2, the backbone of cam/cam_mobilenetv2'):
        new_project(tmp_path / 'p', images=where['images'], tags=str(tmp_path / 'tags.csv'), device='cpu',
                    weights=tmp_path / 'w.pth')


OWN = """
model = dict(type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True,
                           size=(32, 48), seg_pad_val=255),
    backbone=dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=dict(type='BN')),
    decode_head=dict(type='FCNHead', in_channels=64, in_index=3, channels=8, num_convs=1, concat_input=False,
                     num_classes=3, norm_cfg=dict(type='BN'), loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_dataloader = dict(batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler'), dataset=dict(
    type='BaseSegDataset', metainfo=dict(classes=['a', 'b', 'c'], palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]]),
    data_root='ROOT', data_prefix=dict(img_path='images', seg_map_path='masks'), img_suffix='.jpg', pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(60, 40), ratio_range=(0.8, 1.5), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(32, 48), cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')]))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=50, val_interval=25)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
"""


def test_from_own_config(tmp_path):
    where = folders(tmp_path)
    (tmp_path / 'own.py').write_text(OWN.replace('ROOT', str(tmp_path)))
    project = new_project(tmp_path / 'p', from_config=tmp_path / 'own.py', unlabeled=where['unlabeled'])
    cfg, dataset, model = build(project.config)
    assert dataset.source_lengths == [10, 5]
    assert cfg.optim_wrapper.optimizer.lr == 0.02 and cfg.train_cfg == dict(type='WeakIterTrainLoop', max_iters=50,
                                                                           val_interval=25)
    assert cfg.train_dataloader.batch_size == 6 and cfg.val_evaluator.type == 'WeakIoUMetric'
    assert model.data_preprocessor.mean.flatten().tolist() == [1, 2, 3] and model.data_preprocessor.size == (32, 48)
    plain = dataset[12]
    assert 'gt_sem_seg' not in plain['data_samples'] and plain['inputs'].shape[-2:] <= (32, 48)
    assert [step['type'] for step in cfg.train_dataloader.dataset.unlabeled.pipeline] == [
        'LoadImage', 'RandomResize', 'RandomCrop', 'RandomFlipFields', 'PackSemiInputs']
    assert 'a batch is 6 images instead of 2' in project.messages[-1]


def test_from_own_config_in_epochs(tmp_path):
    where = folders(tmp_path)
    text = OWN.replace('ROOT', str(tmp_path)).replace("type='IterBasedTrainLoop', max_iters=50, val_interval=25",
                                                      "type='EpochBasedTrainLoop', max_epochs=3")
    (tmp_path / 'own.py').write_text(text)
    with pytest.raises(ConfigError) as error:
        new_project(tmp_path / 'p', from_config=tmp_path / 'own.py', unlabeled=where['unlabeled'])
    assert str(error.value) == (f'train_cfg of {tmp_path}/own.py counts in epochs (max_epochs=3); a semi-supervised '
                                f'run counts '
                                f'iterations, give their number (--iters N)')
    project = new_project(tmp_path / 'p', from_config=tmp_path / 'own.py', unlabeled=where['unlabeled'], iters=20)
    assert Config.fromfile(str(project.config)).train_cfg == dict(type='WeakIterTrainLoop',
                                                                  max_iters=20,
                                                                  val_interval=2)


def test_from_tags(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / 'photos').mkdir()
    for i in range(10):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(tmp_path / f'photos/{i}.jpg')
    lines = [f'{i}.jpg,{"dog;cat" if i % 2 else "cat"}' for i in range(9)] + ['9.jpg,']
    (tmp_path / 'tags.csv').write_text('\n'.join(lines))
    where = dict(images=str(tmp_path / 'photos'), tags=str(tmp_path / 'tags.csv'), device='cpu')
    project = new_project(tmp_path / 'p', **where)
    cfg, dataset, model = build(project.config)
    assert type(model).__name__ == 'CAMClassifier' and model.num_classes == 3 and len(dataset) == 8
    assert len(DATASETS.build(cfg.train_eval_dataloader.dataset)) == 10 and project.method == 'cam'
    assert len(DATASETS.build(cfg.val_dataloader.dataset)) == 2 and cfg.val_evaluator.type == 'TagMetric'
    assert project.messages[0] == ('10 images, 1 of them without any tag. Images with each tag: cat 9, dog 4.')
    (tmp_path / 'numbers.csv').write_text('\n'.join(f'{i}.jpg,{i % 2 + 1}' for i in range(10)))
    with pytest.raises(ConfigError, match=r'are numbers up to 2; give the names of all classes'):
        new_project(tmp_path / 'q', **{**where, 'tags': str(tmp_path / 'numbers.csv')})
    with pytest.raises(ConfigError, match='unimatch is not written from tags alone; take --method cam'):
        new_project(tmp_path / 'q', method='unimatch', **where)
    with pytest.raises(ConfigError, match='cam learns from tags; give them'):
        new_project(tmp_path / 'q', images=where['images'], masks='m', method='cam')
    with pytest.raises(ConfigError, match='tags go with images alone'):
        new_project(tmp_path / 'q', masks='m', **where)
    with pytest.raises(DataError, match='photos itself; with --tags folders each lies in a folder'):
        new_project(tmp_path / 'q', **{**where, 'tags': 'folders'})
