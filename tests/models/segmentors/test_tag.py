"""The frame of image-tag methods: tags, seeds, and predictions with and without tags."""
import pytest
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.segmentors import TagSegmentor, image_boxes


class Fixed(TagSegmentor):
    """Maps are colour channels: class 1 is red, class 2 green."""
    has_decoder = True

    def __init__(self, **kwargs):
        super().__init__(num_classes=3, **kwargs)
        self.scale = nn.Parameter(torch.ones(()))

    def class_maps(self, images):
        return images[:, :2] * self.scale

    def tag_logits(self, images):
        return images[:, :2].amax((2, 3)) - 0.5

    def decode_logits(self, images):
        return torch.cat([torch.zeros_like(images[:, :1]), images[:, :2] * 10 - 5], 1)

    def loss(self, inputs, data_samples):
        return dict(loss=self.scale)


def sample(tags=None, **meta):
    out = SegDataSample(metainfo=dict(img_path='a.png', **meta))
    if tags is not None:
        out.set_data(dict(gt_image_label=torch.tensor(tags, dtype=torch.uint8)))
    return out


@pytest.fixture
def image():
    """Left half red, right half green, a dark bottom row."""
    x = torch.zeros(1, 3, 8, 8)
    x[:, 0, :, :4], x[:, 1, :, 4:] = 1, 1
    x[:, :, 7] = 0
    return x


def test_seed_prediction_keeps_to_the_tags(image):
    model = Fixed(seed=dict(scales=(1.0,), flip='none'))
    both, red = model.predict(torch.cat([image, image]), [sample([1, 1], ori_shape=(8, 8)),
                                                         sample([1, 0], ori_shape=(8, 8))])
    label = both.pred_sem_seg.data[0]
    assert (label[:7, :4] == 1).all() and (label[:7, 4:] == 2).all() and (label[7] == 0).all()
    assert set(red.pred_sem_seg.data.unique().tolist()) == {0, 1}
    assert red.seg_logits.data.shape == (3, 8, 8) and float(red.seg_logits.data[2].max()) == 0
    assert float(both.seg_logits.data[0].max()) == pytest.approx(0.15)


def test_images_without_tags_are_predicted_with_their_own(image):
    only_red = image.clone()
    only_red[:, 1] = 0
    out, = Fixed(seed=dict(scales=(1.0,), flip='none')).predict(only_red, [sample(ori_shape=(8, 8))])
    assert set(out.pred_sem_seg.data.unique().tolist()) == {0, 1}


def test_no_tag_at_all_is_background(image):
    out, = Fixed(seed=dict(scales=(1.0,), flip='none')).predict(image, [sample([0, 0], ori_shape=(8, 8))])
    assert (out.pred_sem_seg.data == 0).all()


def test_padding_is_cut_and_the_size_is_the_photographs(image):
    model = Fixed(seed=dict(scales=(1.0,), flip='none'))
    meta = dict(ori_shape=(12, 8), padding_size=(0, 4, 0, 2))
    assert image_boxes([sample(**meta)], (8, 8)).tolist() == [[0, 6, 0, 4]]
    out, = model.predict(image, [sample([1, 1], **meta)])
    assert out.pred_sem_seg.data.shape == (1, 12, 8)
    assert (out.pred_sem_seg.data == 1).all()  # green lies in the padding


def test_decoder_mode_gives_probabilities_and_ignores_tags_unless_asked(image):
    out, = Fixed(test_cfg=dict(mode='decode')).predict(image, [sample([1, 0], ori_shape=(8, 8))])
    assert set(out.pred_sem_seg.data.unique().tolist()) == {0, 1, 2}
    assert torch.allclose(out.seg_logits.data.sum(0), torch.ones(8, 8))
    out, = Fixed(test_cfg=dict(mode='decode', use_tags=True)).predict(image, [sample([1, 0], ori_shape=(8, 8))])
    assert set(out.pred_sem_seg.data.unique().tolist()) == {0, 1}


def test_multiples_of_a_patch(image):
    model = Fixed(seed=dict(scales=(1.0, 0.5), flip='max', multiple=8))
    assert model.aligned(image[..., :7, :5]).shape[-2:] == (8, 8)
    out, = model.predict(image[..., :7, :], [sample([1, 1], ori_shape=(7, 8))])
    assert out.pred_sem_seg.data.shape == (1, 7, 8)


def test_raw_images_undo_the_normalisation():
    preprocessor = dict(type='SegDataPreProcessor', mean=[10., 20., 30.], std=[2., 4., 8.], bgr_to_rgb=True,
                        size=(4, 4))
    model = Fixed(data_preprocessor=preprocessor)
    bgr = torch.randint(256, (3, 4, 4), dtype=torch.uint8)
    data = model.data_preprocessor(dict(inputs=[bgr], data_samples=[sample([1, 0])]), True)
    assert torch.allclose(model.raw_images(data['inputs'])[0], bgr.flip(0).float(), atol=1e-4)


def test_refiner_sees_scores_with_background(image):
    model = Fixed(seed=dict(scales=(1.0,), flip='none'), refiner=dict(type='PAR', num_iter=1, dilations=(1,)))
    out, = model.predict(image, [sample([1, 1], ori_shape=(8, 8))])
    assert torch.isfinite(out.seg_logits.data).all()


@pytest.mark.parametrize('kwargs, text', [
    (dict(seed=dict(scale=(1,))), "'scale'"),
    (dict(test_cfg=dict(mode='cam')), "'cam'"),
])
def test_wrong_keys_are_named(kwargs, text):
    with pytest.raises(ConfigError, match=text):
        Fixed(**kwargs)


def test_wrong_tags_are_named():
    model = Fixed()
    with pytest.raises(DataError, match='a.png has 3 tags and the model has 2'):
        model.tags([sample([1, 0, 0])])
    with pytest.raises(DataError, match='a.png came without image tags'):
        model.tags([sample()])
    assert model.tags([sample([0, 0])]).tolist() == [[0, 0]]


