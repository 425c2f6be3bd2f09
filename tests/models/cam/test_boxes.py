"""Boxes of regions, at thresholds, and their overlap, by hand."""
import numpy as np
import pytest

from mmseg_weak.models.cam.boxes import box_at, box_iou, boxes_at, region_boxes

MASK = np.array([[1, 0, 0, 0, 1],
                 [0, 1, 0, 0, 1],
                 [0, 0, 0, 0, 1],
                 [0, 0, 0, 0, 1]], bool)


def test_regions_touch_at_corners_and_the_largest_comes_first():
    assert region_boxes(MASK).tolist() == [[4, 0, 5, 4], [0, 0, 2, 2]]
    assert region_boxes(np.zeros((2, 2), bool)).shape == (0, 4)


def test_thresholds_are_exclusive_and_an_empty_map_is_the_whole_image():
    scores = MASK * 0.5
    scores[0, 0] = 0.75
    boxes, index = boxes_at(scores, (0, 0.4, 0.5, 0.9), largest=False)
    assert index.tolist() == [0, 0, 1, 1, 2, 3]
    assert boxes[2:].tolist() == [[4, 0, 5, 4], [0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 5, 4]]
    assert boxes_at(scores, (0, 0.4, 0.5, 0.9))[1].tolist() == [0, 1, 2, 3]
    assert box_at(scores, 0.5).tolist() == [0, 0, 1, 1]


def test_overlap():
    plain = box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]], extra_px=0)
    assert plain.tolist() == [[pytest.approx(2 / 6), 0]]
    assert box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2]]).item() == pytest.approx(6 / 12)  # 3x3 and 3x3 share 2x3
