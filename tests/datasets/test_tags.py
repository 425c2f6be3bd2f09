"""ImageLabelDataset and tag files, among them one that wants to run code."""
import json
import os

import numpy as np
import pytest

from mmseg_weak.datasets import ImageLabelDataset
from mmseg_weak.datasets.tags import safe_load_npy
from mmseg_weak.errors import DataError

CLASSES = ('background', 'cat', 'dog', 'hat')


def labels(root, tags, **kwargs):
    dataset = ImageLabelDataset(images=str(root / 'images'), tags=str(tags), classes=CLASSES, **kwargs,
                                pipeline=[dict(type='LoadImage'), dict(type='PackSemiInputs')])
    return [dataset[i]['data_samples'].gt_image_label.tolist() for i in range(len(dataset))]


def test_json_csv_and_npy_agree(make_folders):
    root = make_folders(3)
    (root / 'a.json').write_text(json.dumps({'00': [0, 1], '01.jpg': ['dog', 'hat'], '02': []}))
    (root / 'b.csv').write_text('image,tags\n00.jpg,cat\n01.jpg,dog,hat\n02.jpg,\n')
    (root / 'c.csv').write_text('00.jpg,background;cat\r\n01.jpg,2|3\r\n02.jpg,')
    table = {'00': np.float32([1, 0, 0]), '01': np.float32([0, 1, 1]), '02': np.zeros(3)}
    np.save(root / 'd.npy', table)
    expected = [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    for name in ('a.json', 'b.csv', 'c.csv', 'd.npy'):
        assert labels(root, root / name) == expected, name


def test_folder_names_are_tags(make_folders):
    root = make_folders(2)
    for i, name in enumerate(('cat', 'hat')):
        (root / 'images' / name).mkdir()
        (root / 'images' / f'{i:02d}.jpg').rename(root / 'images' / name / f'{i}.jpg')
    dataset = ImageLabelDataset(images=str(root / 'images'), classes=CLASSES)
    assert [dataset.get_data_info(i)['gt_image_label'].tolist() for i in range(2)] == [[1, 0, 0], [0, 0, 1]]


def test_no_background(make_folders):
    root = make_folders(1)
    (root / 'a.json').write_text('{"00": [0, 3]}')
    assert labels(root, root / 'a.json', background=None) == [[1, 0, 0, 1]]


class _Evil:
    def __reduce__(self):
        return os.system, ('touch /nowhere/owned', )


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    path = tmp_path / 'cls_labels.npy'
    np.save(path, {'a': _Evil()}, allow_pickle=True)
    with pytest.raises(DataError, match=r'was refused: its pickle asks for (posix|os|nt)\.system'):
        safe_load_npy(str(path))


def test_plain_arrays_load(tmp_path):
    np.save(tmp_path / 'x.npy', np.arange(4))
    assert safe_load_npy(str(tmp_path / 'x.npy')).tolist() == [0, 1, 2, 3]


def test_missing_and_unknown_tags_are_named(make_folders):
    root = make_folders(2)
    (root / 'a.json').write_text('{"00": ["cot"], "01": [1]}')
    with pytest.raises(DataError, match=r"00\.jpg has the tag 'cot', which is no class. Did you mean cat"):
        labels(root, root / 'a.json')
    (root / 'a.json').write_text('{"00": [9], "01": [1]}')
    with pytest.raises(DataError, match=r'has the tag 9, but there are 4 classes \(0 to 3\)'):
        labels(root, root / 'a.json')
    (root / 'a.json').write_text('{"00": [1]}')
    with pytest.raises(DataError, match=r'1 of 2 images have no entry in .*a\.json \(first: .*01\.jpg\)'):
        labels(root, root / 'a.json')
