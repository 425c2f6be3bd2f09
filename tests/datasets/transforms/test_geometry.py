"""Geometry: image, maps and boxes move together, draws can be replayed, inputs stay untouched."""
import numpy as np
import pytest
import torch

from mmseg_weak.datasets.semi import seeded
from mmseg_weak.datasets.transforms import CentreView, PackSemiInputs, RandomFlipFields, RandomRescale


def sample(height=24, width=32):
    """Image whose red channel is the column and whose map is the column too."""
    columns = np.tile(np.arange(width, dtype=np.uint8) * 4, (height, 1))
    return dict(img=np.stack([columns] * 3, 2), gt_seg_map=columns.copy(), hidden_seg_map=columns.copy(),
                seg_fields=['gt_seg_map', 'hidden_seg_map'], gt_boxes=np.float32([[4, 2, 10, 8]]),
                img_shape=(height, width))


def test_a_flip_turns_everything_and_leaves_the_input_alone():
    before = sample()
    image = before['img'].copy()
    after = RandomFlipFields(prob=1.0)(dict(before))
    for key in ('gt_seg_map', 'hidden_seg_map'):
        assert (after[key] == after['img'][..., 0]).all()
    assert after['gt_boxes'].tolist() == [[22, 2, 28, 8]]
    assert (before['img'] == image).all()
    assert RandomFlipFields(prob=0.0)(sample())['flip'] is False


def test_a_flip_happens_half_the_time():
    with seeded(0):
        flips = [RandomFlipFields(0.5)(sample(4, 4))['flip'] for _ in range(400)]
    assert abs(np.mean(flips) - 0.5) < 0.1  # 4 standard errors


@pytest.mark.parametrize('shape', [(24, 32), (32, 24), (30, 30)])
def test_rescaling_draws_the_long_side_and_keeps_the_shape(shape):
    long_sides = set()
    with seeded(1):
        for _ in range(60):
            after = RandomRescale((0.5, 2.0))(sample(*shape))
            height, width = after['img_shape']
            assert after['gt_seg_map'].shape == after['hidden_seg_map'].shape == (height, width)
            assert abs(height / width - shape[0] / shape[1]) < 0.06
            assert np.abs(after['img'][..., 0].astype(int) - after['gt_seg_map']).max() <= 8  # two columns
            long_sides.add(max(height, width))
    assert min(long_sides) >= max(shape) // 2
    assert max(long_sides) <= max(shape) * 2
    assert len(long_sides) > 20


def test_boxes_scale_with_the_image():
    with seeded(2):
        after = RandomRescale((2.0, 2.0))(sample())
    assert after['gt_boxes'].tolist() == [[8, 4, 20, 16]]


def test_a_draw_can_be_replayed():
    runs = []
    for _ in range(2):
        with seeded(5):
            runs.append(RandomFlipFields()(RandomRescale()(sample()))['img'])
    assert np.array_equal(*runs)


def test_packing_keeps_what_is_there_and_adds_nothing():
    packed = PackSemiInputs()(dict(sample(), gt_image_label=np.uint8([1, 0]), gt_box_labels=np.array([3]),
                                   caption='a cat', modalities=dict(depth=np.zeros((24, 32), np.float32))))
    fields = packed['data_samples']
    assert packed['inputs'].shape == (3, 24, 32)
    assert packed['inputs'].is_contiguous()
    assert torch.equal(fields.gt_sem_seg.data[0].to(torch.uint8), packed['inputs'][0])
    assert (fields.gt_boxes.bboxes.shape, fields.gt_boxes.labels.tolist()) == ((1, 4), [3])
    assert fields.modalities['depth'].shape == (1, 24, 32)
    assert fields.caption == 'a cat'
    assert list(PackSemiInputs()(dict(img=sample()['img']))['data_samples'].keys()) == []


@pytest.mark.parametrize('size', [(24, 32), (40, 13), (320, 427)])
def test_the_centre_view_is_pillows(size):
    from PIL import Image
    before, side = sample(*size), 16
    after = CentreView(side)(dict(before))
    short = min(size)
    height, width = (side if n == short else int(side * n / short) for n in size)
    picture = np.asarray(Image.fromarray(before['img']).resize((width, height), Image.NEAREST))
    top, left = round((height - side) / 2), round((width - side) / 2)
    assert (after['img'] == picture[top:top + side, left:left + side]).all()
    assert (after['gt_seg_map'] == after['img'][..., 0]).all()
    assert after['ori_shape'] == after['img_shape'] == (side, side)
