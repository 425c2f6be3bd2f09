"""Benchmarks of open vocabularies: what a mask's values become."""
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weak.errors import MissingFileError

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
