"""Tags from masks, COCO and VOC annotations; noise; the benchmarks' datasets; the data configs."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS

from mmseg_weak.datasets import COCO14WSSSDataset, ImageLabelDataset, ToyWorldDataset, VOC12WSSSDataset
from mmseg_weak.datasets.tags import load_tag_file
from mmseg_weak.datasets.transforms import noisy_tags
from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.visualization import voc_palette

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
CLASSES = ('background', 'cat', 'dog', 'hat')


def write_mask(root, name, values):
    mask = np.zeros((20, 24), np.uint8)
    for i, value in enumerate(values):
        mask[i, :5] = value
    cv2.imwrite(str(root / 'masks' / name), mask)


def rows(dataset):
    return [dataset.get_data_info(i)['gt_image_label'].tolist() for i in range(len(dataset))]


def test_tags_of_masks(make_folders):
    root = make_folders(3)
    write_mask(root, '00.png', [1, 3])
    write_mask(root, '01.png', [])
    write_mask(root, '02.png', [255, 2])
    where = dict(data_root=str(root), images='images', masks='masks', tags='masks', classes=CLASSES)
    dataset = ImageLabelDataset(**where)
    assert rows(dataset) == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert 'seg_map_path' not in dataset.get_data_info(0)  # training never sees a mask
    shown = ImageLabelDataset(**where, with_masks=True, pipeline=[
        dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')])[2]['data_samples']
    assert shown.gt_sem_seg.data[0, 1, 0] == 2 and shown.gt_image_label.tolist() == [0, 1, 0]
    assert rows(ImageLabelDataset(**where, min_area_px=6)) == [[0, 0, 0]] * 3
    write_mask(root, '02.png', [9])
    with pytest.raises(DataError, match=r'02\.png holds the class index 9, but there are 4 classes'):
        ImageLabelDataset(**where)
    (root / 'masks/02.png').unlink()
    with pytest.raises(DataError, match=r'1 of 3 images have no mask in masks \(first: .*02\.jpg\)'):
        ImageLabelDataset(**where)


def test_masks_are_asked_for(make_folders):
    with pytest.raises(ConfigError, match="tags='masks' with with_masks=False reads masks; give `masks`"):
        ImageLabelDataset(images=str(make_folders(1) / 'images'), tags='masks', classes=CLASSES)


def test_coco_and_voc_annotations(tmp_path):
    coco = dict(images=[dict(id=7, file_name='a.jpg'), dict(id=8, file_name='b.jpg')],
                categories=[dict(id=18, name='dog'), dict(id=1, name='cat')],
                annotations=[dict(image_id=7, category_id=18), dict(image_id=7, category_id=1),
                             dict(image_id=7, category_id=18, iscrowd=1)])
    (tmp_path / 'c.json').write_text(json.dumps(coco))
    assert load_tag_file(str(tmp_path / 'c.json')) == {'a.jpg': ['dog', 'cat'], 'b.jpg': []}
    folder = tmp_path / 'xml'
    folder.mkdir()
    thing = '<object><name>{}</name><difficult>1</difficult><part><name>head</name></part></object>'
    (folder / 'a.xml').write_text(f'<annotation>{thing.format("dog")}{thing.format("dog")}</annotation>')
    (folder / 'b.xml').write_text('<annotation></annotation>')
    assert load_tag_file(str(folder)) == {'a': ['dog'], 'b': []}
    (folder / 'c.xml').write_text('<annotation>')
    with pytest.raises(DataError, match=r'c\.xml is not valid XML'):
        load_tag_file(str(folder))


def test_an_unused_class_is_said_once_and_only_in_training(make_folders, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_weak.datasets.tags.print_log', lambda text, **kwargs: said.append(text))
    root = make_folders(2)
    (root / 'a.json').write_text('{"00": ["cat"], "01": []}')
    where = dict(images=str(root / 'images'), tags=str(root / 'a.json'), classes=CLASSES)
    dataset = ImageLabelDataset(**where)
    dataset.full_init()
    ImageLabelDataset(**where, test_mode=True)
    assert said == ['2 of 3 classes are the tag of none of 2 images and cannot be learned: dog, hat.']


def test_noise_is_seeded_and_has_its_share():
    tags = np.zeros((400, 20), np.uint8)
    tags[:, :2] = 1
    rng = np.random.default_rng(0)
    swapped = np.array([noisy_tags(row, rng, swap_ratio=0.1) for row in tags])
    assert (swapped.sum(1) == 2).all()  # as many tags as before
    assert 0.07 < 1 - swapped[:, :2].mean() < 0.13
    assert len(np.unique(np.nonzero(swapped[:, 2:])[1])) == 18  # any class may come in its place
    assert noisy_tags(np.ones(3, np.uint8), rng, swap_ratio=1.0).tolist() == [1, 1, 1]  # nothing to swap with
    with pytest.raises(ConfigError, match=r'swap_ratio=10 of noisy tags; give a share between 0 and 1'):
        noisy_tags(tags[0], rng, swap_ratio=10)


def test_noise_in_datasets(make_folders):
    root = make_folders(6)
    (root / 'a.json').write_text(json.dumps({f'{i:02d}': ['cat', 'dog'] for i in range(6)}))
    where = dict(images=str(root / 'images'), tags=str(root / 'a.json'), classes=CLASSES)
    clean, noisy = rows(ImageLabelDataset(**where)), rows(ImageLabelDataset(**where, tag_noise=dict(missing_ratio=.5)))
    assert clean != noisy and all(a <= b for x, y in zip(noisy, clean) for a, b in zip(x, y))
    assert noisy == rows(ImageLabelDataset(**where, tag_noise=dict(missing_ratio=.5)))
    assert noisy != rows(ImageLabelDataset(**where, tag_noise=dict(missing_ratio=.5, seed=1)))
    world = dict(num_images=8, size=32, supervision=('tags', ), pipeline=[dict(type='PackSemiInputs')])
    drawn = [[d[i]['data_samples'].gt_image_label.tolist() for i in range(8)]
             for d in (ToyWorldDataset(**world), ToyWorldDataset(**world, tag_noise=dict(missing_ratio=1.0)))]
    assert sum(map(sum, drawn[0])) > 0 and sum(map(sum, drawn[1])) == 0


def test_benchmarks(make_folders):
    root = make_folders(2)
    np.save(root / 'cls_labels.npy', {f'{i:02d}': np.eye(80, dtype=np.float32)[78 + i] for i in range(2)})
    coco = COCO14WSSSDataset(images=str(root / 'images'), tags=str(root / 'cls_labels.npy'))
    assert coco.metainfo['classes'][79:] == ('hair drier', 'toothbrush') and len(coco.metainfo['classes']) == 81
    assert coco.metainfo['palette'] == voc_palette(81)
    assert coco.get_data_info(1)['gt_image_label'].nonzero()[0].tolist() == [79]
    (root / 'a.json').write_text('{"00": ["sofa"], "01": ["sofas"]}')
    with pytest.raises(DataError, match=r"01\.jpg has the tag 'sofas', which is no class\. Did you mean sofa"):
        VOC12WSSSDataset(images=str(root / 'images'), tags=str(root / 'a.json'))


@pytest.mark.parametrize('name', ['voc12', 'coco14', 'coco_mini', 'toyworld'])
def test_data_configs(name):
    config = Config.fromfile(str(CONFIGS / f'{name}_tags.py'), lazy_import=False)
    train = config.train_dataloader
    assert train.sampler.batch_size == train.batch_size
    given = train.dataset.dataset
    assert not given.get('with_masks') and 'mask' not in given.get('supervision', ())
    assert not any(step.type in ('LoadMask', 'LoadAnnotations') for step in given.pipeline)
    for loader in (train.dataset.dataset, config.train_eval_dataloader.dataset, config.val_dataloader.dataset):
        kind = DATASETS.get(loader.type)
        assert kind is not None
        assert set(loader) - {'type', 'test_mode', 'pipeline'} <= set(kind.__init__.__code__.co_varnames)


def test_coco_mini(real_data, monkeypatch):
    monkeypatch.setenv('MMSEG_WEAK_DATA', str(real_data))
    config = Config.fromfile(str(CONFIGS / 'coco_mini_tags.py'), lazy_import=False)
    train, shown = (DATASETS.build(d) for d in (config.train_dataloader.dataset, config.train_eval_dataloader.dataset))
    assert len(train) == len(shown) == 316
    tags = np.array([train.get_data_info(i)['gt_image_label'] for i in range(316)])
    assert tags.shape == (316, 20) and (tags.sum(0) > 0).all() and (tags.sum(1) == 0).any()
    sample = shown[0]['data_samples']
    assert set(np.unique(sample.gt_sem_seg.data)) - {0, 255} == set(np.flatnonzero(sample.gt_image_label) + 1)
    assert 'gt_sem_seg' not in train[0]['data_samples']
