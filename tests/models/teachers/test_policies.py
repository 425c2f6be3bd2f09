"""Thresholds of pseudo labels."""
import numpy as np
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers import DynamicThreshold, FixedThreshold, PerClassThreshold, QuantileThreshold
from mmseg_weak.models.teachers.policies import quantile_threshold, sigmoid_threshold

CONF = torch.tensor([[[0.2, 0.4], [0.6, 0.99]]])
PSEUDO = torch.tensor([[[0, 0], [1, 1]]])
ALL = torch.ones(1, 2, 2, dtype=torch.bool)


def test_fixed_is_inclusive_and_drops_padding():
    kept = FixedThreshold(2, conf_thr=0.6)(CONF, PSEUDO, ALL)
    assert kept.tolist() == [[[False, False], [True, True]]]
    valid = ALL.clone()
    valid[0, 1, 1] = False
    assert FixedThreshold(2, conf_thr=0.6)(CONF, PSEUDO, valid).sum() == 1


@pytest.mark.parametrize('q', [0.0, 0.1, 0.37, 0.5, 0.8, 1.0])
def test_quantile_equals_numpy_on_the_valid_pixels(q):
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, 7, 5, generator=generator)
    valid = torch.rand(2, 7, 5, generator=generator) < 0.7
    assert float(quantile_threshold(values, valid, q)) == pytest.approx(
        float(np.quantile(values[valid].numpy(), q)), rel=1e-6)


def test_quantile_with_nothing_valid_keeps_nothing():
    kept = QuantileThreshold(2, keep_ratio=0.5)(CONF, PSEUDO, ~ALL)
    assert not kept.any()


def test_quantile_keeps_its_share():
    conf = torch.rand(2, 50, 50, generator=torch.Generator().manual_seed(1))
    kept = QuantileThreshold(2, keep_ratio=0.3)(conf, torch.zeros_like(conf).long(), torch.ones_like(conf).bool())
    assert kept.float().mean().item() == pytest.approx(0.3, abs=0.001)


def test_dynamic_by_hand():
    # 0.6 / (1 + exp(-0.5 * (0.5475 - 0.5)))
    expected = 0.6 / (1 + np.exp(-0.5 * (CONF.mean().item() - 0.5)))
    assert float(sigmoid_threshold(CONF.mean())) == pytest.approx(expected, rel=1e-6)
    assert DynamicThreshold(2)(CONF, PSEUDO, ALL).sum() == 3  # threshold 0.3035
    assert float(sigmoid_threshold(torch.tensor(0.0), base_thr=0.5)) == pytest.approx(0.3)


def test_per_class_learns_in_train_mode_only_and_keeps_it_in_the_state_dict():
    policy = PerClassThreshold(3, conf_thr=0.9, momentum=1.0)
    policy.train()
    kept = policy(CONF, PSEUDO, ALL)
    assert policy.class_conf.tolist() == pytest.approx([0.3, 0.795, 1 / 3])
    # thresholds 0.9 * (0.3 / 0.795) = 0.34 and 0.9
    assert kept.tolist() == [[[False, True], [False, True]]]
    policy.eval()
    policy(CONF * 0.1, PSEUDO, ALL)
    assert policy.class_conf.tolist() == pytest.approx([0.3, 0.795, 1 / 3])
    other = PerClassThreshold(3)
    other.load_state_dict(policy.state_dict())
    assert torch.equal(other.class_conf, policy.class_conf)


def test_bad_arguments():
    with pytest.raises(ConfigError, match=r'^conf_thr is 95; a probability lies in \[0, 1\]\.$'):
        FixedThreshold(2, conf_thr=95)
    with pytest.raises(ConfigError, match=r'^keep_ratio is 0; a share to keep lies in \(0, 1\]\.$'):
        QuantileThreshold(2, keep_ratio=0)
