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


def test_patches_become_a_map():
    tokens = torch.arange(2. * 9 * 4).view(2, 9, 4)  # class token, 2x3 patches, two more
    features = t.tokens_to_map(tokens, (2, 3), num_prefix=1, num_suffix=2)
    assert torch.equal(features[1, :, 1, 0], tokens[1, 1 + 3]) and features.shape == (2, 4, 2, 3)
    assert torch.equal(t.tokens_to_map(tokens.transpose(0, 1), (2, 3), 1, 2, tokens_first=True), features)
    weight = torch.randn(5, 4)
    cam = t.patch_token_cam(tokens, weight, (2, 3), num_suffix=2)
    torch.testing.assert_close(cam[0, :, 0, 2], weight @ tokens[0, 3])
    with pytest.raises(ConfigError, match=r'^9 tokens are 1 before, 0 after and 8 patches, but the map has 2 x 3; set '
                                          r'the number of other tokens, or the patch size\.$'):
        t.tokens_to_map(tokens, (2, 3))
