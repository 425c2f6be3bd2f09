"""Localisation by hand: boxes at thresholds, classes, pixel curves; on drawn scenes, perfect maps are perfect."""
import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from mmseg_weak.datasets import ToyWorldDataset
from mmseg_weak.errors import DataError
from mmseg_weak.evaluation.localization_metric import best_overlaps, pixel_curve, score_histogram


def scene():
    """10x10: a block of 4x4 at 0.9 within a band of 4x8 at 0.5, and a far block of 2x2 at 0.9."""
    scores = np.zeros((10, 10), np.float32)
    scores[:4, :8] = 0.5
    scores[:4, :4] = 0.9
    scores[8:, 8:] = 0.9
    return scores


def sample(scores, boxes, label=0, classes=(0.2, 0.8), **more):
    return dict(loc_map=dict(data=torch.from_numpy(scores)[None]), class_scores=torch.tensor(classes),
                gt_image_label=torch.eye(len(classes), dtype=torch.uint8)[label], img_path='a.png',
                gt_boxes=dict(bboxes=torch.tensor(boxes, dtype=torch.float32),
                              labels=torch.full((len(boxes),), label + 1))) | more


def test_overlaps_at_thresholds():
    largest, best = best_overlaps(scene(), np.array([[8., 8, 10, 10]]), (0, 0.5, 0.9), extra_px=0)
    assert largest.tolist() == [0, 0, pytest.approx(0.04)]  # above 0.9 is nothing: the whole image
    assert best.tolist() == [1, 1, pytest.approx(0.04)]
    band, _ = best_overlaps(scene(), np.array([[0., 0, 8, 4], [8, 8, 10, 10]]), (0.4, 0.5))
    assert band.tolist() == [1, pytest.approx(25 / 45)]  # 5x5 of 9x5, each side a pixel longer


def test_box_metrics_by_hand():
    metric = METRICS.build(dict(type='LocalizationMetric', thr_interval=0.25))  # 0, 0.25, 0.5, 0.75
    metric.process({}, [sample(scene(), [[0, 0, 8, 4]], label=1),   # right class; IoU 1, 1, 25/45, 25/45
                        sample(scene(), [[0, 0, 4, 4]], label=0),   # wrong class; 25/45 twice, then 1
                        sample(scene(), [[8, 8, 10, 10]], label=1)])  # right class, never the largest region
    found = metric.evaluate(3)
    assert found['loc/MaxBoxAcc'] == pytest.approx(200 / 3) and found['loc/best_thr'] == 0
    assert found['loc/MaxBoxAccV2-largest'] == pytest.approx((200 / 3 + 200 / 3 + 100 / 3) / 3)
    assert found['loc/MaxBoxAccV2@70'] == pytest.approx(200 / 3)  # at one threshold for all images
    assert found['loc/MaxBoxAccV2@30'] == 100
    assert found['loc/Top-1 Loc'] == pytest.approx(100 / 3) and found['loc/Top-5 Loc'] == pytest.approx(200 / 3)
    assert found['loc/Top-1 Cls'] == pytest.approx(200 / 3) and found['loc/Top-5 Cls'] == 100


def test_fixed_threshold():
    metric = METRICS.build(dict(type='LocalizationMetric', box_thr=0.95))
    metric.process({}, [sample(scene(), [[0, 0, 8, 4]])])
    found = metric.evaluate(1)
    assert found['loc/GT-known'] == 0 and found['loc/MaxBoxAcc'] == 100


def test_boxes_follow_a_prediction_at_another_size():
    metric = METRICS.build(dict(type='LocalizationMetric'))
    large = np.kron(scene(), np.ones((2, 2), np.float32))
    planes = torch.stack([torch.zeros(20, 20), torch.zeros(20, 20), torch.from_numpy(large)])
    one = sample(scene(), [[0, 0, 8, 4]], label=1, seg_logits=dict(data=planes), img_shape=(10, 10))
    del one['loc_map'], one['class_scores']
    metric.process({}, [one])
    found = metric.evaluate(1)
    assert found['loc/MaxBoxAccV2@70'] == 100 and 'loc/Top-1 Loc' not in found
    with pytest.raises(DataError, match=r'^a\.png has the tag 0 \(counted without background\) and no box of that '):
        metric.process({}, [one | dict(gt_image_label=torch.tensor([1, 0]))])


def test_drawn_masks_find_their_own_boxes():
    data = ToyWorldDataset(num_images=6, size=64, supervision=('mask', 'tags', 'boxes'), test_mode=True,
                           pipeline=[dict(type='PackSemiInputs')])
    boxes = METRICS.build(dict(type='LocalizationMetric', thr_interval=0.25))
    pixels = METRICS.build(dict(type='PxAPMetric', thr_interval=0.1))
    for item in data:
        one = item['data_samples']
        planes = torch.stack([(one.gt_sem_seg.data[0] == c).float() for c in range(8)])
        one = one.to_dict() | dict(seg_logits=dict(data=planes))
        boxes.process({}, [one])
        pixels.process({}, [one])
    found = boxes.evaluate(6)
    assert found['loc/MaxBoxAccV2@30'] > 95  # a truth has one box an object, also where objects touch
    assert pixels.evaluate(6) == {'loc/PxAP': 100, 'loc/PIoU': 100, 'loc/peak_thr': 1}


def test_pixel_curve_by_hand():
    scores = np.array([[0.1, 0.3, 0.6], [0.6, 1.0, 1.0]])
    truth = np.array([[0, 1, 0], [1, 1, 255]])
    histogram = score_histogram(scores, truth, np.array([0, 0.25, 0.5, 0.75]))
    assert histogram.tolist() == [[1, 0, 1, 0, 0], [0, 1, 1, 0, 1]]
    curve = pixel_curve(histogram)
    assert curve['precision'].tolist() == [1, 1, pytest.approx(2 / 3), 0.75, 0.6]
    assert curve['PxAP'] == pytest.approx((1 + 2 / 3 + 0.75) / 3)
    assert curve['PIoU'] == 0.75 and curve['bin'] == 1
    with pytest.raises(DataError, match=r'^No pixel of these masks is foreground'):
        pixel_curve(histogram * 0)


def test_ignored_pixels_do_not_count():
    scores, truth = np.random.default_rng(0).random((2, 8, 8)), np.zeros((2, 8, 8), int)
    truth[:, :4], truth[:, 6:] = 1, 255
    other = scores.copy()
    other[:, 6:] = 1 - other[:, 6:]
    edges = np.arange(10) / 10
    assert (score_histogram(scores, truth, edges) == score_histogram(other, truth, edges)).all()
