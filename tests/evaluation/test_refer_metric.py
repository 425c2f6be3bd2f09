"""Masks of sentences against true ones, by hand."""
import pytest
import torch
from mmengine.structures import InstanceData
from mmseg.registry import METRICS

from mmseg_weak.errors import DataError


def sample(found, truth, scores=None, box=None):
    out = dict(pred_sem_seg=dict(data=torch.tensor([found])), gt_sem_seg=dict(data=torch.tensor([truth])),
               seg_logits=dict(data=torch.tensor([found if scores is None else scores]).float()))
    if box is not None:
        out['gt_boxes'] = InstanceData(bboxes=torch.tensor([box]).float()).to_dict()
    return out


def test_means_by_hand():
    metric = METRICS.build(dict(type='ReferIoU'))
    half = sample([[1, 1, 0, 0]], [[1, 0, 0, 0]], [[.1, .9, 0, 0]], [0, 0, 0.5, 1])  # IoU 1/2; the peak is beside both
    good = sample([[1, 1, 1, 1]], [[1, 1, 1, 255]], box=[0, 0, 3, 1])  # IoU 1: unknown pixels do not count
    none = sample([[0, 0, 0, 0]], [[0, 0, 255, 255]])  # nothing there, nothing found: 0, not NaN
    metric.process({}, [half, good])
    got = metric.compute_metrics(metric.results)
    assert got == dict(refer_mIoU=75, refer_oIoU=pytest.approx(100 * 4 / 5), hit=50, hit_mask=50, **{'refer_P@50': 50})
    metric.process({}, [none])
    got = metric.compute_metrics(metric.results)
    assert got['refer_mIoU'] == 50 and got['refer_oIoU'] == 80 and got['hit'] == 50  # of those with a box


def test_a_sentence_without_mask():
    metric = METRICS.build(dict(type='ReferIoU'))
    with pytest.raises(DataError, match="a.png came without a mask of what 'the dog' means; load it with LoadReferred"):
        metric.process({}, [dict(img_path='a.png', expression='the dog')])
