"""Tags by hand: average precision with ties, F1, classes that are nowhere."""
import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from mmseg_weak.errors import ConfigError
from mmseg_weak.evaluation.tag_metric import average_precision, tag_counts


def test_average_precision_by_hand():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]])
    scores = np.array([[0.9, 0.3, 0.5], [0.8, 0.3, 0.5], [0.7, 0.3, 0.5], [0.6, 0.3, 0.1]])
    found = average_precision(scores, labels)
    assert found[0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(2 / 3)  # three of one score: 2 of 3, all recall at once
    assert average_precision(scores[::-1], labels[::-1])[2] == found[2]


def test_decisions_by_hand():
    pred = np.array([[1, 1, 0], [1, 0, 0]], bool)
    true = np.array([[1, 0, 0], [1, 1, 0]], bool)
    found = tag_counts(pred, true)
    assert found == dict(precision=2 / 3, recall=2 / 3, micro_F1=2 / 3, macro_F1=0.5)
    assert np.isnan(tag_counts(pred & False, true)['precision'])


def test_metric():
    metric = METRICS.build(dict(type='TagMetric', tag_thr=0.6))
    metric.dataset_meta = dict(classes=('background', 'cat', 'dog'))
    samples = [dict(tag_scores=torch.tensor([0.9, 0.7]), gt_image_label=torch.tensor([1, 0], dtype=torch.uint8)),
               dict(tag_scores=torch.tensor([0.2, 0.1]), gt_image_label=torch.tensor([0, 0], dtype=torch.uint8))]
    metric.process({}, samples)
    found = metric.evaluate(2)
    assert found['tags/mAP'] == 100 and found['tags/recall'] == 100 and found['tags/precision'] == 50
    assert found['tags/macro_F1'] == 50
    with pytest.raises(ConfigError, match=r'^TagMetric found no tag_scores in the predictions: set model\.test_cfg\.'
                                          r'tag_scores=True, or use a model that predicts tags\.$'):
        metric.process({}, [dict(gt_image_label=torch.zeros(2))])
