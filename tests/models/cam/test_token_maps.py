"""Maps of class tokens and pooling, by hand."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import token_maps as t

ATTENTIONS = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))  # 2 class tokens, 2x3 patches


def test_what_a_token_looks_at():
    maps = t.class_to_patch(ATTENTIONS, 2, (2, 3), last=2)
    assert maps.shape == (2, 2, 2, 3)
    torch.testing.assert_close(maps[1, 0, 1, 2], ATTENTIONS[1:, 1, 0, 7].mean())
    torch.testing.assert_close(t.class_to_patch(ATTENTIONS, 2, (2, 3), reduce='sum'),
                               3 * t.class_to_patch(list(ATTENTIONS), 2, (2, 3)))
    with pytest.raises(ConfigError, match=r"^reduce='max' of class_to_patch is none of mean, sum\.$"):
        t.class_to_patch(ATTENTIONS, 2, (2, 3), reduce='max')


def test_spreading_takes_from_what_a_patch_looks_at():
    maps = torch.rand(2, 2, 2, 3)
    out = t.spread_by_attention(maps, ATTENTIONS, 2)
    want = torch.einsum('lbij,bcj->bci', ATTENTIONS[:, :, 2:, 2:], maps.flatten(2))
    torch.testing.assert_close(out.flatten(2), want)
    assert t.fuse_maps(maps, maps).allclose(maps) and t.fuse_maps(maps, maps, root=False).allclose(maps ** 2)


def test_pooling_by_hand():
    maps = torch.tensor([[[[1., 4.], [3., 2.]]]])
    assert [float(t.pool_maps(maps, p, topk_ratio=0.5)) for p in ('gap', 'gmp', 'topk')] == [2.5, 4, 3.5]
    assert float(t.pool_maps(maps, 'ranked', decay=0.5)) == pytest.approx((8 * 4 + 4 * 3 + 2 * 2 + 1) / 15)
    assert t.ranked_pool(maps, 1.0) == 2.5 and t.ranked_pool(maps, 0.0) == 4
    with pytest.raises(ConfigError, match=r"^pooling='mean' of class maps is none of gap, gmp, topk, ranked\.$"):
        t.pool_maps(maps, 'mean')
