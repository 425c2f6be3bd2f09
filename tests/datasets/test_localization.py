"""Localisation readers on small files as released, with ToyWorld's images and boxes in them."""
import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_weak.datasets import ToyWorldDataset
from mmseg_weak.datasets.toyworld import senses
from mmseg_weak.errors import ConfigError, DataError, MissingFileError

PIPELINE = [dict(type='LoadImage'), dict(type='ResizeWithBoxes', scale=(96, 48)), dict(type='LoadLocMask'),
            dict(type='PackSemiInputs')]


@pytest.fixture(scope='module')
def scenes():
    """Four scenes: image, class from 0 of the first object, all boxes of that class, its mask."""
    world, found = ToyWorldDataset(num_images=4, size=64), []
    for number in range(4):
        scene = world.draw(number)
        boxes, labels = senses.boxes(scene)
        found.append((scene.render(), int(labels[0]) - 1, boxes[labels == labels[0]], scene.mask == labels[0]))
    return found


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path.with_suffix('.png')), image)
    path.with_suffix('.png').rename(path)  # whatever its ending


@pytest.fixture
def cub(tmp_path, scenes):
    names = [f'{label + 1:03d}.Bird_{label}/{i}.jpg' for i, (_, label, _, _) in enumerate(scenes)]
    for name, (image, *_, mask) in zip(names, scenes):
        save(tmp_path / 'images' / name, image)
        save(tmp_path / 'segmentations' / name.replace('.jpg', '.png'), mask * np.uint8(204))
    write(tmp_path / 'classes.txt', [f'{c + 1} {c + 1:03d}.Bird_{c}' for c in range(7)])
    write(tmp_path / 'images.txt', [f'{i + 1} {name}' for i, name in enumerate(names)])
    write(tmp_path / 'image_class_labels.txt', [f'{i + 1} {s[1] + 1}' for i, s in enumerate(scenes)])
    write(tmp_path / 'train_test_split.txt', ['1 1', '2 0', '3 1', '4 0'])
    write(tmp_path / 'bounding_boxes.txt', [f'{i + 1} {b[0]} {b[1]} {b[2] - b[0]} {b[3] - b[1]}'
                                            for i, b in enumerate(s[2][0] for s in scenes)])
    return tmp_path


def test_cub(cub, scenes):
    data = DATASETS.build(dict(type='CUBLocalization', data_root=str(cub), split='test', masks='segmentations',
                               pipeline=PIPELINE, test_mode=True))
    assert len(data) == 2 and data.metainfo['classes'][:3] == ('background', 'Bird 0', 'Bird 1')
    sample, (_, label, boxes, mask) = data[0]['data_samples'], scenes[1]
    assert sample.gt_image_label.tolist() == [int(c == label) for c in range(7)]
    np.testing.assert_allclose(sample.gt_boxes.bboxes.numpy(), boxes[:1] * [1.5, 0.75, 1.5, 0.75], rtol=1e-5)
    assert sample.gt_boxes.labels.tolist() == [label + 1]
    assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), mask * (label + 1))  # at its own size
    assert data[0]['inputs'].shape == (3, 48, 96)
    assert len(DATASETS.build(dict(type='CUBLocalization', data_root=str(cub), split='all', subset=dict(first=3)))) == 3


def test_cub_that_is_not_whole(cub):
    with pytest.raises(ConfigError, match=r"^CUBLocalization: split='val' is none of train, test, all\.$"):
        DATASETS.build(dict(type='CUBLocalization', data_root=str(cub), split='val'))
    write(cub / 'bounding_boxes.txt', ['1 0 0 3 3'])
    with pytest.raises(DataError, match=r'bounding_boxes\.txt has no line for image 2 \(.*\) of images\.txt; the copy'):
        DATASETS.build(dict(type='CUBLocalization', data_root=str(cub)))
    write(cub / 'bounding_boxes.txt', ['1 0 0 3'])
    with pytest.raises(DataError, match=r"^Line 1 of .*bounding_boxes\.txt is '1 0 0 3': 5 values were expected, 4"):
        DATASETS.build(dict(type='CUBLocalization', data_root=str(cub)))
    (cub / 'bounding_boxes.txt').unlink()
    with pytest.raises(MissingFileError, match=r'bounding_boxes\.txt does not exist; data_root or metadata must name'):
        DATASETS.build(dict(type='CUBLocalization', data_root=str(cub)))


@pytest.fixture
def ilsvrc(tmp_path, scenes):
    images, notes = tmp_path / 'Data' / 'CLS-LOC', tmp_path / 'Annotations' / 'CLS-LOC' / 'val'
    write(tmp_path / 'LOC_synset_mapping.txt', [f'n{c:08d} word {c}, other' for c in range(7)])
    for i, (image, label, boxes, _) in enumerate(scenes):
        save(images / 'train' / f'n{label:08d}' / f'n{label:08d}_{i}.JPEG', image)
        save(images / 'val' / f'ILSVRC2012_val_{i}.JPEG', image)
        parts = [f'<object><name>n{label:08d}</name><bndbox><xmin>{b[0]:.0f}</xmin><ymin>{b[1]:.0f}</ymin>'
                 f'<xmax>{b[2]:.0f}</xmax><ymax>{b[3]:.0f}</ymax></bndbox></object>' for b in boxes]
        write(notes / f'ILSVRC2012_val_{i}.xml', ['<annotation>', *parts, '</annotation>'])
    return tmp_path


def test_ilsvrc(ilsvrc, scenes):
    data = DATASETS.build(dict(type='ILSVRCLocalization', data_root=str(ilsvrc), split='val', pipeline=PIPELINE,
                               test_mode=True))
    assert data.metainfo['classes'][1] == 'word 0' and len(data) == 4
    for item, (_, label, boxes, _) in zip(data, scenes):
        sample = item['data_samples']
        assert int(sample.gt_image_label.argmax()) == label
        np.testing.assert_allclose(sample.gt_boxes.bboxes.numpy(), boxes * [1.5, 0.75, 1.5, 0.75], rtol=1e-5)
        assert 'gt_sem_seg' not in sample
    train = DATASETS.build(dict(type='ILSVRCLocalization', data_root=str(ilsvrc)))
    assert sorted(int(train[i]['gt_image_label'].argmax()) for i in range(4)) == sorted(s[1] for s in scenes)
    assert 'gt_boxes' not in train[0]
    (ilsvrc / 'LOC_synset_mapping.txt').unlink()  # the folders are the classes then
    seen = DATASETS.build(dict(type='ILSVRCLocalization', data_root=str(ilsvrc))).metainfo['classes'][1:]
    assert list(seen) == sorted({f'n{s[1]:08d}' for s in scenes})


def test_ilsvrc_with_a_strange_class(ilsvrc):
    path = ilsvrc / 'Annotations' / 'CLS-LOC' / 'val' / 'ILSVRC2012_val_0.xml'
    path.write_text('<annotation><object><name>n99</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>1</xmax>'
                    '<ymax>1</ymax></bndbox></object></annotation>')
    with pytest.raises(DataError, match=r'val_0\.xml names n99, which is none of the 7 classes; check `synsets`\.$'):
        DATASETS.build(dict(type='ILSVRCLocalization', data_root=str(ilsvrc), split='val'))


def test_lists_with_boxes_and_with_masks(tmp_path, scenes):
    boxes, masks = tmp_path / 'metadata' / 'ILSVRC' / 'val', tmp_path / 'metadata' / 'OpenImages' / 'test'
    ids = [f'test/{i}.jpg' for i in range(len(scenes))]
    for folder in (boxes, masks):
        write(folder / 'image_ids.txt', ids)
        write(folder / 'class_labels.txt', [f'{name},{s[1]}' for name, s in zip(ids, scenes)])
    write(boxes / 'localization.txt', [f'{name},{",".join(str(int(v)) for v in b)}'
                                       for name, s in zip(ids, scenes) for b in s[2]])
    lines = []
    for name, (image, _, _, mask) in zip(ids, scenes):
        save(tmp_path / 'images' / name, image)
        left, right = mask.copy(), mask.copy()
        left[:, 32:], right[:, :32] = 0, 0
        stem = name.removesuffix('.jpg')
        save(tmp_path / 'masks' / f'{stem}_a.png', left * np.uint8(255))
        save(tmp_path / 'masks' / f'{stem}_b.png', right * np.uint8(255))
        ignore = np.zeros_like(mask)
        ignore[:8] = True
        save(tmp_path / 'masks' / f'{stem}_ignore.png', ignore * np.uint8(255))
        lines += [f'{name},{stem}_a.png,{stem}_ignore.png', f'{name},{stem}_b.png,']
    write(masks / 'localization.txt', lines)
    files = dict(type='WSOLListDataset', images=str(tmp_path / 'images'), pipeline=PIPELINE, test_mode=True,
                 classes=7)
    with_boxes = DATASETS.build(dict(metadata=str(boxes), **files))
    with_masks = DATASETS.build(dict(metadata=str(masks), masks=str(tmp_path / 'masks'), **files))
    for a, b, (_, label, truth, mask) in zip(with_boxes, with_masks, scenes):
        np.testing.assert_allclose(a['data_samples'].gt_boxes.bboxes.numpy(), truth * [1.5, 0.75, 1.5, 0.75], rtol=1e-5)
        got = b['data_samples'].gt_sem_seg.data[0].numpy()
        want = np.where(mask, label + 1, 0)
        want[:8][~mask[:8]] = 255
        assert np.array_equal(got, want) and 'gt_boxes' not in b['data_samples']
    assert with_masks.metainfo['classes'] == ('background', *(f'class {c}' for c in range(7)))
    write(boxes / 'image_ids_proxy.txt', ids[:1])
    assert len(DATASETS.build(dict(metadata=str(boxes), proxy=True, **files))) == 1
    write(boxes / 'localization.txt', [f'{ids[0]},1,2'])
    with pytest.raises(DataError, match=r'localization\.txt has the line .*; a line is "id,x0,y0,x1,y1" or "id,mask,'):
        DATASETS.build(dict(metadata=str(boxes), **files))


def test_own_records():
    records = [dict(image='a.png', label=0, boxes=[(1, 2, 3, 4)]), dict(image='b.png', label=1)]
    data = DATASETS.build(dict(type='LocalizationDataset', records=records))
    assert data.metainfo['classes'] == ('background', 'class 0', 'class 1')
    assert data[0]['gt_boxes'].tolist() == [[1, 2, 3, 4]] and data[0]['gt_box_labels'].tolist() == [1]
    assert data[1]['gt_image_label'].tolist() == [0, 1] and 'gt_boxes' not in data[1]
    with pytest.raises(DataError, match=r'^b\.png has the class 1, but there are 1 \(0 to 0\); mend the labels or'):
        DATASETS.build(dict(type='LocalizationDataset', records=records, classes=['one']))
    with pytest.raises(DataError, match=r'^LocalizationDataset found no image; check its folders and its split\.$'):
        DATASETS.build(dict(type='LocalizationDataset'))
