"""MARS: equations (1) to (7) by hand, rails taken away from a train, labels that stay apart, a step of training."""
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.methods.weak import mars

TRAIN, RAIL, GRASS = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # BGR


@MODELS.register_module(force=True)
class ColourDirections(nn.Module):
    """Embeddings are the colours themselves: train, rail and grass are orthogonal."""

    def forward(self, x):
        return x

    def init_weights(self):
        """None."""


EXTRACTOR = dict(backbone=dict(type='ColourDirections'), mean=(0, 0, 0), std=(255, 255, 255))


def test_distance_equals_the_direct_sum():
    objects, backgrounds = torch.randn(5, 6), torch.randn(40, 6)
    direct = (1 - torch.cosine_similarity(objects[:, None], backgrounds[None], dim=2)) / 2
    found = mars.background_distance(objects, mars.sum_directions(backgrounds), 40)
    torch.testing.assert_close(found, direct.mean(1))
    by_hand = mars.background_distance(torch.tensor([[3.0, 0.0]]), mars.sum_directions(torch.tensor([[0.0, 2.0],
                                                                                                    [-1.0, 0.0]])), 2)
    torch.testing.assert_close(by_hand, torch.tensor([0.75]))  # (1/2 + 1) / 2


def test_debiased_centroid_is_the_mean_of_the_farthest_share():
    centroids = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0], [5.0, 5.0], [2.0, 2.0]])
    distance = torch.tensor([0.1, 0.9, 0.8, 0.2, 0.3])
    torch.testing.assert_close(mars.debiased_centroid(centroids, distance, 0.4), torch.tensor([0.0, 2.0]))  # 2 of 5
    torch.testing.assert_close(mars.debiased_centroid(centroids[:3], distance[:3], 0.4), torch.tensor([0.0, 2.0]))
    assert mars.debiased_centroid(centroids[:1], distance[:1], 0.01).tolist() == [1, 0]


def test_target_is_the_largest_cosine_with_the_images_classes():
    features = torch.tensor([[[1.0, 0.0, -1.0, 3.0]], [[0.0, 2.0, 0.0, 3.0]]])  # (2,1,4)
    found = mars.target_map(features, torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 1.0, 0.0, 0.5 ** 0.5]]))
    assert mars.target_map(features, torch.zeros(0, 2)).tolist() == [[0, 0, 0, 0]]


def test_biased_pixels_stay_apart_from_unknown_ones():
    labels, biased = mars.debias_labels(torch.tensor([0, 1, 1, 255, 2]),
                                        torch.tensor([False, True, False, False, False]))
    assert labels.tolist() == [0, 1, 255, 255, 255] and biased.tolist() == [False, False, True, False, True]
    done = mars.complement(labels, biased, torch.tensor([2, 2, 2, 2, 0]))
    assert done.tolist() == [0, 1, 2, 255, 0]


def test_certain_mask_is_of_the_tags_and_leaves_the_background_out():
    probs = torch.tensor([0.5, 0.2, 0.3]).view(1, 3, 1, 1).expand(2, 3, 1, 2)
    biased = torch.tensor([[[True, False]], [[True, True]]])
    found = mars.certain_mask(probs, biased, torch.tensor([[1, 0], [0, 0]]))
    torch.testing.assert_close(found, torch.tensor([[[0.2, 1.0]], [[0.0, 0.0]]]))
    both = mars.certain_mask(probs[:1], biased[:1], torch.tensor([[1, 1]]))
    torch.testing.assert_close(both, torch.tensor([[[0.3, 1.0]]]))


def test_weighted_cross_entropy():
    logits = torch.tensor([0.75, 0.25]).log().view(1, 2, 1, 1).repeat(1, 1, 1, 3).requires_grad_()
    target, weight = torch.tensor([[[0, 1, 255]]]), torch.tensor([[[1.0, 0.5, 1.0]]])
    loss = mars.weighted_cross_entropy(logits, target, weight)
    by_hand = (-torch.tensor(0.75).log() - 0.5 * torch.tensor(0.25).log()) / 2
    torch.testing.assert_close(loss, by_hand)
    loss.backward()
    assert logits.grad[..., 2].count_nonzero() == 0
    nothing = mars.weighted_cross_entropy(logits, torch.full((1, 1, 3), 255), weight)
    nothing.backward()
    assert nothing == 0
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    labels, w = torch.tensor([[[0, 1], [2, 255]]]), torch.rand(1, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: mars.weighted_cross_entropy(v, labels, w), (x, ))


def scene(kind):
    """A 32x32 image and pseudo mask: a train on its rails, taken as one; rails alone, or grass alone, as background."""
    image, mask = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    image[:] = GRASS
    if kind != 'grass':
        image[16:24, 4:28] = RAIL
    if kind == 'train':
        image[8:16, 4:28] = TRAIN
        mask[8:24, 4:28] = 1
        mask[0, 0] = 255
    return image, mask


def test_rails_are_taken_away_from_the_train():
    worker = mars.Debiaser(EXTRACTOR, 3)
    for kind in ('train', 'rails', 'grass', 'train', 'rails'):
        worker.look(*scene(kind))
    worker.settle()
    torch.testing.assert_close(nn.functional.normalize(worker.debiased[0], dim=0), torch.tensor([1.0, 0.0, 0.0]))
    assert worker.debiased[1].tolist() == [0, 0, 0]  # a class that no mask shows
    image, mask = scene('train')
    labels, biased = worker.debias(image, mask, [1])
    rails = np.zeros((32, 32), bool)
    rails[16:24, 4:28] = True
    assert np.array_equal(biased, rails)
    assert np.array_equal(labels, np.where(rails, 255, mask)) and labels[0, 0] == 255
    alone = mars.Debiaser(EXTRACTOR, 3)
    with pytest.raises(DataError, match=r'^none of the masks has a pixel of the background \(0\)'):
        alone.settle()
    with pytest.raises(ConfigError, match='^debias.ratio=0, clusters=2'):
        mars.Debiaser(EXTRACTOR, 3, ratio=0)


def test_places_count_by_their_pixels():
    features = torch.eye(2).view(2, 1, 2)  # two places, orthogonal
    labels = torch.zeros(4, 8, dtype=torch.long)
    labels[:, :5] = 1  # all of the first place and a quarter of the second
    found = mars.image_centroids(features, labels, 1, 1)
    torch.testing.assert_close(found[1], torch.tensor([[0.8, 0.2]]))
    torch.testing.assert_close(found[0], torch.tensor([[0.0, 1.0]]))


def batch(size=32):
    inputs, samples = [], []
    for i in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(24, 28), ori_shape=(24, 28), img_path=f'{i}.png'))
        mask, biased = torch.zeros(1, 24, 28, dtype=torch.long), torch.zeros(1, 24, 28, dtype=torch.long)
        mask[:, 4:12] = 1
        if i == 0:
            biased[:, 8:12] = 1
            mask[:, 8:12] = 255
            mask[:, 20:] = 255  # unknown, not biased
        sample.gt_sem_seg, sample.gt_biased = PixelData(data=mask), PixelData(data=biased)
        sample.set_data(dict(gt_image_label=torch.tensor([1, 0], dtype=torch.uint8)))
        inputs.append(torch.randint(256, (3, 24, 28), dtype=torch.uint8))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.fixture
def model(tiny_segmentor):
    preprocessor = dict(type='SegDataPreProcessor', mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, pad_val=0,
                        seg_pad_val=255, size=(32, 32))
    model = MODELS.build(dict(type='MARS', segmentor=tiny_segmentor(), teacher=dict(momentum=0.1),
                              data_preprocessor=preprocessor))
    model.teacher.start(model.student)
    return model


def test_labels_are_completed_after_the_crf_and_weighed_before_it(model, monkeypatch):
    data = model.data_preprocessor(batch(), True)
    seen = {}
    monkeypatch.setattr('mmseg_weak.methods.weak.mars.segmentor.weighted_cross_entropy',
                        lambda logits, target, weight: seen.update(target=target, weight=weight) or logits.sum())

    class Turn(nn.Module):
        def forward(self, scores, image, present=None):
            assert len(scores) == 1  # the one biased image
            assert float(image.min()) >= 0 and float(image.max()) > 100  # RGB, not normalised
            return torch.eye(3)[2].view(1, 3, 1, 1).expand_as(scores)  # class 2 everywhere

    model.crf = Turn()
    losses = model.loss(**data)
    target, weight = seen['target'], seen['weight']
    assert (target[0, 8:12, :28] == 2).all() and (target[0, 20:] == 255).all() and (target[0, :, 28:] == 255).all()
    assert (target[0, 4:8, :28] == 1).all() and (target[1, 4:12, :28] == 1).all() and (target[0, :4, :28] == 0).all()
    with torch.no_grad():
        probs = model.teacher_logits(data['inputs']).softmax(1)
    torch.testing.assert_close(weight[0, 8:12, :28], probs[0, 1, 8:12, :28])  # tag 1 alone, though the label is 2
    assert (weight[1] == 1).all() and (weight[0, :8] == 1).all()
    assert losses['biased_pixels'] == pytest.approx(100 * 4 * 28 / (2 * 32 * 32))


def test_teacher_may_be_limited_to_the_tags_and_gets_no_gradient(model):
    model.limit_to_tags = True
    images = model.data_preprocessor(batch(), True)['inputs']
    probs, labels = model.teach(images, torch.tensor([[1, 0], [0, 0]]))
    assert set(labels[0].unique().tolist()) <= {0, 1} and labels[1].unique().tolist() == [0]
    assert not probs.requires_grad
    data = model.data_preprocessor(batch(), True)
    model.loss(**data)['decode.loss_wce'].backward()
    assert all(p.grad is not None for p in model.student.parameters())
    assert all(p.grad is None for p in model.teacher.parameters())


def test_without_a_map_of_biased_pixels_it_says_so_once(model, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_weak.methods.weak.mars.segmentor.print_log', lambda text, **_: said.append(text))
    plain = batch()
    for sample in plain['data_samples']:
        sample.pop('gt_biased')
        sample.pop('gt_image_label')
    data = model.data_preprocessor(plain, True)
    for _ in range(2):
        assert torch.isfinite(model.loss(**data)['decode.loss_wce'])
    assert len(said) == 1 and 'use DebiasedLabelDataset with a folder of `mmseg-weak debias`' in said[0]


def test_without_teacher_started(tiny_segmentor):
    model = MODELS.build(dict(type='MARS', segmentor=tiny_segmentor(auxiliary=True), data_preprocessor=dict(
        type='SegDataPreProcessor', size=(32, 32))))
    data = model.data_preprocessor(batch(), True)
    with pytest.raises(ConfigError, match=r'^The teacher of MARS was never started'):
        model.loss(**data)
    model.teacher.start(model.student)
    assert {'decode.loss_wce', 'aux_0.loss_wce'} <= set(model.loss(**data))
