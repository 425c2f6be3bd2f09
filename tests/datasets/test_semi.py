"""SemiDataset: seeded draws at any worker count, broken files, hidden masks."""
import random
import sys

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmseg_weak.datasets import (
    FolderSegDataset,
    MultiSourceSampler,
    SeededDataset,
    SemiDataset,
    UnlabeledDataset,
)
from mmseg_weak.errors import ConfigError, DataError

CLASSES = ('a', 'b', 'c')


def build(root, pipeline, diagnose=False):
    files = dict(images=str(root / 'images'), masks=str(root / 'masks'), classes=CLASSES, pipeline=pipeline)
    return SemiDataset(
        FolderSegDataset(subset=dict(first=2), **files),
        UnlabeledDataset(subset=dict(first=2, complement=True), diagnose=diagnose, **files))


def batches(dataset, workers, count=5):
    sampler = MultiSourceSampler(dataset, batch_size=3, source_ratio=[1, 2], seed=4)
    loader = DataLoader(
        dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate
    )
    return [batch for batch, _ in zip(loader, range(count), strict=False)]


def test_samples_are_the_same_with_0_and_2_workers(make_folders, pipeline):
    dataset = build(make_folders(6), pipeline)
    for one, two in zip(batches(dataset, 0), batches(dataset, 2), strict=True):
        for a, b in zip(one['inputs'], two['inputs'], strict=True):
            assert torch.equal(a, b)
        for a, b in zip(one['data_samples'], two['data_samples'], strict=True):
            assert (a.img_path, a.source, a.draw_seed) == (b.img_path, b.source, b.draw_seed)


def test_the_generators_are_restored(make_folders, pipeline):
    dataset = build(make_folders(4), pipeline)
    index = MultiSourceSampler(dataset, 2, [1, 1], seed=0).batch(0)[0]
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first = dataset[index]['inputs']
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    np.random.rand(5)
    assert torch.equal(dataset[index]['inputs'], first)


def test_sources_are_named_and_unlabelled_images_carry_no_mask(make_folders, pipeline):
    batch = batches(build(make_folders(4), pipeline), 0, 1)[0]
    assert [s.source for s in batch['data_samples']] == ['sup', 'unsup', 'unsup']
    assert ['gt_sem_seg' in s for s in batch['data_samples']] == [True, False, False]
    assert not any('hidden_sem_seg' in s for s in batch['data_samples'])


_OPENED: list[str] = []
_WATCHING = False


def _watch(event, arguments):
    if _WATCHING and event == 'open' and isinstance(arguments[0], str):
        _OPENED.append(arguments[0])


@pytest.mark.parametrize('diagnose', [False, True])
def test_hidden_masks_are_opened_only_to_diagnose(make_folders, pipeline, diagnose):
    global _WATCHING
    if not getattr(sys, '_mmseg_weak_watch', False):
        sys.addaudithook(_watch)
        sys._mmseg_weak_watch = True
    root = make_folders(6)
    _OPENED.clear()
    _WATCHING = True
    try:
        batches(build(root, pipeline, diagnose), 0, 4)
    finally:
        _WATCHING = False
    masks = {path.rsplit('/', 1)[1] for path in _OPENED if '/masks/' in path and path.startswith(str(root))}
    assert {'00.png', '01.png'} <= masks  # the hook does see masks
    assert bool(masks - {'00.png', '01.png'}) is diagnose


def test_hidden_maps_follow_the_image(make_folders):
    steps = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='RandomFlipFields', prob=1.0),
             dict(type='PackSemiInputs')]
    root = make_folders(4)
    sample = build(root, steps, diagnose=True)[2]['data_samples']
    import cv2
    stored = cv2.imread(str(root / 'masks' / '02.png'), cv2.IMREAD_UNCHANGED)
    assert torch.equal(sample.hidden_sem_seg.data[0], torch.from_numpy(stored[:, ::-1].astype(np.int64)))
    assert 'gt_sem_seg' not in sample


def test_a_broken_unlabelled_file_is_replaced_and_counted(make_folders, pipeline):
    root = make_folders(6)
    whole = (root / 'images' / '03.jpg').read_bytes()
    (root / 'images' / '03.jpg').write_bytes(whole[:len(whole) // 2])
    dataset = build(root, pipeline)
    sample = dataset[3]['data_samples']
    assert sample.broken_files == (str(root / 'images' / '03.jpg'), )
    assert sample.img_path != str(root / 'images' / '03.jpg')
    assert sample.source == 'unsup'
    assert dataset.num_skipped == 1
    first, again = (batches(dataset, 0, 6) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a['inputs'], b['inputs'], strict=True))


def test_a_run_ends_when_nothing_can_be_read(make_folders, pipeline):
    root = make_folders(4)
    for i in (2, 3):
        (root / 'images' / f'{i:02d}.jpg').write_bytes(b'')
    with pytest.raises(DataError, match='in a row of the unsup dataset cannot be read'):
        build(root, pipeline)[2]


def test_a_bug_in_the_pipeline_is_not_taken_for_a_broken_file(make_folders):
    def bug(results):
        raise TypeError('a bug')
    with pytest.raises(TypeError, match='a bug'):
        build(make_folders(4), [bug])[2]


def test_an_unlabelled_source_with_masks_is_refused(make_folders, pipeline):
    root = make_folders(4)
    files = dict(images=str(root / 'images'), masks=str(root / 'masks'), classes=CLASSES, pipeline=pipeline)
    dataset = SemiDataset(FolderSegDataset(**files), FolderSegDataset(**files))
    with pytest.raises(ConfigError, match='unlabeled hands out masks'):
        dataset[5]


def test_seeded_dataset_names_no_source(make_folders, pipeline):
    root = make_folders(4)
    dataset = SeededDataset(
        FolderSegDataset(
            images=str(root / 'images'), masks=str(root / 'masks'), classes=CLASSES, pipeline=pipeline
        )
    )
    assert 'source' not in dataset[0]['data_samples']
    assert dataset.metainfo['classes'] == CLASSES
