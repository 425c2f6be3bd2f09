"""The transformer with class tokens: DeiT weights, other sizes, attention that sums to one."""
import pytest
import torch

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.models.backbones import ClassTokenViT
from mmseg_weak.models.backbones.token_vit import TokenAttention, resize_positions

SMALL = dict(embed_dim=8, depth=2, num_heads=2, mlp_ratio=2, img_size=32, patch_size=8)


def test_deit_weights_are_repeated_for_every_class():
    net = ClassTokenViT(3, **SMALL)
    deit = {k: v for k, v in ClassTokenViT(1, **SMALL).state_dict().items() if not k.startswith('pos_embed')}
    deit['pos_embed'] = torch.randn(1, 17, 8)
    net.load_state_dict(deit)
    assert torch.equal(net.cls_token, deit['cls_token'].expand(1, 3, 8))
    assert torch.equal(net.pos_embed_cls, deit['pos_embed'][:, :1].expand(1, 3, 8))
    assert torch.equal(net.pos_embed_pat, deit['pos_embed'][:, 1:])


def test_other_sizes_and_attention():
    net = ClassTokenViT(3, **SMALL).eval()
    patches, tokens, seen = net(torch.randn(2, 3, 24, 40), observe=lambda a: a)
    assert patches.shape == (2, 8, 3, 5) and tokens.shape == (2, 2, 3, 8)
    for attention in seen:
        torch.testing.assert_close(attention.sum(2), torch.ones(2, 18))
    alone = net(torch.randn(2, 3, 24, 40))
    assert alone[2] == []


def test_every_parameter_learns():
    net = ClassTokenViT(3, **SMALL).train()
    patches, tokens, _ = net(torch.randn(2, 3, 32, 32))
    (patches.square().sum() + tokens.square().sum()).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


def test_bad_settings():
    with pytest.raises(ConfigError, match=r'^num_heads=3 does not divide the width 8 of the tokens\.$'):
        TokenAttention(8, 3)
    with pytest.raises(ConfigError, match='An image of 30x32 pixels came to a ViT with patches of 8'):
        ClassTokenViT(3, **SMALL)(torch.zeros(1, 3, 30, 32))


def test_published_files_load_and_others_are_refused(tmp_path):
    torch.manual_seed(0)
    source = ClassTokenViT(1, final_norm=True, **SMALL)
    state = {k: v for k, v in source.state_dict().items() if not k.startswith('pos_embed')}
    state['pos_embed'] = torch.cat([source.pos_embed_cls, source.pos_embed_pat], 1).detach()
    torch.save(dict(model=state | {'head.weight': torch.zeros(2, 8)}), tmp_path / 'deit.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'deit.pth'))
    net = ClassTokenViT(1, final_norm=True, init_cfg=init, **SMALL)
    net.init_weights()
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in net.state_dict().items())
    torch.save(dict(model={'blocks.0.norm1.weight': torch.ones(8)}), tmp_path / 'deit.pth')
    with pytest.raises(CheckpointError, match='deit.pth lacks'):
        net.init_weights()


def test_inner_patches_adapter_and_final_norm():
    class Shift(torch.nn.Module):
        """Adds the layer's number to the patches."""

        def forward(self, before, after, attention, colours, layer, depth, count):
            assert attention.shape[-1] == after.shape[1] and colours.shape == (2, 16, 3) and depth == 2
            return after + layer
    net = ClassTokenViT(1, final_norm=True, **SMALL).eval()
    image = torch.randn(2, 3, 32, 32)
    patches, tokens, _, kept = net.run(image, keep=(0, -1))
    torch.testing.assert_close(net.norm(kept[1].flatten(2).transpose(1, 2)), patches.flatten(2).transpose(1, 2))
    torch.testing.assert_close(tokens[-1].mean(-1), torch.zeros(2, 1), atol=1e-5, rtol=0)
    net.adapter = Shift()
    torch.testing.assert_close(net.run(image, keep=(-1,))[3][0], kept[1] + 1)


def test_offset_of_the_positions_keeps_the_size_and_moves_the_samples():
    grid = torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(0))
    plain, moved = resize_positions(grid, (6, 7)), resize_positions(grid, (6, 7), 0.1)
    assert plain.shape == moved.shape == (1, 42, 8) and not torch.allclose(plain, moved, atol=1e-3)
    assert torch.equal(resize_positions(grid, (4, 4), 0.1), grid)


def test_unobserved_attention_gives_the_same():
    net = ClassTokenViT(3, **SMALL).eval()
    image = torch.randn(2, 3, 32, 32)
    plain, observed = net(image), net(image, observe=lambda a: a)
    torch.testing.assert_close(plain[0], observed[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(plain[1], observed[1], rtol=1e-4, atol=1e-6)
