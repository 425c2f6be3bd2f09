"""Seeds that two backgrounds agree on."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import confident_labels
from mmseg_weak.models.cam.confident import present_probs


def build(**kwargs):
    return MODELS.build(dict(type='ConfidentSeeds', **kwargs))


def planes(*rows):
    """Class maps of one row of pixels behind an empty background plane, (1,C,1,W)."""
    return torch.tensor([[0.0] * len(rows[0]), *rows])[None, :, None]


def test_constant_heights_by_hand():
    # pixels: sure object 1, between, background, object 2 over object 1
    maps = planes([0.9, 0.2, 0.01, 0.4], [0.1, 0.1, 0.02, 0.8])
    scores = build(strict=0.3, loose=0.05)(maps, torch.zeros(1, 3, 1, 4))
    assert scores[0, :, 0].T.tolist() == [[0, 1, 0], [0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]]
    assert confident_labels(scores).tolist() == [[[1, 255, 0, 2]]]


def test_powers_by_hand():
    # (1 - 0.5)^2 = 0.25 < 0.5; (1 - 0.3)^2 = 0.49 > 0.3 > 0.7^8 = 0.06; 0.99^8 = 0.92 > 0.01
    scores = build(strict=2, loose=8, background='power')(planes([0.5, 0.3, 0.01]), torch.zeros(1, 3, 1, 3))
    assert confident_labels(scores).tolist() == [[[1, 255, 0]]]


def test_absent_classes_never_win_and_no_class_is_background():
    scores = planes([0.9, 0.2], [0.8, 0.8]).repeat(2, 1, 1, 1)
    present = torch.tensor([[True, False, True], [True, False, False]])
    out = build()(scores, torch.zeros(2, 3, 1, 2), present)
    assert confident_labels(out).tolist() == [[[2, 2]], [[0, 0]]]
    alone = build(crf=dict(type='DenseCRF'))(scores[1:], torch.zeros(1, 3, 1, 2), present[1:])
    assert confident_labels(alone).tolist() == [[[0, 0]]]


def test_labels_become_probabilities_of_an_images_own_classes():
    probs = present_probs(torch.tensor([[[0, 2]], [[0, 0]]]), torch.tensor([[True, False, True], [True, False, False]]))
    torch.testing.assert_close(probs[0, :, 0], torch.tensor([[0.7, 0.3], [0, 0], [0.3, 0.7]]))
    assert probs[1, :, 0].tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize('gt_prob', [0.7, None])
def test_refinement_of_each_run_moves_the_border(gt_prob):
    # the object's map ends three pixels before its colour does
    image = torch.zeros(1, 3, 12, 24)
    image[..., :15] = 200
    cam = torch.full((1, 2, 12, 24), 0.04)
    cam[:, 1, :, :12] = 0.9
    crf = dict(type='DenseCRF', preset='psa', filter='exact')
    labels = confident_labels(build(crf=crf, gt_prob=gt_prob)(cam, image))
    plain = confident_labels(build()(cam, image))
    assert (plain[0, :, :12] == 1).all() and (plain[0, :, 12:] == 0).all()
    assert (labels[0, :, :15] == 1).all() and (labels[0, :, 15:] == 0).all()


@pytest.mark.parametrize('kwargs', [dict(strict=0.1, loose=0.2), dict(background='power', strict=32, loose=4),
                                    dict(background='linear')])
def test_heights_in_the_wrong_order_are_refused(kwargs):
    with pytest.raises(ConfigError, match='of ConfidentSeeds'):
        build(**kwargs)
