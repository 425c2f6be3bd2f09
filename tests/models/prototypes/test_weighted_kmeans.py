"""Weighted k-means: by hand, weights are repetitions, fewer points than clusters."""
import torch

from mmseg_weak.models.prototypes.weighted_kmeans import weighted_kmeans


def test_two_groups_have_their_weighted_means():
    points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 9.0]])
    found = weighted_kmeans(points, torch.tensor([3.0, 1.0, 1.0, 1.0]), 2)
    assert sorted(found.tolist()) == [[0.0, 0.25], [9.0, 9.0]]


def test_a_weight_is_a_repetition_and_weight_0_leaves_out():
    generator = torch.Generator().manual_seed(0)
    points = torch.cat([torch.randn(12, 3, generator=generator) + 8 * i for i in range(3)])
    times = torch.randint(0, 4, (36, ), generator=generator)
    repeated = points.repeat_interleave(times, 0)
    one, other = (weighted_kmeans(p, w, 3) for p, w in ((points, times.float()), (repeated, torch.ones(len(repeated)))))
    torch.testing.assert_close(one.sort(0).values, other.sort(0).values)
    assert torch.equal(one, weighted_kmeans(points, times.float(), 3))  # a run equals its repeat


def test_fewer_points_than_clusters():
    same = torch.ones(5, 2)
    assert weighted_kmeans(same, torch.ones(5), 3).tolist() == [[1, 1]]
    assert weighted_kmeans(same, torch.zeros(5), 3).shape == (0, 2)
    two = weighted_kmeans(torch.tensor([[0.0], [1.0]]), torch.ones(2), 4)
    assert sorted(two.flatten().tolist()) == [0, 1]
