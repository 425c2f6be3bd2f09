"""timm's ViT as a backbone."""
import pytest
import torch

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError

pytest.importorskip('timm', reason='timm is an optional requirement')
NAME = 'vit_tiny_patch16_224'


def build(**kwargs):
    from mmseg_weak.models.backbones import TimmViT
    return TimmViT(NAME, out_indices=(1, 3), **kwargs).eval()


def test_maps_are_normalised_and_of_any_size():
    backbone = build()
    maps = backbone(torch.randn(2, 3, 32, 48))
    assert [tuple(m.shape) for m in maps] == [(2, 192, 2, 3)] * 2
    for m in maps:  # the final LayerNorm starts as identity, so tokens have mean 0 and variance 1
        assert m.mean(1).abs().max() < 1e-4 and (m.var(1, unbiased=False) - 1).abs().max() < 1e-2


def test_last_map_equals_timms_own_tokens():
    backbone = build()
    backbone.out_indices = [11]
    image = torch.randn(1, 3, 32, 32)
    tokens = backbone.vit.forward_features(image)[:, 1:]
    assert torch.allclose(backbone(image)[0].flatten(2).transpose(1, 2), tokens, atol=1e-5)


def test_frozen_has_no_gradient_and_stays_in_eval():
    backbone = build(frozen=True).train()
    assert not backbone.vit.training
    assert not backbone(torch.randn(1, 3, 16, 16))[0].requires_grad


def test_checkpoint_round_trip(tmp_path):
    source = build()
    torch.save(source.vit.state_dict(), tmp_path / 'vit.pth')
    target = build(checkpoint=str(tmp_path / 'vit.pth'))
    target.init_weights()
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(source(image)[1], target(image)[1])


@pytest.mark.parametrize('names, count', [('teacher.{}', 150), ('{}', 1)])
def test_weights_that_would_stay_random_are_told(tmp_path, names, count):
    state = build().vit.state_dict()
    if names == '{}':
        del state['norm.bias']
    torch.save({names.format(key): value for key, value in state.items()}, tmp_path / 'vit.pth')
    with pytest.raises(CheckpointError, match=rf'vit.pth lacks {count} of the 150 weights of vit_tiny_patch16_224, '
                                              r'the first is [\w.]+; give the file of this backbone alone'):
        build(checkpoint=str(tmp_path / 'vit.pth')).init_weights()


def test_heads_of_the_last_block_give_its_attention():
    backbone = build()
    seen = []
    attn = backbone.vit.blocks[-1].attn
    attn.register_forward_hook(lambda _m, args, out: seen.append((args[0], out)))
    q, k, v, grid = backbone.last_heads(torch.randn(2, 3, 32, 48))
    assert grid == (2, 3) and q.shape == k.shape == v.shape == (2, 3, 6, 64)
    tokens, out = seen[0]
    whole = attn.qkv(tokens).view(2, 7, 3, 3, 64).permute(2, 0, 3, 1, 4)
    mixed = torch.nn.functional.scaled_dot_product_attention(*whole)
    torch.testing.assert_close(attn.proj(mixed.transpose(1, 2).flatten(2)), out, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip((q, k, v), whole):
        assert torch.equal(ours, theirs[:, :, 1:])


def test_mistakes():
    with pytest.raises(ConfigError, match="^model.backbone.model_name is 'vit_tinny_patch16_224', which timm .* does "
                                          r'not know\. Did you mean vit_tiny_patch16_224'):
        from mmseg_weak.models.backbones import TimmViT
        TimmViT('vit_tinny_patch16_224')
    with pytest.raises(MissingFileError, match='^model.backbone.checkpoint names nowhere.pth, which does not exist'):
        build(checkpoint='nowhere.pth').init_weights()
    with pytest.raises(ConfigError, match='^An image of 30x32 pixels came to a ViT with patches of 16'):
        build()(torch.randn(1, 3, 30, 32))
