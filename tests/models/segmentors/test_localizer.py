"""The frame of localisers: crops, what is written on a sample, one class an image."""
import pytest
import torch
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weak.models.segmentors.localizer import Localizer, ten_crops


class Bright(Localizer):
    """The brighter a pixel, the more of its object; the class is the mean's place among K steps."""

    def __init__(self, **options):
        super().__init__(num_classes=4, **options)
        self.weight = nn.Parameter(torch.ones(1))
        self.seen = []

    def loss(self, inputs, data_samples):
        return dict(loss=self.weight.sum())

    def localise(self, images, labels, topk):
        self.seen.append((tuple(images.shape), None if labels is None else labels.tolist(), topk))
        scores = torch.zeros(len(images), 3)
        scores[:, 1] = images.mean((1, 2, 3))
        return scores, images[:, :1]


def sample(tag=None, boxes=None):
    one = SegDataSample(metainfo=dict(ori_shape=(8, 12), img_path='a.png'))
    if tag is not None:
        one.set_data(dict(gt_image_label=torch.eye(3, dtype=torch.uint8)[tag]))
    if boxes is not None:
        one.gt_boxes = InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32), labels=torch.tensor([1]))
    return one


def test_ten_crops_by_hand():
    image = torch.arange(15.).view(1, 1, 3, 5)
    crops = ten_crops(image, (1, 3))
    assert crops[:5, 0, 0].tolist() == [[0, 1, 2], [2, 3, 4], [10, 11, 12], [12, 13, 14], [6, 7, 8]]
    assert torch.equal(crops[5:], crops[:5].flip(-1))


def test_box_map_and_mask():
    images = torch.zeros(1, 3, 8, 12)
    images[..., 2:5, 3:9] = 2
    one = Bright(test_cfg=dict(box_thr=0.5)).predict(images, [sample(0)])[0]
    assert one.pred_boxes.bboxes.tolist() == [[3, 2, 9, 5]] and one.pred_boxes.labels.tolist() == [1]
    assert torch.equal(one.pred_sem_seg.data[0] > 0, images[0, 0] > 1) and one.pred_sem_seg.data.max() == 2
    torch.testing.assert_close(one.seg_logits.data.sum(0), torch.ones(8, 12))


def test_crop_and_given_class():
    model = Bright(test_cfg=dict(crop=6, ten_crop=True))
    images = torch.rand(2, 3, 8, 12)
    first, _ = model.predict(images, [sample(0, [[2, 0, 11, 9]]), sample(2)])
    assert model.seen == [((2, 3, 6, 6), [0, 2], 1), ((20, 3, 6, 6), None, 1)]
    assert first.loc_map.data.shape == (1, 6, 6) and first.gt_boxes.bboxes.tolist() == [[0, 0, 6, 6]]
    inside = first.seg_logits.data[1, 1:7, 3:9]
    torch.testing.assert_close(inside, first.loc_map.data[0])
    assert first.seg_logits.data[1].sum() == pytest.approx(float(inside.sum()))
    model.predict(images, [sample(), sample()])  # no class known: the best scored one's map
    assert model.seen[-2][1] is None


def test_tensor_mode_and_small_images():
    model = Bright(test_cfg=dict(crop=100))
    assert model(torch.rand(1, 3, 4, 5)).shape == (1, 1, 4, 5)
    assert model.predict(torch.rand(1, 3, 4, 5))[0].loc_map.data.shape == (1, 4, 5)
