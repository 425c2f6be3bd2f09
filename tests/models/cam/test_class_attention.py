"""Class-aware attention affinity: balance by hand, boxes of all regions, maps that stay in their boxes."""
import numpy as np
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam.class_attention import (
    attention_transition,
    choose_attention,
    refine_by_attention,
    region_mask,
    share_boxes,
)


def test_transition_by_hand():
    """A matrix whose rows and columns sum to one stays, so T is the square of its symmetric part."""
    balanced = torch.tensor([[[.75, .25], [.25, .75]]])
    torch.testing.assert_close(attention_transition(4 * balanced), balanced @ balanced)


def test_transition_balances():
    affinity = torch.rand(2, 9, 9) + .1
    sums = attention_transition(affinity, rounds=50).sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-4, atol=1e-4)


def test_blocks_that_disagree_are_left_out():
    """d = sum (P - A): the block of no attention is farther away than the mean."""
    relation = torch.full((1, 2, 2), .5)
    attention = torch.stack([torch.zeros(2, 2), torch.full((2, 2), .4), torch.full((2, 2), .6)])[None]
    torch.testing.assert_close(choose_attention(attention, relation), torch.full((1, 2, 2), .25))


def test_boxes_of_all_regions_lose_the_last_row_and_column():
    scores = np.zeros((6, 8), np.float32)
    scores[1:3, 1:4] = 1
    scores[5, 6:8] = .9
    assert share_boxes(scores, .5).tolist() == [[1, 1, 4, 3], [6, 5, 7, 5]]
    assert share_boxes(np.zeros((6, 8)), .4).tolist() == [[0, 0, 7, 5]]
    mask = region_mask(torch.from_numpy(scores)[None, None], .5)[0, 0]
    assert int(mask.sum()) == 6 and bool(mask[1:3, 1:4].all())


def test_scores_outside_of_the_boxes_do_not_spread():
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 1, 1], maps[0, 0, 2, 3], maps[0, 1] = 1, .2, 1
    uniform = torch.full((1, 16, 16), 1 / 16)
    refined = refine_by_attention(maps, uniform, .4, torch.tensor([[True, False]]))
    torch.testing.assert_close(refined[0, 0], torch.full((4, 4), 1 / 16))
    assert not refined[0, 1].any()


def test_a_batch_is_its_images_and_sizes_must_fit():
    maps, transition = torch.rand(2, 3, 4, 5), torch.rand(2, 20, 20)
    present = torch.tensor([[True, True, False], [False, False, False]])
    both = refine_by_attention(maps, transition, .4, present)
    torch.testing.assert_close(both[:1], refine_by_attention(maps[:1], transition[:1], .4, present[:1]))
    assert not both[1].any() and not both[0, 2].any() and both[0, :2].any()
    with pytest.raises(ConfigError, match=r'transition of shape \(2, 9, 9\); give \(2, 20, 20\)'):
        refine_by_attention(maps, torch.rand(2, 9, 9))
