"""Dense CRF: two pixels by hand, the exact form, presets, absent classes, bad input."""
import json
import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.models.refine import CRF_PRESETS, DenseCRF, labels_to_probs
from mmseg_weak.models.refine.dense_crf import unary_from_probs


def picture(batch=1, size=(20, 24), seed=0):
    """A bright square on dark noise and blurred, noisy probabilities of it."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.zeros(batch, *size, dtype=torch.long)
    truth[:, 5:15, 6:16] = 1
    image = truth[:, None] * 120 + torch.randint(100, (batch, 3, *size), generator=rng)
    foreground = 0.35 + 0.3 * truth + 0.5 * (torch.rand(batch, *size, generator=rng) - 0.5)
    return image.to(torch.uint8), torch.stack([1 - foreground, foreground], 1).clamp(0.01, 0.99), truth


def test_two_pixels_by_hand():
    image = torch.tensor([10.0, 13.0]).expand(1, 3, 1, 2)
    p = torch.tensor([[0.9, 0.4], [0.1, 0.6]]).view(1, 2, 1, 2)
    out = DenseCRF(num_iter=1, gaussian_weight=0, bilateral_weight=2, bilateral_sxy_px=1, bilateral_srgb=3,
                   filter='exact', normalization='none')(p, image)
    k = math.exp(-1 / 2 - 3 * 9 / (2 * 9))
    logits = [math.log(0.9) + 2 * (0.9 + k * 0.4), math.log(0.1) + 2 * (0.1 + k * 0.6)]
    assert out[0, 0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(logits[1] - logits[0])), abs=1e-6)
    out = DenseCRF(num_iter=1, gaussian_weight=2, gaussian_sxy_px=1, bilateral_weight=0, filter='exact')(p, image)
    k = math.exp(-1 / 2)
    logits = [math.log(0.9) + 2 * (0.9 + k * 0.4) / (1 + k), math.log(0.1) + 2 * (0.1 + k * 0.6) / (1 + k)]
    assert out[0, 0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(logits[1] - logits[0])), abs=1e-6)


def test_energies():
    torch.testing.assert_close(unary_from_probs(torch.tensor([0.0, 0.5, 1.0])),
                               torch.tensor([-math.log(1e-5), math.log(2), 0.0]))
    probs = labels_to_probs(torch.tensor([[[0, 2, 255]]]), 3)
    torch.testing.assert_close(probs[0, :, 0].T, torch.tensor([[0.7, 0.15, 0.15], [0.15, 0.15, 0.7], [1 / 3] * 3]))
    assert labels_to_probs(torch.zeros(1, 2, 2), 1).tolist() == [[[[1, 1], [1, 1]]]]


def test_finds_the_square():
    image, probs, truth = picture()
    before = (probs.argmax(1) == truth).float().mean()
    for kind in ('lattice', 'exact'):
        crf = DenseCRF(gaussian_sxy_px=1, bilateral_sxy_px=20, bilateral_srgb=40, filter=kind)
        assert before < 0.95 < 0.99 < (crf(probs, image).argmax(1) == truth).float().mean()


@pytest.mark.parametrize('preset', sorted(CRF_PRESETS))
def test_lattice_and_exact_agree(preset):
    image, probs, _ = picture()
    lattice, exact = (DenseCRF(preset, filter=f)(probs, image) for f in ('lattice', 'exact'))
    assert (lattice.argmax(1) == exact.argmax(1)).float().mean() > 0.94  # noise images: the goldens' own figure
    lattice, exact = (DenseCRF(preset, num_iter=1, filter=f)(probs, image) for f in ('lattice', 'exact'))
    assert (lattice - exact).abs().mean() < 0.02


@pytest.mark.parametrize('options', [dict(), dict(filter='exact'), dict(normalization='none', bilateral_weight=0.01)])
def test_properties(options):
    image, probs, _ = picture(batch=3)
    crf = DenseCRF(**options)
    out = crf(probs, image)
    torch.testing.assert_close(out.sum(1), torch.ones_like(out[:, 0]))
    one = torch.cat([crf(probs[b:b + 1], image[b:b + 1]) for b in range(3)])
    torch.testing.assert_close(out, one, rtol=1e-4, atol=1e-4)  # ten steps amplify the rounding of the products
    torch.testing.assert_close(crf(probs, image), out, rtol=0, atol=0)
    torch.testing.assert_close(crf(probs, image.float()), out)
    half = crf(torch.full_like(probs, 0.5), image)  # nothing known: nothing decided
    torch.testing.assert_close(half, torch.full_like(half, 0.5))
    assert crf(torch.zeros_like(probs), image).sub(0.5).abs().max() < 1e-6  # all zero likewise
    assert crf(probs[:, :, ::4, ::4], image).shape == out.shape


def test_absent_classes_are_not_in_the_model():
    image, probs, _ = picture(batch=2)
    padded = torch.stack([probs[:, 0], torch.full_like(probs[:, 0], 0.3), probs[:, 1], probs[:, 1]], 1)
    present = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 0]]).bool()
    out = DenseCRF('psa')(padded, image, present)
    torch.testing.assert_close(out[:1, [0, 2]], DenseCRF('psa')(probs[:1], image[:1]))
    assert out[0, [1, 3]].eq(0).all() and out[1, [0, 1, 3]].eq(0).all()
    torch.testing.assert_close(out[1, 2], torch.ones(20, 24))
    nothing = DenseCRF()(padded, image, torch.zeros(2, 4).bool())
    assert nothing.eq(0).all()


def test_large_or_odd_images():
    image, probs = torch.randint(256, (1, 3, 1, 7)), torch.rand(1, 2, 1, 7).softmax(1)
    assert DenseCRF()(probs, image).isfinite().all()
    black = DenseCRF()(torch.rand(1, 3, 6, 6).softmax(1), torch.zeros(1, 3, 6, 6))
    torch.testing.assert_close(black.sum(1), torch.ones(1, 6, 6))


def test_built_from_a_config():
    crf = MODELS.build(dict(type='DenseCRF', preset='toco_seg', num_iter=5, bilateral_srgb=7))
    assert crf.num_iter == 5 and crf.settings['bilateral_srgb'] == 7 and crf.settings['bilateral_sxy_px'] == 121


def test_exact_form_of_the_goldens(shared):
    cases = sorted((shared / 'parity/deeplab_crf').glob('dense_crf_*.json'))
    assert cases
    for path in cases:
        s = json.loads(path.read_text())['settings']
        with np.load(path.with_suffix('.npz')) as golden:
            image, probs, expected = (torch.from_numpy(golden[k]) for k in ('image', 'prob', 'q'))
        crf = DenseCRF(num_iter=s['iter_max'], gaussian_sxy_px=s['pos_xy_std'], gaussian_weight=s['pos_w'],
                       bilateral_sxy_px=s['bi_xy_std'], bilateral_srgb=s['bi_rgb_std'], bilateral_weight=s['bi_w'],
                       min_prob=s['clip_min'], filter='exact' if 'exact' in path.stem else 'lattice')
        out = crf(probs[None], image.permute(2, 0, 1)[None])[0]
        assert (out - expected).abs().max() < (1e-4 if 'exact' in path.stem else 1e-3), path.stem


@pytest.mark.parametrize('options, sentence', [
    (dict(preset='deeplap'), "preset='deeplap' of DenseCRF is none of deeplab, clip_es, irn_label, psa, toco_cam, "
                             "toco_seg. Did you mean deeplab?"),
    (dict(bilateral_srgb=0), 'bilateral_srgb=0 of DenseCRF; give a number above 0.'),
    (dict(gaussian_weight=-1), 'gaussian_weight=-1 of DenseCRF; give a number from 0 on.'),
    (dict(normalization='row'), "normalization='row' of DenseCRF is none of symmetric, none."),
    (dict(filter='grid'), "filter='grid' of DenseCRF is none of lattice, exact."),
    (dict(num_iter=-2), 'num_iter=-2 of DenseCRF; give 0 or more iterations.'),
    (dict(min_prob=0), 'min_prob=0 of DenseCRF; a probability lies between 0 and 1.'),
])
def test_bad_options(options, sentence):
    with pytest.raises(ConfigError) as error:
        DenseCRF(**options)
    assert str(error.value) == sentence


def test_bad_input():
    image, probs, _ = picture()
    with pytest.raises(DataError) as error:
        DenseCRF()(probs * 4 - 2, image)
    assert 'give probabilities in [0, 1] (softmax of logits, or CAMs beside a background score).' in str(error.value)
    with pytest.raises(DataError) as error:
        DenseCRF()(probs, image / 255)
    assert str(error.value).endswith('give RGB from 0 to 255, not normalised.')
    with pytest.raises(DataError):
        DenseCRF()(probs * float('nan'), image)
    with pytest.raises(ConfigError) as error:
        DenseCRF(filter='exact')(torch.rand(1, 2, 120, 100).softmax(1), torch.zeros(1, 3, 120, 100))
    assert str(error.value) == ("filter='exact' needs a matrix of 12000 x 12000 pixels (0.6 GB an image); the limit is "
                                "10000 pixels, use filter='lattice' above it.")
