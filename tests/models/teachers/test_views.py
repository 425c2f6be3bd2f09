"""Strong views: replay, batch = samples one by one, operations against independent references."""
import colorsys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from mmseg_weak.models.teachers import PhotometricView
from mmseg_weak.models.teachers.views import ViewParams, adjust_hue, gaussian_blur


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 20, 24, generator=torch.Generator().manual_seed(0))


def test_hue_equals_colorsys():
    x, shift = images(2), torch.tensor([0.2, -0.13])
    y = adjust_hue(x, shift)
    for b in range(2):
        for i, j in ((0, 0), (3, 7), (19, 23)):
            h, s, v = colorsys.rgb_to_hsv(*x[b, :, i, j].tolist())
            assert y[b, :, i, j].tolist() == pytest.approx(colorsys.hsv_to_rgb((h + float(shift[b])) % 1, s, v),
                                                           abs=1e-5)


def test_hue_leaves_grey_alone():
    x = torch.full((1, 3, 2, 2), 0.4)
    assert torch.allclose(adjust_hue(x, torch.tensor([0.3])), x)


def test_blur_equals_scipy_per_image():
    x, sigma = images(2), torch.tensor([1.5, 0.6])
    y = gaussian_blur(x, sigma)
    for b, radius in ((0, 5), (1, 5)):  # the widest image sets the kernel of the batch
        width = float(sigma[b])
        want = gaussian_filter(x[b].numpy(), (0, width, width), mode='mirror', radius=(0, radius, radius))
        assert np.abs(y[b].numpy() - want).max() < 1e-5


def test_replay_gives_the_same_view_and_the_input_is_untouched():
    x, view = images(), PhotometricView()
    before = x.clone()
    params = view.draw(3, torch.Generator().manual_seed(3))
    assert torch.equal(view.render(x, params), view.render(x, params))
    assert torch.equal(x, before)


def test_batch_equals_samples_one_by_one():
    x, view = images(6), PhotometricView()
    params = view.draw(6, torch.Generator().manual_seed(5))
    whole = x.clone()
    view._render(whole, params)  # the route that a GPU takes
    # Kernels of one batch share the widest radius; the tails beyond three sigma are all that differs.
    assert torch.allclose(whole, view.render(x, params), atol=2e-3)


def test_draw_follows_its_probabilities_and_ranges():
    params = PhotometricView().draw(4000, torch.Generator().manual_seed(0))
    for share, p in ((params.jitter, 0.8), (params.greyscale, 0.2), (params.blur, 0.5)):
        assert share.float().mean().item() == pytest.approx(p, abs=0.03)
    assert params.factors[:, :3].min() >= 0.5 and params.factors[:, :3].max() <= 1.5
    assert params.factors[:, 3].abs().max() <= 0.25
    assert params.order.sort(1).values.eq(torch.arange(4)).all()


def test_contrast_by_hand():
    x = torch.stack([torch.full((2, 2), v) for v in (0.2, 0.2, 0.2)])[None]
    x[0, :, 0, 0] = 0.6
    params = ViewParams(torch.tensor([[1.0, 0.5, 1.0, 0.0]]), torch.arange(4)[None], torch.tensor([True]),
                        torch.tensor([False]), torch.tensor([False]), torch.tensor([1.0]), torch.tensor([False]))
    out = PhotometricView().render(x, params)
    assert out[0, 0, 0, 0].item() == pytest.approx(0.5 * 0.6 + 0.5 * 0.3, abs=1e-5)
    assert out[0, 0, 1, 1].item() == pytest.approx(0.5 * 0.2 + 0.5 * 0.3, abs=1e-5)


def test_solarize_turns_bright_values_and_leaves_other_draws_alone():
    x = torch.tensor([0.2, 0.5, 0.9]).expand(1, 3, 1, 3).clone()
    view = PhotometricView(jitter_prob=0, grey_prob=0, blur_prob=0, solarize_prob=1.0)
    torch.testing.assert_close(view(x)[0, 0, 0], torch.tensor([0.2, 0.5, 0.1]))
    plain, other = (PhotometricView(solarize_prob=p).draw(8, torch.Generator().manual_seed(0)) for p in (0.0, 0.5))
    assert torch.equal(plain.factors, other.factors) and torch.equal(plain.sigma_px, other.sigma_px)
    assert not plain.solarize.any() and other.solarize.any()
