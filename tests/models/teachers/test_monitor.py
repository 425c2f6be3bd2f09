"""Counts of pseudo labels."""
import pytest
import torch

from mmseg_weak.models.teachers import PseudoLabelMonitor


def test_shares_by_hand_and_reset():
    monitor = PseudoLabelMonitor(3, stride=1)
    pseudo = torch.tensor([[[0, 0], [1, 255]]])
    conf = torch.tensor([[[0.9, 0.5], [0.7, 1.0]]])
    kept = torch.tensor([[[True, False], [True, True]]])
    monitor.hidden = torch.tensor([[[0, 1], [2, 0]]])
    monitor.update(pseudo, conf, kept)
    out = monitor.summary(['road', 'car', 'bus'])
    assert out == pytest.approx({
        'pseudo/kept': 2 / 3, 'pseudo/kept/road': 0.5, 'pseudo/kept/car': 1.0,
        'pseudo/conf': 0.7, 'pseudo/conf/road': 0.7, 'pseudo/conf/car': 0.7,
        'pseudo/acc': 0.5, 'pseudo/acc/road': 1.0, 'pseudo/acc/car': 0.0})
    assert monitor.summary(['road', 'car', 'bus']) == {}


def test_padding_is_not_counted():
    monitor = PseudoLabelMonitor(2, stride=1)
    valid = torch.tensor([[[True, False]]])
    monitor.update(torch.zeros(1, 1, 2).long(), torch.ones(1, 1, 2), torch.ones(1, 1, 2).bool(), valid)
    assert monitor.counts[0].tolist() == [1.0, 0.0]
    assert 'counts' not in monitor.state_dict()
