"""Pairs and walks: by hand, against dense matrices, one by one, and how far they spread."""
import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.refine import AffinityWalk, AttentionWalk, EdgeWalk, divide_by_largest, mix_neighbours, pairs
from mmseg_weak.models.refine.attention import add_background, affinity_transition, radius_mask, spread
from mmseg_weak.models.refine.random_walk import random_walk, transition_weights


def test_directions_and_paths():
    assert len(pairs.search_directions(5)) == 34 and set(pairs.search_directions(5)) == set(pairs.path_directions(5))
    paths = dict(zip(pairs.path_directions(3), pairs.direction_paths(3)))
    assert paths[0, 2] == ((0, 2), (0, 1), (0, 0))
    assert paths[1, -1][0] == (1, -1) and set(paths[1, -1]) == {(1, -1), (0, -1), (1, 0), (0, 0)}
    with pytest.raises(ConfigError) as error:
        pairs.search_directions(1)
    assert str(error.value) == 'radius=1 of an affinity leaves no neighbour; give 2 or more pixels.'


def test_edge_affinity_by_hand():
    edge = torch.tensor([[0.1, 0.7, 0.2, 0.3]]).view(1, 1, 1, 4)
    planes = pairs.edge_affinity(edge, radius=3)
    across = {d: planes[0, k, 0].tolist() for k, d in enumerate(pairs.path_directions(3))}
    assert across[0, 1] == pytest.approx([0.3, 0.3, 0.7, 0]) and across[0, 2] == pytest.approx([0.3, 0.3, 0, 0])
    assert across[1, 0] == [0] * 4  # below lies nothing


def test_feature_affinity_by_hand():
    features = torch.tensor([[[0.0, 1.0]], [[0.0, 3.0]]])[None]
    planes = pairs.feature_affinity(features, radius=2)
    assert planes[0, 0, 0].tolist() == pytest.approx([math.exp(-2), 0]) and planes[0, 1].eq(0).all()


def test_one_step_by_hand():
    # Two pixels with affinity a: T = [[1, a^2], [a^2, 1]] / (1 + a^2).
    affinity = torch.zeros(1, 4, 1, 2)
    affinity[0, 0, 0, 0] = 0.5
    out = random_walk(torch.tensor([1.0, 0.0]).view(1, 1, 1, 2), affinity, pairs.search_directions(2), beta=2,
                      exp_times=0)
    assert out.flatten().tolist() == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize('size', [(18, 21), (3, 90), (40, 7)])
def test_sparse_steps_equal_dense_squaring(size):
    torch.manual_seed(0)
    edge, scores = torch.rand(2, 1, *size, dtype=torch.float64) ** 3, torch.rand(2, 3, *size, dtype=torch.float64)
    directions, affinity = pairs.path_directions(5), pairs.edge_affinity(edge)
    matrix = pairs.affinity_to_matrix(affinity, directions)
    torch.testing.assert_close(matrix, matrix.transpose(1, 2))
    transition = matrix ** 10
    transition = torch.linalg.matrix_power(transition / transition.sum(1, keepdim=True), 2 ** 5)
    expected = ((scores * (1 - edge)).flatten(2) @ transition).view_as(scores)
    assert affinity[0, 0].numel() > 256  # the sparse branch
    torch.testing.assert_close(EdgeWalk(exp_times=5)(scores, edge), expected)
    weights, offsets = transition_weights(affinity, directions, 10)
    torch.testing.assert_close(mix_neighbours(scores, weights, offsets), (scores.flatten(2) @ (
        matrix ** 10 / (matrix ** 10).sum(1, keepdim=True))).view_as(scores))


def test_scores_spread_inside_a_region_and_stop_at_its_edge():
    edge = torch.zeros(1, 1, 20, 30)
    edge[..., 14] = 1
    scores = torch.zeros(1, 2, 20, 30)
    scores[0, 0, 10, 3] = 1
    out = EdgeWalk()(scores, edge)
    assert out[0, 0, :, :14].min() > 0 and out[0, 0, :, 14:].abs().max() == 0 and out[0, 1].eq(0).all()
    assert divide_by_largest(out).max() == 1 and divide_by_largest(out * 0).eq(0).all()


@pytest.mark.parametrize('size', [(10, 12), (17, 19)])
def test_walk_properties(size):
    torch.manual_seed(0)
    scores, edge = torch.rand(3, 4, *size), torch.rand(3, 1, *size)
    walk = EdgeWalk(exp_times=6)
    out = walk(scores, edge)
    torch.testing.assert_close(out, torch.cat([walk(scores[b:b + 1], edge[b:b + 1]) for b in range(3)]), rtol=1e-4,
                               atol=1e-5)
    torch.testing.assert_close(walk(scores.flip(3), edge.flip(3)).flip(3), out, rtol=1e-4, atol=1e-5)
    assert torch.equal(walk(scores, edge), out)
    present = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]).bool()
    torch.testing.assert_close(walk(scores, edge, present), out * present[:, :, None, None], rtol=1e-4, atol=1e-5)
    ones = random_walk(torch.ones(1, 1, *size), pairs.edge_affinity(edge[:1]), pairs.path_directions(), exp_times=6)
    torch.testing.assert_close(ones, torch.ones_like(ones), rtol=1e-4, atol=1e-4)  # columns of T sum to 1
    assert walk(scores[:, :, ::2, ::2], edge).shape == out.shape


def test_affinity_walk_takes_planes():
    features, scores = torch.rand(2, 8, 12, 13), torch.rand(2, 3, 12, 13)
    affinity = pairs.feature_affinity(features)
    out = MODELS.build(dict(type='AffinityWalk', beta=8, exp_times=4))(scores, affinity)
    torch.testing.assert_close(out, random_walk(scores, affinity, pairs.search_directions(), 8, 4))
    cropped = pairs.affinity_to_matrix(pairs.keep_sources(affinity), pairs.search_directions())
    assert cropped[0, 0, 1:].eq(0).all() and cropped[0, 4, 5] == affinity[0, 0, 0, 4]


def test_errors():
    with pytest.raises(DataError) as error:
        EdgeWalk()(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8))
    assert str(error.value) == ('EdgeWalk got edges of shape (2, 3, 8, 8) with scores of shape (2, 3, 8, 8); give '
                                '(2, 1, height, width).')
    with pytest.raises(DataError) as error:
        EdgeWalk()(torch.rand(1, 1, 2, 2), torch.full((1, 1, 2, 2), torch.nan))
    assert str(error.value).startswith('4 of 4 values of the edges are NaN or infinite (images 0 of the batch)')
    with pytest.raises(DataError):
        AffinityWalk()(torch.rand(1, 2, 8, 8), torch.rand(1, 33, 8, 8))
    with pytest.raises(ConfigError) as error:
        EdgeWalk(exp_times=40)
    assert str(error.value) == 'exp_times=40 of EdgeWalk; give 0 to 16, the walk takes 2^exp_times steps.'
    with pytest.raises(ConfigError):
        AffinityWalk(beta=0)
    with pytest.raises(ConfigError) as error:
        pairs.crop_sources(torch.zeros(1, 4, 20), 5)
    assert str(error.value) == ('a map of 4 x 20 has no pixel whose neighbours of radius 5 all lie inside; give at '
                                'least 5 x 9 or a smaller radius.')


# ----------------------------------------------------------------------------------------------------------- attention
def test_attention_by_hand():
    affinity = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
    transition = affinity_transition(affinity, power=2, offset=0.75)
    assert transition[0].tolist() == [[0.5, 0.125], [0.125, 0.5]]
    assert spread(torch.tensor([2.0, 0.0]).view(1, 1, 1, 2), transition, 2).flatten().tolist() == [0.53125, 0.25]
    assert affinity_transition(affinity, torch.eye(2), offset=1)[0].tolist() == [[0.5, 0], [0, 0.5]]
    planes = add_background(torch.tensor([0.3, 0.9]).view(1, 2, 1, 1), torch.tensor([[1, 0]]), 0.3)
    assert planes.flatten().tolist() == [0.5, 0.5, 0]
    assert add_background(torch.rand(1, 2, 1, 1), torch.zeros(1, 2), 0.3).flatten().tolist() == [1, 0, 0]


def test_radius_mask_is_a_square():
    mask = radius_mask((3, 4), 1).view(3, 4, 3, 4)
    assert mask[1, 1].int().tolist() == [[1, 1, 1, 0]] * 3 and mask[0, 3].sum() == 4


def test_attention_walk():
    torch.manual_seed(0)
    scores, affinity = torch.rand(2, 3, 4, 5), torch.rand(2, 20, 20)
    walk = MODELS.build(dict(type='AttentionWalk', radius=2))
    out = walk(scores, affinity)
    torch.testing.assert_close(out, torch.cat([walk(scores[b:b + 1], affinity[b:b + 1]) for b in range(2)]))
    torch.testing.assert_close(out, spread(scores, affinity_transition(affinity, radius_mask((4, 5), 2))))
    present = torch.tensor([[1, 0, 1], [0, 0, 0]]).bool()
    torch.testing.assert_close(walk(scores, affinity, present), out * present[:, :, None, None])
    with_background = AttentionWalk(bkg_score=0.35, radius=None)(scores, affinity, present)
    assert with_background.shape == (2, 4, 4, 5) and with_background[1, 1:].eq(0).all()
    assert with_background[0, 2].eq(0).all() and with_background[1, 0].min() > 0
    with pytest.raises(DataError) as error:
        walk(scores, affinity[:, :19])
    assert str(error.value) == ('AttentionWalk got an affinity of shape (2, 19, 20) with scores of shape (2, 3, 4, 5); '
                                'give (batch, classes, h, w) and (batch, h w, h w).')
    with pytest.raises(DataError):
        walk(scores * torch.nan, affinity)
    with pytest.raises(ConfigError):
        AttentionWalk(steps=0)
