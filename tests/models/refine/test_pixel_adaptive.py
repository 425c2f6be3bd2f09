"""PAR and PAMR: worked out by hand, against a plain gather, one by one, and with bad scores."""
import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.refine import PAMR, PAR, mix_neighbours, ring_offsets


def gathered(image, offsets):
    """(B,3,H,W) -> (B,3,P,H,W), neighbours by clamped indices."""
    h, w = image.shape[-2:]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    return torch.stack([image[:, :, (y + dy).clamp(0, h - 1), (x + dx).clamp(0, w - 1)] for dy, dx in offsets], 2)


def test_one_dark_neighbour_by_hand():
    # A 1x2 image, dilation 1: the left pixel sees itself 5 times (clamped) and the right one 3 times (NE, E, SE).
    image = torch.tensor([0.0, 1.0]).expand(1, 3, 1, 2)
    scores = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    sigma = math.sqrt((5 * 0.375 ** 2 + 3 * 0.625 ** 2) / 7)
    far = math.exp(-(1 / sigma / 0.3) ** 2)
    r = [math.sqrt(2), 1, math.sqrt(2), 1, 1, math.sqrt(2), 1, math.sqrt(2)]
    mean = sum(r) / 8
    sigma_r = math.sqrt(sum((v - mean) ** 2 for v in r) / 7)
    b = [math.exp(-(v / sigma_r / 0.3) ** 2) for v in r]
    expected = 3 * far / (5 + 3 * far) + 0.01 * (b[2] + b[4] + b[7]) / sum(b)
    out = PAR(num_iter=1, dilations=(1,))(scores, image)
    assert out[0, 0, 0].tolist() == pytest.approx([expected, 1.01 - expected], abs=1e-6)
    # PAMR: the pixel itself joins sigma (9 samples: 6 zeros, 3 ones), linear distance over 0.1 sigma.
    sigma = math.sqrt((6 * (1 / 3) ** 2 + 3 * (2 / 3) ** 2) / 8)
    far = math.exp(-1 / (0.1 * sigma))
    assert PAMR(num_iter=1, dilations=(1,))(scores, image)[0, 0, 0, 0] == pytest.approx(3 * far / (5 + 3 * far),
                                                                                       abs=1e-7)


def test_sums_equal_a_plain_gather():
    torch.manual_seed(0)
    offsets = ring_offsets((1, 3))
    values, weights = torch.rand(2, 3, 9, 7), torch.rand(2, 16, 9, 7)
    expected = values
    for _ in range(3):
        expected = (gathered(expected, offsets) * weights[:, None]).sum(2)
    torch.testing.assert_close(mix_neighbours(values, weights, offsets, 3), expected)
    # Blocks of rows: large enough that the map is cut into several.
    values, weights = torch.rand(1, 2, 300, 600), torch.rand(1, 16, 300, 600)
    torch.testing.assert_close(mix_neighbours(values, weights, offsets), (gathered(values, offsets) *
                                                                         weights[:, None]).sum(2))


def test_constant_scores_gain_one_percent_a_step_with_par_and_nothing_with_pamr():
    image = torch.rand(1, 3, 12, 10)
    scores = torch.full((1, 2, 12, 10), 0.4)
    torch.testing.assert_close(PAR(num_iter=7)(scores, image), scores * 1.01 ** 7)
    torch.testing.assert_close(PAMR(num_iter=7)(scores, image), scores)


@pytest.mark.parametrize('refiner', [PAR(num_iter=2), PAMR(num_iter=2)])
def test_properties(refiner):
    image = torch.randint(256, (3, 3, 20, 26), dtype=torch.uint8)
    scores = torch.rand(3, 4, 20, 26)
    out = refiner(scores, image)
    torch.testing.assert_close(out, torch.cat([refiner(scores[b:b + 1], image[b:b + 1]) for b in range(3)]))
    torch.testing.assert_close(refiner(scores, image), out, rtol=0, atol=0)  # replay
    torch.testing.assert_close(refiner(scores.flip(3), image.flip(3)).flip(3), out)
    torch.testing.assert_close(refiner(scores, (image.float() - 120) / 58), out, rtol=1e-4, atol=1e-5)
    assert refiner(scores.half(), image).dtype == torch.float16
    assert refiner(scores.requires_grad_(), image).requires_grad is False
    assert refiner(torch.zeros(3, 4, 20, 26), image).eq(0).all()  # all zero stays zero
    assert refiner(torch.rand(1, 2, 1, 1), torch.rand(1, 3, 1, 1)).isfinite().all()
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(refiner(scores.detach(), image), out)


def test_absent_classes_are_zero_and_change_nothing():
    image, scores = torch.rand(2, 3, 12, 14), torch.rand(2, 5, 12, 14)
    present = torch.tensor([[1, 0, 0, 1, 1], [0, 0, 0, 0, 1]]).bool()
    out, every = PAR(num_iter=2)(scores, image, present), PAR(num_iter=2)(scores, image)
    torch.testing.assert_close(out, every * present[:, :, None, None])
    assert PAR(num_iter=2)(scores, image, torch.zeros(2, 5).bool()).eq(0).all()


def test_smaller_scores_are_resized_with_aligned_corners():
    image, scores = torch.rand(1, 3, 16, 20), torch.rand(1, 2, 4, 5)
    large = F.interpolate(scores, (16, 20), mode='bilinear', align_corners=True)
    torch.testing.assert_close(PAR()(scores, image), PAR()(large, image))


def test_built_from_a_config():
    par = MODELS.build(dict(type='PAR', num_iter=20))
    assert par.num_iter == 20 and len(par.offsets) == 48 and par.w1 == 0.3
    assert isinstance(MODELS.build(dict(type='PAMR')), PAMR)


def test_errors():
    image, scores = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    broken = scores.clone()
    broken[1, 2, 3, 3] = float('nan')
    with pytest.raises(DataError) as error:
        PAR()(broken, image)
    assert str(error.value) == ('1 of 384 values of the scores are NaN or infinite (images 1 of the batch); look for '
                                'a diverged network or a broken score file.')
    assert PAR(check=False)(broken, image).isnan().any()
    with pytest.raises(DataError) as error:
        PAR()(scores, image[:, :1])
    assert str(error.value) == ('PAR got an image of shape (2, 1, 8, 8) with scores of shape (2, 3, 8, 8); give '
                                '(2, 3, height, width).')
    with pytest.raises(DataError) as error:
        PAMR()(scores[0], image)
    assert str(error.value) == ('PAMR got scores of shape (3, 8, 8); give (batch, classes, height, width), none of '
                                'them 0.')
    with pytest.raises(DataError) as error:
        PAMR()(scores, image, torch.ones(2, 4))
    assert str(error.value) == ('PAMR got present classes of shape (2, 4) with scores of shape (2, 3, 8, 8); give '
                                '(2, 3), one flag a class.')
    with pytest.raises(ConfigError) as error:
        PAR(dilations=(1, 0))
    assert str(error.value) == 'dilations=[1, 0] of PAR; give whole numbers from 1 on, pixels.'
    with pytest.raises(ConfigError) as error:
        PAR(num_iter=-1)
    assert str(error.value) == 'num_iter=-1 of PAR; give 0 or more iterations.'
    with pytest.raises(ConfigError) as error:
        PAR(w1=0)
    assert str(error.value) == 'w1=0 of PAR; a width is above 0.'
    with pytest.raises(ConfigError) as error:
        PAMR(gain=0)
    assert str(error.value) == 'gain=0 of PAMR; a width is above 0.'
