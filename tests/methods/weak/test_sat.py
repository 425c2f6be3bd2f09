"""SAT's functions: losses by hand, what the mask changes, gradients."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak import sat

SMALL = dict(num_classes=3, embed_dim=8, depth=4, num_heads=2, mlp_ratio=1, img_size=32, patch_size=8, masked_blocks=2)


def test_area_is_of_the_batch():
    maps = torch.stack([torch.full((2, 2), 0.1), torch.full((2, 2), 0.5)])
    torch.testing.assert_close(sat.batch_area_loss(maps, 0.25), torch.tensor(0.05))


def test_kernel_is_nearly_a_pixel_and_decided_maps_cost_nothing():
    kernel = sat.norm_kernel()
    assert kernel.sum() == pytest.approx(1) and 0.5 < kernel[1, 1] < 1
    assert sat.image_norm(torch.zeros(2, 4, 4)).tolist() == [0, 0]
    half = sat.image_norm(torch.full((1, 9, 9), 0.5))
    assert 0.2 < float(half) < 0.25  # 1/4 inside, less at the padded border


def test_mask_scales_columns_in_masked_blocks_alone():
    plain, masked = (sat.LocationAttention(8, 2, on) for on in (False, True))
    logits = torch.randn(2, 2, 5, 5)
    weights, mask = plain.weigh(logits)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 2, 5))
    assert mask.shape == (2, 1, 1, 5)
    torch.testing.assert_close(masked.weigh(logits)[0], weights * logits[:, :, -1:].mean(1, keepdim=True).sigmoid())


def test_network_learns_everywhere_and_takes_other_sizes():
    net = sat.SpatialTokenViT(**SMALL)
    logits, maps = net(torch.randn(2, 3, 32, 40))
    assert logits.shape == (2, 3) and maps.shape == (2, 4, 5) and 0 < maps.min() and maps.max() < 1
    sum(sat.sat_losses(logits, maps, torch.tensor([0, 2]), 0.25).values()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
    with pytest.raises(ConfigError, match=r'^masked_blocks=5 of SpatialTokenViT; give 1 to depth=4\.$'):
        sat.SpatialTokenViT(**(SMALL | dict(masked_blocks=5)))


def test_gradcheck():
    maps = torch.rand(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: sat.image_norm(m).mean() + sat.batch_area_loss(m, 0.2), (maps,))
