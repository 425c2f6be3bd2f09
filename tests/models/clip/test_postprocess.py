"""Scores to labels, and windows, by hand."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import class_probs, drop_small_classes, label_map, slide, window_boxes


def test_probability_of_a_class_is_that_of_its_best_name():
    cosines = torch.tensor([0.0, 1.0, 0.0]).log1p().view(1, 3, 1, 1)  # exp: 1, 2, 1 at scale 1
    assert class_probs(cosines, (0, 0, 1), 1.0).flatten().tolist() == pytest.approx([0.5, 0.25])
    assert class_probs(cosines, (0, 0, 1), 1.0, renormalize=True).flatten().tolist() == pytest.approx([2 / 3, 1 / 3])


def test_unsure_pixels_become_background():
    probs = torch.tensor([[[[0.1, 0.2]], [[0.4, 0.9]]]])
    assert label_map(probs).tolist() == [[[1, 1]]]
    assert label_map(probs, 0.5).tolist() == [[[0, 1]]]


def test_small_classes_are_dropped_but_not_the_background():
    labels = torch.tensor([0] + [1] * 9 + [2])
    probs = torch.nn.functional.one_hot(labels, 3).T.reshape(1, 3, 1, 11).float() * 0.8
    out = drop_small_classes(probs, 0.1)  # class 2 holds a tenth of the foreground
    assert out[0, 2].abs().sum() == 0 and torch.equal(out[:, :2], probs[:, :2])
    assert torch.equal(drop_small_classes(probs, 0.05), probs)


def test_windows_cover_the_image():
    assert window_boxes((5, 10), 4, 3) == [(0, 0, 4, 4), (0, 3, 4, 7), (0, 6, 4, 10), (1, 0, 5, 4), (1, 3, 5, 7),
                                           (1, 6, 5, 10)]
    assert window_boxes((3, 4), 8, 4) == [(0, 0, 3, 4)]
    with pytest.raises(ConfigError, match='would leave pixels out'):
        window_boxes((9, 9), 3, 4)


@pytest.mark.parametrize('batch', [1, 5, 100])
def test_windows_of_all_images_in_one_batch(batch):
    images = torch.randn(3, 3, 10, 13)
    calls = []

    def function(windows):
        calls.append(len(windows))
        return windows * 2
    assert torch.allclose(slide(images, function, 4, 3, batch), images * 2, atol=1e-6)
    assert sum(calls) == 3 * 12 and max(calls) <= batch
