"""Weaker supervision from dense masks: repeatable, inside the truth, and as strong as asked."""
import numpy as np
import pytest

from mmseg_weak.datasets.transforms import (
    DeriveSupervision,
    affine_noise,
    block_labels,
    boxes_of,
    dilate_labels,
    erode_labels,
    noisy_tags,
    point_labels,
    scribble_labels,
    tags_of,
)
from mmseg_weak.datasets.transforms.supervision import image_rng
from mmseg_weak.errors import ConfigError


def rng():
    return np.random.default_rng(0)


@pytest.fixture
def mask():
    """Two squares of class 1, a bar of class 2 and a strip of unknown pixels on background."""
    mask = np.zeros((64, 64), np.uint8)
    mask[5:20, 5:20] = 1
    mask[30:45, 5:20] = 1
    mask[10:50, 40:50] = 2
    mask[60:] = 255
    return mask


def test_points_are_one_disc_a_region(mask):
    points = point_labels(mask, rng())
    assert np.bincount(points.ravel(), minlength=256)[[0, 1, 2]].tolist() == [1, 2, 1]
    known = points != 255
    assert (points[known] == mask[known]).all()
    assert (point_labels(mask, rng(), count=1, radius_px=2) != 255).sum() > 4


@pytest.mark.parametrize('function', [scribble_labels, block_labels])
def test_sparse_labels_agree_with_the_truth(function, mask):
    sparse = function(mask, rng())
    known = sparse != 255
    assert 0.01 < known.mean() < 0.5
    assert (sparse[known] == mask[known]).all()


def test_blocks_keep_the_share_asked_for():
    kept = block_labels(np.zeros((64, 64), np.uint8), rng(), block_px=16, keep_ratio=0.25)
    assert (kept == 0).mean() == 0.25


def test_boxes_by_hand(mask):
    boxes, labels = boxes_of(mask)
    assert boxes.tolist() == [[5, 5, 20, 20], [5, 30, 20, 45], [40, 10, 50, 50]]
    assert labels.tolist() == [1, 1, 2]


def test_tags_by_hand(mask):
    assert tags_of(mask, 4).tolist() == [1, 1, 0]
    assert tags_of(mask, 4, background=None).tolist() == [1, 1, 1, 0]
    assert tags_of(mask, 4, min_area_px=420).tolist() == [1, 0, 0]


def test_growing_shrinking_and_moving(mask):
    grown, shrunk, moved = (f(mask, rng()) for f in (dilate_labels, erode_labels, affine_noise))
    assert (grown == 1).sum() > (mask == 1).sum() > (shrunk == 1).sum() > 0
    assert ((shrunk == 1) <= (mask == 1)).all()
    assert (moved != mask).any()
    for noisy in (grown, shrunk, moved):
        assert ((noisy == 255) == (mask == 255)).all()


def test_tag_noise_has_the_rates_asked_for():
    tags = np.tile(np.uint8([1, 0]), 5000)
    noisy = noisy_tags(tags, rng(), missing_ratio=0.3, wrong_ratio=0.1)
    assert abs((noisy[tags == 1] == 0).mean() - 0.3) < 0.02  # 4 standard errors
    assert abs((noisy[tags == 0] == 1).mean() - 0.1) < 0.02


@pytest.mark.parametrize('kind', ['points', 'scribbles', 'blocks', 'dilate', 'erode', 'affine'])
def test_an_image_keeps_its_labels_in_every_run_and_place(kind, mask):
    def derive(path, seed=0):
        options = dict(block_px=8) if kind == 'blocks' else None
        step = DeriveSupervision(kind, seed=seed, options=options)
        return step(dict(img_path=path, gt_seg_map=mask.copy(), seg_fields=['gt_seg_map']))['gt_seg_map']
    assert (derive('/here/x/1.jpg') == derive('/else/where/x/1.jpg')).all()
    assert (derive('/here/x/1.jpg') != derive('/here/x/2.jpg')).any()
    assert (derive('/here/x/1.jpg') != derive('/here/x/1.jpg', seed=1)).any()


def test_tags_and_boxes_replace_the_mask(mask):
    results = dict(img_path='x/1.jpg', gt_seg_map=mask, seg_fields=['gt_seg_map'])
    tags = DeriveSupervision('tags', options=dict(num_classes=4))(dict(results))
    assert 'gt_seg_map' not in tags
    assert tags['seg_fields'] == []
    assert tags['gt_image_label'].tolist() == [1, 1, 0]
    boxes = DeriveSupervision('boxes', keep_mask=True)(dict(results))
    assert 'gt_seg_map' in boxes
    assert len(boxes['gt_boxes']) == 3


def test_generators_differ_by_image_and_seed():
    draws = {
        image_rng(name, seed).integers(1 << 30)
        for name in ('a/1.jpg', 'a/2.jpg', 'b/1.jpg')
        for seed in (0, 1)
    }
    assert len(draws) == 6


def test_unknown_kinds_are_named():
    with pytest.raises(ConfigError, match=r"kind='point' is unknown\. Did you mean points"):
        DeriveSupervision('point')
    with pytest.raises(ConfigError, match="kind='tags' needs options=dict"):
        DeriveSupervision('tags')
