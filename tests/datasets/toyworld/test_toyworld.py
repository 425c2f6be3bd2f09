"""ToyWorld: the same scenes everywhere, every supervision consistent with the mask, addresses, speed of
drawing.
"""
import hashlib
import subprocess
import sys

import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmseg_weak.datasets import SemiDataset, ToyWorldDataset
from mmseg_weak.datasets.toyworld import SUPERVISION, draw_scene, senses
from mmseg_weak.datasets.toyworld.layout import CLASSES
from mmseg_weak.errors import ConfigError, MissingFileError

PACK = [dict(type='LoadImageFromFile'), dict(type='PackSemiInputs')]
HASH = '17ce46b051de92d0'
CODE = '''
import hashlib
from mmseg_weak.datasets.toyworld import draw_scene, senses
scene = draw_scene(128, 0, 0, 12)
made = [scene.render(), scene.render(twin=True), scene.mask, senses.points(scene), senses.scribbles(scene)]
made += list(senses.modalities(scene).values())
print(hashlib.sha256(b''.join(a.tobytes() for a in made)).hexdigest()[:16])
'''


def toy(**kwargs):
    return ToyWorldDataset(**{'num_images': 12, 'size': 48, 'pipeline': PACK, **kwargs})


def digest(*arrays):
    return hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest()[:16]


def test_a_scene_is_the_same_on_every_platform_and_in_another_process():
    scene = draw_scene(128, 0, 0, 12)
    made = [
        scene.render(),
        scene.render(twin=True),
        scene.mask,
        senses.points(scene),
        senses.scribbles(scene),
    ]
    made += list(senses.modalities(scene).values())
    assert digest(*made) == HASH  # frozen: figures in docs/lift.md stand on these pixels
    fresh = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', CODE], capture_output=True, text=True, check=True
    )
    assert fresh.stdout.strip().splitlines()[-1] == HASH


def test_draws_do_not_depend_on_the_order_of_asking():
    one, other = draw_scene(64, 0, 0, 5), draw_scene(64, 0, 0, 5)
    first = (one.mask.copy(), one.render(), senses.points(one))
    senses.modalities(other)
    last = (senses.points(other), other.render(), other.mask)
    assert digest(*first) == digest(*last[::-1])


def test_splits_and_seeds_differ():
    hashes = {
        digest(draw_scene(32, *key).render())
        for key in ((0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 1), (0, 0, 2))
    }
    assert len(hashes) == 5


@pytest.mark.parametrize('kind', SUPERVISION)
def test_every_kind_of_supervision_packs_and_collates(kind):
    fields = {
        'mask': 'gt_sem_seg',
        'points': 'gt_sem_seg',
        'scribbles': 'gt_sem_seg',
        'tags': 'gt_image_label',
        'boxes': 'gt_boxes',
        'amodal': 'gt_amodal_masks',
        'twin': 'twin_img',
        'episode': 'support',
        'caption': 'caption',
    }
    dataset = toy(supervision=kind)
    batch = pseudo_collate([dataset[0], dataset[1]])
    sample = batch['data_samples'][0]
    assert fields.get(kind, 'modalities') in sample
    assert ('gt_sem_seg' in sample) is (kind in ('mask', 'points', 'scribbles', 'episode'))
    assert batch['inputs'][0].shape == (3, 48, 48)
    assert batch['inputs'][0].dtype == torch.uint8


def test_weak_supervision_agrees_with_the_mask():
    for number in range(6):
        scene = draw_scene(96, 3, 0, number)
        for sparse in (senses.points(scene), senses.scribbles(scene)):
            known = sparse != 255
            assert 0 < known.mean() < 0.2
            assert (sparse[known] == scene.mask[known]).all()
        tags = senses.tags(scene)
        assert set(np.flatnonzero(tags) + 1) <= set(np.unique(scene.mask))
        boxes, labels = senses.boxes(scene)
        amodal, order = senses.amodal_masks(scene), senses.depth_order(scene)
        assert len(boxes) == len(labels) == len(amodal) == len(order)
        for (x1, y1, x2, y2), label in zip(boxes.astype(int), labels, strict=True):
            assert (scene.mask[y1:y2, x1:x2] == label).any()
        depth = senses.modalities(scene, ('depth', ))['depth']
        for row, rank in enumerate(order):
            for other in np.flatnonzero(order > rank):  # farther: never in front of a nearer one
                both = amodal[row].astype(bool) & amodal[other].astype(bool) & (depth > 0)
                assert not (scene.mask[both] == labels[other]).any() or labels[other] in np.delete(
                    labels, other
                )


def test_captions_count_what_is_visible():
    scene = draw_scene(128, 0, 0, 0)
    names = [CLASSES[label] for label in senses.boxes(scene)[1]]
    long, short = senses.captions(scene)
    for name in set(names):
        assert name.rstrip('e') in short
        assert name.rstrip('e') in long


def test_an_episode_shows_its_class_in_query_and_support():
    dataset = toy(supervision='episode', shots=2, episode_classes=(1, 2, 3), size=64)
    for i in range(4):
        sample = dataset[i]['data_samples']
        assert sample.episode_class in (1, 2, 3)
        assert sample.support['images'].shape == (2, 3, 64, 64)
        assert (sample.support['masks'].flatten(1).sum(1) > 0).all()
        assert set(sample.gt_sem_seg.data.unique().tolist()) <= {0, 1}


def test_the_unlabelled_branch_has_no_mask_and_no_labelled_image():
    labeled = toy(subset=dict(first=3))
    unlabeled = toy(subset=dict(first=3, complement=True), supervision=())
    dataset = SemiDataset(labeled, unlabeled)
    assert dataset.source_lengths == [3, 9]
    assert list(dataset[5]['data_samples'].keys()) == []
    paths = [dataset[i]['data_samples'].img_path for i in range(12)]
    assert len(set(paths)) == 12
    hidden = toy(subset=[4], supervision=(), diagnose=True)[0]['data_samples']
    assert list(hidden.keys()) == ['hidden_sem_seg']


def test_an_address_opens_like_a_file():
    sample = toy(domain='dusk')[7]
    opened = mmcv.imread(sample['data_samples'].img_path)
    assert (opened.transpose(2, 0, 1) == sample['inputs'].numpy()).all()
    mask = mmcv.imread(sample['data_samples'].seg_map_path, flag='unchanged')
    assert (mask == sample['data_samples'].gt_sem_seg.data[0].numpy()).all()
    with pytest.raises(MissingFileError, match='is no ToyWorld address'):
        mmcv.imread('toyworld://nothing.png')


@pytest.mark.parametrize('arguments, words', [
    (dict(supervision='tag'), "supervision='tag' is unknown. Did you mean tags"),
    (dict(split='training'), "split='training' is unknown; use train, val, test"),
    (dict(domain='night'), "domain='night' is unknown; use 'day' or 'dusk'"),
    (dict(num_images=0), 'num_images=0'),
    (dict(supervision=('mask', 'points')), 'asks for more than one of'),
])
def test_bad_settings_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        toy(**arguments)
