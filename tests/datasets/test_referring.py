"""Sentences that mean objects: files of one's own, RefCOCO's, ToyWorld; masks and draws."""
import json
import pickle
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_weak.datasets.referring import read_objects, read_refcoco
from mmseg_weak.datasets.semi import seeded
from mmseg_weak.datasets.transforms import draw_segmentation
from mmseg_weak.errors import ConfigError, DataError, MissingFileError

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'dataset_converters' / 'refcoco.py'
PIPELINE = [dict(type='LoadImage'), dict(type='Resize', scale=(8, 8), keep_ratio=False), dict(type='LoadReferredMask'),
            dict(type='PackReferring')]


@pytest.fixture
def folder(tmp_path):
    """Two images of 10x6, a mask of two objects (1 and 2, 255 unknown), and objects of them as JSON."""
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), np.zeros((6, 10, 3), np.uint8))
    mask = np.zeros((6, 10), np.uint8)
    mask[:, :4], mask[:, 4:6], mask[0] = 1, 2, 255
    cv2.imwrite(str(tmp_path / 'm.png'), mask)
    objects = [dict(image='a.png', expressions=['the  red one', 'red'], mask='m.png', value=1, box=[0, 1, 4, 6]),
               dict(image='a.png', expression='the green one', mask='m.png', value=2),
               dict(image='b.png', expression='blue', mask='m.png')]
    (tmp_path / 'objects.json').write_text(json.dumps(dict(objects=objects, unknown=255)))
    return tmp_path


def build(root, **kwargs):
    return DATASETS.build({**dict(type='ReferringDataset', objects=str(root / 'objects.json'), images=str(root),
                                  pipeline=PIPELINE), **kwargs})


def test_evaluation_takes_each_sentence_in_turn(folder):
    dataset = build(folder, test_mode=True)
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert [s.expression for s in samples] == ['the red one', 'red', 'the green one', 'blue']
    truth = samples[0].gt_sem_seg.data[0]
    assert truth.shape == (6, 10) and (truth[1:, :4] == 1).all() and (truth[1:, 4:] == 0).all()
    assert (truth[0] == 255).all() and samples[0].gt_boxes.bboxes.tolist() == [[0, 1, 4, 6]]
    assert (samples[2].gt_sem_seg.data[0, 1:] == 1).sum() == 10 and 'gt_boxes' not in samples[2]
    assert (samples[3].gt_sem_seg.data[0, 1:] == 1).sum() == 30  # without a value all above 0
    assert samples[0].image_expressions == ['the red one', 'red', 'the green one']
    assert dataset[0]['inputs'].shape == (3, 8, 8) and samples[0].ori_shape == (6, 10)
    assert samples[3].object_name == '000002_b'


def test_training_draws_sentences_and_negatives(folder):
    dataset = build(folder, negatives=3)
    assert len(dataset) == 3
    drawn = []
    for seed in range(20):
        with seeded(seed):
            sample = dataset[0]['data_samples']
        assert sample.negatives == ['the green one'] * 3 and 'gt_sem_seg' not in sample  # of the same image
        drawn.append(sample.expression)
        with seeded(seed):
            assert dataset[0]['data_samples'].expression == drawn[-1]
    assert set(drawn) == {'the red one', 'red'}
    alone = {text for _ in range(10) for text in dataset[2]['data_samples'].negatives}  # of other images
    assert 'blue' not in alone and len(alone) == 3


def test_tables(tmp_path):
    (tmp_path / 'a.csv').write_text('Image,expression,object,mask,value,x0,y0,x1,y1\na.png,red,1,m.png,1,0,0,2,2\n'
                                    'a.png,"the red, big one",1,,,,,,\nb.png,blue,,,,,,,\n')
    rows, unknown = read_objects(str(tmp_path / 'a.csv'))
    assert unknown is None and [row['expressions'] for row in rows] == [['red', 'the red, big one'], ['blue']]
    assert rows[0]['box'] == (0, 0, 2, 2) and rows[0]['value'] == 1 and 'mask' not in rows[1]
    (tmp_path / 'a.tsv').write_text('image\texpression\na.png\tred\na.png\tthe red one\n')
    assert len(read_objects(str(tmp_path / 'a.tsv'))[0]) == 2  # nothing says that they mean one object


@pytest.mark.parametrize(('name', 'text', 'error', 'say'), [
    ('none.json', None, MissingFileError, 'There is no file .*none.json; give a .json or .csv of images and'),
    ('a.txt', '', ConfigError, "ends in '.txt'; referring expressions come as .json, .csv or .tsv."),
    ('a.json', '{', DataError, 'a.json is not valid JSON'),
    ('a.json', '[]', DataError, 'a.json holds no object; write at least one image with a sentence.'),
    ('a.json', '[3]', DataError, 'a.json holds no list of objects; give'),
    ('a.json', '[{"image": "a", "text": "b"}]', DataError, "Object 0 of .* has the key 'text', which is none of image"),
    ('a.json', '[{"image": "a", "expression": " "}]', DataError, 'Object 0 of .*a.json has no sentence; both are'),
    ('a.json', '[{"expression": "b"}]', DataError, 'Object 0 of .*a.json has no image; both are needed.'),
    ('a.json', '[{"image": "a", "expression": "b", "box": [3, 0, 1, 1]}]', DataError, r'has the box \[3, 0, 1, 1\];'),
    ('a.csv', 'image,sentence\na,b\n', DataError, "a.csv has no column 'expression'.*Its header reads image, sentence"),
    ('a.csv', 'image,expression,value\na,b,c\n', DataError, 'Line 2 of .*a.csv holds what is no number .*; mend value'),
])
def test_what_is_wrong_with_a_file(tmp_path, name, text, error, say):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match=say):
        read_objects(str(tmp_path / name))


def test_what_is_wrong_with_the_data(folder):
    with pytest.raises(DataError, match="1 of 1 objects have no mask .first: 'x' in .*a.png.; evaluation needs them."):
        build(folder, objects=[dict(image='a.png', expression='x')], test_mode=True)
    with pytest.raises(DataError, match='All objects have the same sentence, so there is no negative; give more'):
        build(folder, objects=[dict(image='a.png', expression='x'), dict(image='b.png', expression='x')], negatives=1)
    cv2.imwrite(str(folder / 'm.png'), np.zeros((5, 10), np.uint8))
    with pytest.raises(DataError, match='m.png is 10x5, but its image .*a.png is 10x6; give both the same size.'):
        build(folder, test_mode=True)[0]


def test_segmentations():
    square = draw_segmentation([[1, 1, 3, 1, 3, 2, 1, 2]], (4, 5))
    assert square.sum() == 6 and square[1:3, 1:4].all()
    rle = dict(size=[4, 5], counts=[5, 2, 2, 2, 2, 2, 5])  # column by column
    assert (draw_segmentation(rle, (4, 5)) == square).all()
    packed = dict(size=[4, 5], counts='5220003')  # as pycocotools writes it: differences from the third on
    assert (draw_segmentation([packed], (4, 5)) == square).all()
    for wrong, say in (([], 'A segmentation is'), (dict(size=[4, 4], counts=[16]), 'Run lengths of 4x4 pixels came'),
                       (dict(size=[4, 5], counts=[3]), 'Run lengths add up to 3 pixels, and the image has 20.')):
        with pytest.raises(DataError, match=say):
            draw_segmentation(wrong, (4, 5))


def test_refcoco_and_its_converter(tmp_path, monkeypatch):
    refs = [dict(ref_id=7, ann_id=5, image_id=1, split=split, category_id=1,
                 sentences=[dict(sent='left dog', tokens=['left', 'dog']), dict(sent='dog on the left')])
            for split in ('train', 'testA')]
    (tmp_path / 'refs(unc).p').write_bytes(pickle.dumps(refs, protocol=2))
    (tmp_path / 'instances.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='x.jpg')], categories=[],
        annotations=[dict(id=5, bbox=[1, 1, 3, 2], segmentation=[[1, 1, 3, 1, 3, 2, 1, 2]])])))
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path / 'refs(unc).p')])
    runpy.run_path(str(TOOL))['main']()
    cv2.imwrite(str(tmp_path / 'x.jpg'), np.zeros((4, 5, 3), np.uint8))
    dataset = DATASETS.build(dict(type='RefCOCODataset', data_root=str(tmp_path), refs='refs(unc).json', images='',
                                  instances='instances.json', split='testA', pipeline=PIPELINE, test_mode=True))
    sample = dataset[1]['data_samples']
    assert len(dataset) == 2 and sample.expression == 'dog on the left'
    assert sample.gt_sem_seg.data.sum() == 6 and sample.gt_boxes.bboxes.tolist() == [[1, 1, 4, 3]]
    paths = str(tmp_path / 'refs(unc).json'), str(tmp_path / 'instances.json')
    with pytest.raises(ConfigError, match=r"has no split 'val'. It has testA, train."):
        read_refcoco(*paths, 'val')
    (tmp_path / 'refs(unc).json').write_text('[{"split": "train"}]')
    with pytest.raises(DataError, match="are not as released .KeyError: 'ann_id'.; download them again."):
        read_refcoco(*paths, 'train')


def test_converter_runs_nothing_of_a_pickle(tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / 'ran', ))
    (tmp_path / 'refs(unc).p').write_bytes(pickle.dumps([Evil()]))
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path / 'refs(unc).p')])
    with pytest.raises(DataError, match='refused: its pickle asks for .*; the released file holds lists, dicts, text'):
        runpy.run_path(str(TOOL))['main']()
    assert not (tmp_path / 'ran').exists()


def test_toyworld_speaks_of_lone_objects():
    dataset = DATASETS.build(dict(type='ToyWorldReferring', num_images=12, size=64, pipeline=PIPELINE, test_mode=True))
    assert len(dataset) % 3 == 0 and len(dataset) > 20
    for i in range(0, len(dataset), 4):
        sample = dataset[i]['data_samples']
        ys, xs = np.nonzero(sample.gt_sem_seg.data[0].numpy() == 1)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert sample.gt_boxes.bboxes[0].tolist() == box and sample.expression in sample.image_expressions
        assert len(sample.image_expressions) == len(set(sample.image_expressions))
    with pytest.raises(ConfigError, match="ToyWorldReferring: split='dev' is unknown; use train, val, test."):
        DATASETS.build(dict(type='ToyWorldReferring', split='dev'))
