"""Benchmarks of open vocabularies: what a mask's values become."""
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weak.datasets import COCOStuff27Dataset
from mmseg_weak.errors import DataError, MissingFileError
from mmseg_weak.models.clip import named_classes

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'dataset_converters' / 'coco_object.py'
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path)


def truth(kind, root, **kwargs):
    dataset = DATASETS.build(dict(type=kind, data_root=str(root), pipeline=PIPELINE, test_mode=True, **kwargs))
    assert len(dataset) == 1
    return dataset[0]['data_samples'].gt_sem_seg.data[0].tolist(), dataset.metainfo['classes']


def test_voc20_leaves_the_background_out(tmp_path):
    write(tmp_path / 'images/a.jpg', np.zeros((2, 4, 3)))
    write(tmp_path / 'masks/a.png', [[0, 1, 20, 255]] * 2)
    values, classes = truth('PascalVOC20Dataset', tmp_path, data_prefix=dict(img_path='images', seg_map_path='masks'))
    assert values == [[255, 0, 19, 255]] * 2 and len(classes) == 20 and classes[19] == 'tvmonitor'


def test_coco_object_is_made_from_coco_stuff(tmp_path, monkeypatch):
    write(tmp_path / 'images/val2017/a.jpg', np.zeros((2, 6, 3)))
    write(tmp_path / 'annotations/val2017/a.png', [[0, 10, 12, 89, 130, 255]] * 2)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path)])
    tool = runpy.run_path(str(TOOL))
    tool['main']()
    tool['main']()  # what it wrote is no annotation
    assert len(list(tmp_path.rglob('*_instanceTrainIds.png'))) == 1
    values, classes = truth('COCOObjectDataset', tmp_path, data_prefix=dict(
        img_path='images/val2017', seg_map_path='annotations/val2017'))
    assert values == [[1, 11, 12, 80, 0, 0]] * 2
    assert [classes[i] for i in values[0]] == ['person', 'fire hydrant', 'stop sign', 'toothbrush', 'background',
                                               'background']
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path), '--parts', 'train2017'])
    with pytest.raises(MissingFileError, match='annotations/train2017 holds no COCO-Stuff annotation'):
        tool['main']()


def test_cityscapes27_takes_the_released_ids(tmp_path):
    write(tmp_path / 'images/c/a_leftImg8bit.png', np.zeros((2, 5, 3)))
    write(tmp_path / 'masks/c/a_gtFine_labelIds.png', [[0, 6, 7, 33, 255]] * 2)
    values, classes = truth('Cityscapes27Dataset', tmp_path,
                            data_prefix=dict(img_path='images', seg_map_path='masks'))
    assert values == [[255, 255, 0, 26, 255]] * 2 and (classes[0], classes[26]) == ('road', 'bicycle')


def test_coco_stuff27_is_the_coarse_class_of_each_fine_one(tmp_path):
    fine = named_classes('coco_stuff').names
    groups = COCOStuff27Dataset.METAINFO['members']
    assert sorted(''.join(name.split()) for group in groups for name in group) == sorted(
        ''.join(name.replace('-', ' ').split()) for name in fine)
    write(tmp_path / 'images/a.jpg', np.zeros((2, 172, 3)))
    write(tmp_path / 'masks/a_labelTrainIds.png', [[*range(171), 255]] * 2)
    values, classes = truth('COCOStuff27Dataset', tmp_path, data_prefix=dict(img_path='images', seg_map_path='masks'))
    assert values[0][171] == 255
    for name, value in zip(fine, values[0]):
        assert ''.join(name.replace('-', ' ').split()) in [''.join(n.split()) for n in groups[value]], name
    found = dict(zip(fine, (classes[v] for v in values[0][:171])))
    assert (found['tv'], found['person'], found['tree'], found['wood']) == ('electronic', 'person', 'plant', 'solid')
    named = named_classes('coco_stuff27')
    assert tuple(tuple(n for n, owner in zip(named.names, named.owner) if owner == k) for k in range(27)) == groups


def test_kitti_step_keeps_the_class_in_the_red_channel(tmp_path):
    write(tmp_path / 'val/0002/a.png', np.zeros((2, 3, 3)))
    write(tmp_path / 'panoptic_maps/val/0002/a.png', [[[11, 2, 3], [0, 0, 9], [255, 255, 255]]] * 2)
    pipeline = [PIPELINE[0], dict(type='LoadPanopticClass'), PIPELINE[2]]
    dataset = DATASETS.build(dict(type='KittiStepDataset', data_root=str(tmp_path), pipeline=pipeline, test_mode=True,
                                  data_prefix=dict(img_path='val', seg_map_path='panoptic_maps/val')))
    assert dataset[0]['data_samples'].gt_sem_seg.data[0].tolist() == [[11, 0, 255]] * 2
    write(tmp_path / 'panoptic_maps/val/0002/a.png', [[1, 2, 3]])
    with pytest.raises(DataError, match=r'0002/a.png is a picture of one channel; KITTI-STEP keeps class and'):
        dataset[0]
