"""Seeds by hand: normalisation, background scores, thresholds, boxes, all-zero maps, no tags."""
import pytest
import torch

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.cam import seeds as s

CAMS = torch.tensor([[[[0.2, 0.9, 0.5, 0.1]], [[0.6, 0.1, 0.5, 0.0]]]])  # (1,2,1,4)


def test_normalisation():
    maps = torch.tensor([[[[2., 4., 3.]], [[0., 0, 0]]]])
    torch.testing.assert_close(s.normalize_cam(maps)[0, 0, 0], torch.tensor([0.5, 1, 0.75]), atol=1e-5, rtol=0)
    torch.testing.assert_close(s.normalize_cam(maps, 'minmax')[0, 0, 0], torch.tensor([0, 1, 0.5]), atol=1e-5, rtol=0)
    for mode in ('max', 'minmax'):
        assert s.normalize_cam(maps, mode)[0, 1].eq(0).all()  # zero everywhere stays zero
    assert s.normalize_cam(maps, present=torch.tensor([[0, 1]])).eq(0).all()


def test_background_scores():
    assert s.background_score(CAMS, 'constant', 0.3).unique().tolist() == [pytest.approx(0.3)]
    torch.testing.assert_close(s.background_score(CAMS, 'power', 2)[0, 0, 0], torch.tensor([0.16, 0.01, 0.25, 0.81]))
    planes = s.with_background(CAMS, 'constant', 0.5, torch.tensor([[1, 0]]))
    assert planes[0, 2].eq(0).all()
    assert s.scores_to_labels(planes).tolist() == [[[0, 1, 0, 0]]]  # a tie is background's
    assert s.scores_to_labels(planes - 1, torch.tensor([[0, 0]])).eq(0).all()


def test_one_and_two_thresholds():
    assert s.cam_to_seed(CAMS, thr=0.5).tolist() == [[[2, 1, 0, 0]]]
    assert s.cam_to_seed(CAMS, thr=0.5, high_thr=0.7, low_thr=0.1).tolist() == [[[255, 1, 255, 0]]]
    assert s.cam_to_seed(CAMS, torch.tensor([[0, 1]]), thr=0.4).tolist() == [[[2, 0, 2, 0]]]
    assert s.cam_to_seed(CAMS, torch.tensor([[0, 0]]), thr=0.0).tolist() == [[[0, 0, 0, 0]]]  # no tags: background
    box = torch.tensor([[0, 1, 1, 3]])
    assert s.cam_to_seed(CAMS, thr=0.5, img_box=box).tolist() == [[[255, 1, 0, 255]]]
    assert s.cam_to_regions(CAMS, 0.1, 0.6).tolist() == [[[2, 2, 1, 0]]]


def test_merge_and_box():
    strict, loose = torch.tensor([[0, 0, 2, 255]]), torch.tensor([[0, 1, 2, 255]])
    assert s.merge_confident(strict, loose).tolist() == [[0, 255, 2, 255]]
    assert s.box_mask(torch.tensor([[1, 3, 0, 2], [0, 0, 0, 0]]), (3, 3)).int().tolist() == [
        [[0, 0, 0], [1, 1, 0], [1, 1, 0]], [[0] * 3] * 3]


def test_bad_input():
    with pytest.raises(ConfigError, match=r'^high_thr=0\.7, low_thr=None of a seed; give both or neither\.$'):
        s.cam_to_seed(CAMS, high_thr=0.7)
    with pytest.raises(ConfigError, match=r'^low_thr=0\.8 of a seed is above high_thr=0\.7; swap them\.$'):
        s.cam_to_seed(CAMS, high_thr=0.7, low_thr=0.8)
    with pytest.raises(ConfigError, match=r"^kind='soft' of a background score is none of constant, power\.$"):
        s.with_background(CAMS, 'soft')
    with pytest.raises(ConfigError, match=r"^mode='l2' of normalize_cam is none of max, minmax\.$"):
        s.normalize_cam(CAMS, 'l2')
    with pytest.raises(DataError, match=r'^image boxes have the shape \(4,\); give \(batch, 4\) as y0, y1, x0, x1\.$'):
        s.box_mask(torch.zeros(4), (2, 2))
    with pytest.raises(DataError, match='1 of 8 values of the class maps are NaN or infinite'):
        s.normalize_cam(CAMS.where(CAMS != 0.9, torch.nan), check=True)
