"""Seed scores: a case by hand, one pass equals one threshold at a time, conventions, bad input, cost."""
import numpy as np
import pytest
import torch

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.evaluation import seed_scores as s

THRESHOLDS = [i / 100 for i in range(60)]


def sample(batch=2, classes=4, size=(9, 11), seed=0):
    g = torch.Generator().manual_seed(seed)
    cams = torch.rand(batch, classes, *size, generator=g).mul(100).round().div(100)  # many ties with the thresholds
    labels = torch.randint(classes + 1, (batch, *size), generator=g)
    labels[:, 0] = 255
    return cams, labels, torch.rand(batch, classes, generator=g) < 0.7


def naive(cams, labels, thr, present):
    """One threshold, one image, one class after the other, as in the published scripts."""
    classes = cams.shape[1]
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for cam, label, here in zip(cams.numpy(), labels.numpy(), present.numpy()):
        planes = np.concatenate([np.full((1, *label.shape), thr, np.float32), cam[here]])
        pred = np.concatenate([[0], np.flatnonzero(here) + 1])[planes.argmax(0)]
        np.add.at(matrix, (label[label != 255], pred[label != 255]), 1)
    return matrix


def test_two_pixels_by_hand():
    cams = torch.tensor([[[[0.2, 0.9]], [[0.6, 0.1]]]])
    labels = torch.tensor([[[2, 0]]])
    confusion = s.seed_confusions(s.seed_histogram(cams, labels, [0.5, 0.7, 0.9]))
    assert [m.nonzero().tolist() for m in confusion] == [[[0, 1], [2, 2]], [[0, 1], [2, 0]], [[0, 0], [2, 0]]]
    assert s.iou_scores(confusion, 'present')['miou'].tolist() == [0.5, 0.0, 0.25]
    assert s.iou_scores(confusion, 'all')['miou'].tolist() == pytest.approx([1 / 3, 0.0, 1 / 6])


def test_one_pass_equals_one_threshold_at_a_time():
    cams, labels, present = sample()
    found = s.seed_confusions(s.seed_histogram(cams, labels, THRESHOLDS, present))
    for thr, matrix in zip(THRESHOLDS, found):
        assert np.array_equal(matrix, naive(cams, labels, thr, present)), thr


def test_histograms_of_images_add_up():
    cams, labels, present = sample(3)
    parts = [s.seed_histogram(*(x[i:i + 1] for x in (cams, labels)), THRESHOLDS, present[i:i + 1]) for i in range(3)]
    assert torch.equal(sum(parts), s.seed_histogram(cams, labels, THRESHOLDS, present))


def test_ignored_pixels_and_absent_classes_do_not_matter():
    cams, labels, present = sample()
    other = cams.clone()
    other[:, :, 0] = 5
    other[~present] = 7
    assert torch.equal(s.seed_histogram(cams, labels, [0.3], present), s.seed_histogram(other, labels, [0.3], present))


def test_image_without_tags_is_background():
    cams, labels, _ = sample()
    none = torch.zeros(2, 4, dtype=torch.bool)
    assert s.seed_confusions(s.seed_histogram(cams, labels, [0.0], none))[0, :, 1:].sum() == 0
    assert s.seed_labels(cams, 0.0, none).sum() == 0


@pytest.mark.parametrize('power', [0.5, 1, 2, 4, 10, 32])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_power_background_is_a_threshold(power, dtype):
    scores = torch.rand(20000, generator=torch.Generator().manual_seed(1), dtype=dtype)
    thr = s.power_threshold(power, dtype)
    scores[0] = thr
    assert torch.equal((1 - scores) ** power >= scores, scores <= thr)


def test_conventions_of_means_and_unknown():
    labels = torch.tensor([0, 0, 1, 1, 255])
    pred = torch.tensor([0, 255, 1, 2, 1])
    table = s.cross_table(pred, labels, 4)
    assert table.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0] * 5, [0] * 5]
    found = {(u, m): float(s.iou_scores(s.pseudo_confusion(table, u), m)['miou']) for u in s.UNKNOWN for m in s.MEANS}
    # drop: IoU 1, 1/2, 0 (predicted only), none; background: the unknown one is right here
    assert found == {('drop', 'present'): 0.75, ('drop', 'union'): 0.5, ('drop', 'all'): 0.375,
                     ('background', 'present'): 0.75, ('background', 'union'): 0.5, ('background', 'all'): 0.375,
                     ('wrong', 'present'): 0.5, ('wrong', 'union'): pytest.approx(1 / 3), ('wrong', 'all'): 0.25}
    wrong = s.pseudo_confusion(s.cross_table(torch.tensor([255, 1]), torch.tensor([1, 1]), 2), 'background')
    assert s.iou_scores(wrong, 'present')['iou'].tolist() == [0.0, 0.5]
    assert s.iou_scores(wrong, 'present', percent=True)['fn'] == 50
    assert torch.isnan(s.iou_scores(torch.zeros(2, 2), 'present')['miou'])


def test_bad_input():
    cams, labels, _ = sample()
    with pytest.raises(DataError, match=r'^1 of 792 scores of the seeds are NaN; look for a diverged network or a '
                                        r'broken score file\.$'):
        s.seed_histogram(cams.index_put((torch.tensor(0),) * 4, torch.tensor(torch.nan)), labels, [0.5])
    with pytest.raises(DataError, match=r'^the truth holds the value 5 in 1 pixels, but there are 5 classes \(0 to 4\) '
                                        r'and 255 for unknown\.$'):
        s.seed_histogram(cams, labels.index_put((torch.tensor(0), torch.tensor(3), torch.tensor(3)), torch.tensor(5)),
                         [0.5])
    with pytest.raises(DataError, match='resize the maps to the mask, not the mask'):
        s.seed_histogram(cams, labels[:, 1:], [0.5])
    with pytest.raises(DataError, match='they must be alike'):
        s.cross_table(labels[:, 1:], labels, 5)
    with pytest.raises(ConfigError, match='give an ascending list'):
        s.seed_histogram(cams, labels, [0.5, 0.1])
    with pytest.raises(ConfigError, match=r"^mean='clas' is none of present, union, all\.$"):
        s.iou_scores(torch.eye(2), 'clas')
    with pytest.raises(ConfigError, match=r"^unknown='keep' is none of drop, background, wrong\.$"):
        s.pseudo_confusion(torch.zeros(2, 3), 'keep')
    with pytest.raises(ConfigError, match='give a number above 0'):
        s.power_threshold(0)
