"""Shapes of mixing: inside the image, of the size asked for, replayable, and the mixing itself."""
import pytest
import torch

from mmseg_weak.models.teachers.mixing import (
    BoxUniforms,
    box_masks,
    class_masks,
    cutmix_box,
    draw_box_uniforms,
    draw_cutmix_masks,
    half_area_boxes,
    mix,
    rectangles_to_masks,
    uniforms,
)


def test_mix_shows_the_second_inside():
    first, second = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    mask = torch.tensor([[[1, 0], [0, 0]], [[0, 0], [0, 1]]]).bool()
    assert mix(first, second, mask)[:, 1].tolist() == mask.float().tolist()
    assert mix(torch.full((2, 2, 2), 7), torch.full((2, 2, 2), 8), mask)[0].tolist() == [[8, 7], [7, 7]]
    assert first.sum() == 0 and second.sum() == 24  # untouched


def test_overlapping_boxes_toggle():
    boxes = torch.tensor([[[0, 0, 2, 2], [1, 1, 3, 3]]])
    assert rectangles_to_masks(boxes, (3, 3))[0].int().tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 1]]


def test_cutmix_box_by_hand():
    # exists; area 0.2 x 20 x 40 = 160; then (aspect 1.6, left 36, top 0), which leaves the image, then (1.6, 10, 2)
    given = iter([0.5, 0.5, 0.6, 0.9, 0.0, 0.6, 0.25, 0.1])
    assert cutmix_box((20, 40), given.__next__, area_ratio=(0.1, 0.3), aspect=(1.0, 2.0)) == (2, 10, 18, 20)
    assert next(given, None) is None


def test_cutmix_box_exists_with_its_probability():
    torch.manual_seed(0)
    draw = uniforms()
    boxes = [cutmix_box((32, 48), draw) for _ in range(400)]
    real = [b for b in boxes if b[2] > b[0] and b[3] > b[1]]
    assert 160 < len(real) < 240
    assert all(b[2] <= 32 and b[3] <= 48 for b in boxes)
    share = [(b[2] - b[0]) * (b[3] - b[1]) / (32 * 48) for b in real]
    assert max(share) <= 0.4 and min(share) > 0.005
    assert cutmix_box((32, 32), lambda: 0.5, prob=0.0) == (0, 0, 0, 0)


def test_masks_are_a_function_of_the_seed():
    torch.manual_seed(3)
    first = draw_cutmix_masks(4, (16, 24), prob=1.0)
    torch.manual_seed(3)
    assert torch.equal(draw_cutmix_masks(4, (16, 24), prob=1.0), first)
    assert first.shape == (4, 16, 24) and first.flatten(1).any(1).all()


@pytest.mark.parametrize('options', [dict(), dict(random_aspect_ratio=False), dict(prop_by_area=False),
                                     dict(prop_by_area=False, random_aspect_ratio=False)])
def test_one_box_has_its_area(options):
    given = draw_box_uniforms(50, generator=torch.Generator().manual_seed(0))
    inside = box_masks(given, (60, 80), prop_range=(0.5, 0.5), **options)
    share = inside.float().mean((1, 2))
    expected = 0.5 if options.get('prop_by_area', True) else 0.25
    assert (share - expected).abs().max() < 0.03  # sides are rounded to pixels
    assert torch.equal(box_masks(given, (60, 80), prop_range=(0.5, 0.5), invert=False, **options), ~inside)


def test_box_by_hand():
    given = BoxUniforms(torch.zeros(1, 1), torch.full((1, 1), 0.5), torch.tensor([[[0.0, 1.0]]]))
    mask = box_masks(given, (4, 8), prop_range=(0.25, 0.25))  # sides 1/2 and 1/2, top right
    assert mask[0].int().tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2 + [[0] * 8] * 2


def test_zero_area_gives_no_box():
    assert not box_masks(draw_box_uniforms(3), (8, 8), prop_range=(0.0, 0.0)).any()


def test_box_out_of_bounds_is_cut_off():
    given = BoxUniforms(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1, 2))
    options = dict(prop_range=(0.25, 0.25), random_aspect_ratio=False, within_bounds=False)
    assert box_masks(given, (8, 8), **options)[0].sum() == 4
    assert box_masks(given, (8, 8), as_published=True, **options)[0].sum() == 0  # a negative slice


def test_half_area_box():
    masks = half_area_boxes(torch.rand(100, 3, generator=torch.Generator().manual_seed(0)), (33, 40))
    share = masks.float().mean((1, 2))
    assert (share - 0.5).abs().max() < 0.02
    assert masks.any(1).sum(1).min() >= 21  # at least half of the width and one more


def test_class_mask_takes_whole_classes():
    label = torch.tensor([[[0, 0, 1], [2, 2, 255]], [[1, 1, 1], [1, 255, 255]]])
    mask = class_masks(label, torch.tensor([[0.9, 0.1, 0.5], [0.0, 0.0, 0.0]]))
    assert mask.int().tolist() == [[[0, 0, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]  # floor(3/2) = 1, floor(1/2) = 0
    mask = class_masks(label, torch.tensor([[0.9, 0.1, 0.5], [0.0, 0.0, 0.0]]), round_up=True)
    assert mask.int().tolist() == [[[0, 0, 1], [1, 1, 0]], [[1, 1, 1], [1, 0, 0]]]


def test_batch_equals_its_samples():
    given = draw_box_uniforms(5, 3, torch.Generator().manual_seed(1))
    whole = box_masks(given, (20, 30), prop_range=(0.25, 0.5))
    for i in range(5):
        one = BoxUniforms(given.size[i:i + 1], given.aspect[i:i + 1], given.position[i:i + 1])
        assert torch.equal(box_masks(one, (20, 30), prop_range=(0.25, 0.5)), whole[i:i + 1])
