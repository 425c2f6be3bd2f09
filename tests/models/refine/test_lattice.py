"""The permutohedral lattice: against the exact kernel, its own transpose, batches, and the published filter."""
import numpy as np
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.refine import PermutohedralLattice
from mmseg_weak.models.refine.dense_crf import ExactFilter, bilateral_features


def test_points_of_one_place_are_one_point():
    # All features equal: everybody reads alpha * sum_v (corner weight)^2 * (sum of values), the same for all.
    features = torch.tensor([0.3, -0.7]).expand(1, 5, 2)
    values = torch.rand(1, 5, 3)
    lattice = PermutohedralLattice(features)
    assert lattice.size == 3
    out = lattice.filter(values)
    single = PermutohedralLattice(features[:, :1]).filter(torch.ones(1, 1, 1)).item()
    torch.testing.assert_close(out, single * values.sum(1, keepdim=True).expand(1, 5, 3))
    assert 0.3 < single <= 1


def test_point_on_a_corner_by_hand():
    # d=1: the origin is a corner of remainder 0 and has all the weight; the simplex's other corner has none. Both
    # directions run along the one line: (1, 0) -> (1, 1/2) -> (5/4, 1); the slice multiplies with 1 / (1 + 2^-1).
    lattice = PermutohedralLattice(torch.zeros(1, 1, 1))
    assert lattice.weights.tolist() == [[1, 0]]
    assert lattice.filter(torch.ones(1, 1, 1)).item() == pytest.approx(5 / 6)


@pytest.mark.parametrize('d', [1, 2, 3, 5])
def test_close_to_the_exact_kernel(d):
    torch.manual_seed(0)
    features = torch.rand(2, 800, d, dtype=torch.float64) * 3
    values = torch.rand(2, 800, 3, dtype=torch.float64)
    mine, exact = PermutohedralLattice(features), ExactFilter(features)
    ones = torch.ones(2, 800, 1, dtype=torch.float64)
    smooth, truth = (f.filter(values) / f.filter(ones) for f in (mine, exact))
    assert (smooth - truth).abs().mean() < 0.1 * (values - truth).abs().mean()
    assert np.corrcoef(mine.filter(ones).flatten(), exact.filter(ones).flatten())[0, 1] > 0.97


def test_reverse_is_the_transpose():
    torch.manual_seed(0)
    features = torch.randn(2, 60, 3, dtype=torch.float64)
    a, b = torch.rand(2, 60, 4, dtype=torch.float64), torch.rand(2, 60, 4, dtype=torch.float64)
    lattice = PermutohedralLattice(features)
    assert (lattice.filter(a) * b).sum().item() == pytest.approx((lattice.filter(b, reverse=True) * a).sum().item())


def test_batch_is_its_samples_and_a_replay_is_equal():
    torch.manual_seed(0)
    image = torch.randint(256, (3, 3, 12, 9)).float()
    features, values = bilateral_features(image, 5, 20), torch.rand(3, 108, 4)
    out = PermutohedralLattice(features).filter(values)
    one = torch.cat([PermutohedralLattice(features[b:b + 1]).filter(values[b:b + 1]) for b in range(3)])
    torch.testing.assert_close(out, one)
    assert torch.equal(PermutohedralLattice(features).filter(values), out)


def test_too_narrow_a_kernel_is_refused():
    with pytest.raises(ConfigError) as error:
        PermutohedralLattice(torch.rand(1, 4, 5) * 1e6)
    assert 'lattice cells, more than can be numbered; give wider kernels (sxy, srgb) or smaller images.' in str(
        error.value)


def test_published_filter(shared):
    """The filter of ToCo's energy loss, without normalisation."""
    with np.load(shared / 'parity/toco/energy_loss.npz') as golden:
        image, values, expected = (torch.from_numpy(golden[f'filter_{k}']) for k in ('image', 'in', 'out'))
    out = PermutohedralLattice(bilateral_features(image, 100, 15)).filter(values.flatten(2).transpose(1, 2))
    torch.testing.assert_close(out.transpose(1, 2).view_as(expected), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_gpu_agrees():
    features, values = torch.rand(2, 500, 5) * 4, torch.rand(2, 500, 3)
    out = PermutohedralLattice(features.cuda()).filter(values.cuda()).cpu()
    torch.testing.assert_close(out, PermutohedralLattice(features).filter(values), rtol=1e-4, atol=1e-5)
