"""Kept features give what computing everything at once gives."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import KeptFeatures, class_probs, drop_small_classes, keep_features, label_map, slide
from mmseg_weak.models.clip.kept import resize_matrix

OWNER = (0, 0, 1, 2, 2, 3)


@pytest.fixture
def world():
    """Two images 20x26, a linear encoder with patches of 4, six unit texts; the original is 31x37."""
    torch.manual_seed(3)
    images, kernel = torch.randn(2, 3, 20, 26), torch.randn(5, 3, 4, 4)
    texts = F.normalize(torch.randn(6, 5), dim=1)
    return images, lambda x: F.normalize(F.conv2d(x, kernel, stride=4), dim=1), texts


def at_once(images, encode, texts, size, crop, stride):
    def window(x):
        return F.interpolate(torch.einsum('bdhw,cd->bchw', encode(x), texts), x.shape[-2:], mode='bilinear')
    whole = slide(images, window, crop, stride) if crop else window(images)
    return F.interpolate(whole, size, mode='bilinear')


@pytest.mark.parametrize('out, size', [(7, 3), (3, 7), (5, 5), (8, 1)])
def test_resize_matrix_is_torchs(out, size):
    x = torch.randn(1, 1, size)
    assert torch.allclose(x @ resize_matrix(out, size).T, F.interpolate(x, out, mode='linear'), atol=1e-6)
    assert torch.equal(resize_matrix(out, size, slice(1, 3)), resize_matrix(out, size)[1:3])


@pytest.mark.parametrize('crop, stride', [(None, None), (12, 8), ((20, 12), (20, 6))])
@pytest.mark.parametrize('budget', [1, 3000, 1 << 26])
def test_same_numbers_in_bands_of_any_height(world, crop, stride, budget):
    images, encode, texts = world
    cosines = at_once(images, encode, texts, (31, 37), crop, stride)
    for kept, expected in zip(keep_features(images, encode, crop, stride, [(31, 37)] * 2, batch=3), cosines):
        assert torch.allclose(kept.cosines(texts), expected, atol=1e-5)
        bands = list(kept.bands(texts, budget))
        assert torch.allclose(torch.cat([values for _, values in bands], 1), expected, atol=1e-5)
        assert len(bands) == (31 if budget == 1 else 6 if budget == 3000 else 1)
        probs = class_probs(expected[None], OWNER, 20.0)
        labels, best = kept.labels(texts, OWNER, 20.0, prob_thr=0.5, budget=budget)
        assert (labels == label_map(probs, 0.5)[0]).float().mean() > 0.999
        assert torch.allclose(best, probs.max(1).values[0], atol=1e-5)
        dropped, _ = kept.labels(texts, OWNER, 20.0, area_thr=0.3, budget=budget)
        assert (dropped == label_map(drop_small_classes(probs, 0.3))[0]).float().mean() > 0.999


def test_other_names_need_no_image(world):
    images, encode, texts = world
    calls = []

    def counted(x):
        calls.append(len(x))
        return encode(x)
    kept = keep_features(images, counted, 12, 8)[0]
    seen = len(calls)
    assert kept.labels(texts, OWNER)[0].shape == (20, 26) and kept.labels(texts[:2], (0, 1))[0].max() <= 1
    assert len(calls) == seen


def test_windows_that_leave_pixels_out_are_refused():
    with pytest.raises(ConfigError, match='16 pixels of \\(4, 8\\) lie in no window'):
        KeptFeatures(torch.zeros(1, 2, 1, 1), [(0, 0, 4, 4)], (4, 8))
