"""The image tower: open_clip's own output, and what each switch changes."""
import re

import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError

pytest.importorskip('open_clip', reason='open_clip is an optional requirement')


@pytest.fixture
def visual():
    """Function that builds a tower of three blocks, 24 wide, with patches of 8 and a grid of 4x4."""
    from open_clip.transformer import VisionTransformer

    def make(**kwargs):
        torch.manual_seed(0)
        tower = VisionTransformer(32, 8, 24, 3, 4, 2.0, output_dim=12, **kwargs).eval().requires_grad_(False)
        for parameter in tower.parameters():  # norms that start as identities would hide mistakes
            parameter.add_(torch.randn_like(parameter) * 0.1)
        return tower
    return make


def dense(visual, **kwargs):
    from mmseg_weak.models.clip import DenseViT
    return DenseViT(visual, **kwargs)


@pytest.mark.parametrize('kwargs', [{}, dict(ls_init_value=0.5)], ids=['plain', 'layer scale'])
def test_vanilla_is_open_clips_own(visual, kwargs):
    tower, images = visual(**kwargs), torch.randn(2, 3, 32, 32)
    out = dense(tower)(images, layers=(0, -1))
    tower.output_tokens = True
    whole, tokens = tower(images)
    assert torch.allclose(out.whole, whole, atol=1e-5)
    assert torch.allclose(out.dense.flatten(2).transpose(1, 2), tokens @ tower.proj, atol=1e-5)
    blocks = tower.forward_intermediates(images, output_fmt='NLC', intermediates_only=True)['image_intermediates']
    assert torch.allclose(out.layers[0][:, 1:], blocks[0], atol=1e-5)
    assert torch.allclose(out.layers[2][:, 1:], blocks[2], atol=1e-5)


def test_attention_maps_are_pytorchs(visual):
    tower, images = visual(), torch.randn(2, 3, 32, 32)
    seen = dense(tower)(images, attention=(0, )).attention[0]
    block = tower.transformer.resblocks[0]
    x = block.ln_1(tower._embeds(images))
    expected = block.attn(x, x, x, need_weights=True, average_attn_weights=False)[1]
    assert torch.allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize('name', ['vanilla', 'value', 'sclip', 'clearclip', 'kk', 'naclip', 'neighbours', 'gem',
                                  'clip_surgery', 'excel'])
def test_weights_are_what_is_applied(visual, name):
    tower = dense(visual(), attention=name)
    images = torch.randn(2, 3, 32, 32)
    heads = tower.heads(tower.embed(images), 1, tower.grid(images))
    mix = tower.attend(heads)
    assert torch.allclose(mix.weights(heads) @ heads.v, mix.apply(heads), atol=1e-5)


@pytest.mark.parametrize('name, total', [('vanilla', 1), ('sclip', 2), ('clearclip', 1), ('naclip', 1), ('gem', 1),
                                         ('excel', 4), ('neighbours', 1)])
def test_rows_sum_to(visual, name, total):
    tower = dense(visual(), attention=name)  # 4 heads: ExCEL's matrix is their sum
    images = torch.randn(1, 3, 32, 32)
    heads = tower.heads(tower.embed(images), 2, tower.grid(images))
    rows = tower.attend(heads).weights(heads).sum(-1)
    assert torch.allclose(rows, torch.full_like(rows, float(total)), atol=1e-4)


def test_value_path_by_hand(visual):
    tower, images = visual(), torch.randn(1, 3, 32, 32)
    out = dense(tower, attention='value', residual=False, ffn=False)(images).dense
    block = tower.transformer.resblocks[2]
    x = tower._embeds(images)
    for before in tower.transformer.resblocks[:2]:
        x = before(x)
    v = F.linear(block.ln_1(x), block.attn.in_proj_weight[48:], block.attn.in_proj_bias[48:])
    tokens = tower.ln_post(block.attn.out_proj(v))[:, 1:] @ tower.proj
    assert torch.allclose(out.flatten(2).transpose(1, 2), tokens, atol=1e-5)


@pytest.mark.parametrize('size', [(32, 48), (40, 24), (33, 39)])
def test_any_size(visual, size):
    out = dense(visual(), attention='naclip', residual=False, ffn=False)(torch.randn(2, 3, *size))
    assert out.dense.shape == (2, 12, size[0] // 8, size[1] // 8) and torch.isfinite(out.dense).all()


def test_batch_is_its_images_one_by_one(visual):
    images, external = torch.randn(3, 3, 32, 48), torch.randn(3, 5, 4, 6)
    for name in ('sclip', 'neighbours', 'gem', 'proxyclip', 'excel'):
        tower = dense(visual(), attention=name, residual=False, ffn=False)
        together = tower(images, external=external).dense
        alone = torch.cat([tower(images[i:i + 1], external=external[i:i + 1]).dense for i in range(3)])
        assert torch.allclose(together, alone, atol=1e-5), name


def test_proxy_gives_the_other_networks_grid(visual):
    tower = dense(visual(), attention='proxyclip', residual=False, ffn=False)
    assert tower(torch.randn(1, 3, 32, 32), external=torch.randn(1, 5, 6, 8)).dense.shape == (1, 12, 6, 8)
    with pytest.raises(ConfigError, match='give them as `external`'):
        tower(torch.randn(1, 3, 32, 32))


def test_proxy_of_equal_features_is_a_mean(visual):
    from mmseg_weak.models.clip.attention import proxy_weights
    weights = proxy_weights(torch.ones(1, 4, 2, 3), beta=0.5)
    assert torch.allclose(weights, torch.full((1, 1, 6, 6), 1 / 6))


@pytest.mark.parametrize('kwargs', [dict(), dict(attention='sclip'), dict(attention='gem', last=2, stream='parallel'),
                                    dict(attention='clearclip', residual=False, ffn=False, last=2)])
def test_the_last_ordinary_block_can_be_saved(visual, kwargs):
    tower, images = dense(visual(), **kwargs), torch.randn(2, 3, 32, 32)
    full, part = tower(images), tower(images, whole=False)
    assert part.whole is None and torch.equal(full.dense, part.dense)
    assert torch.equal(tower(images, layers=(2, ), whole=False).layers[2], tower(images, layers=(2, )).layers[2])


def test_parallel_stream_leaves_the_image_feature(visual):
    tower, images = visual(), torch.randn(2, 3, 32, 32)
    plain, beside = dense(tower)(images), dense(tower, attention='gem', last=2, stream='parallel')(images)
    assert torch.equal(plain.whole, beside.whole) and not torch.allclose(plain.dense, beside.dense, atol=1e-2)


def test_last_two_without_residual_are_added_up(visual):
    tower, images = visual(), torch.randn(1, 3, 32, 32)
    both = dense(tower, attention='clearclip', residual=False, ffn=False, last=2)
    tokens = both.tokens(both.embed(images), (4, 4))[0]
    x, total = both.embed(images), 0
    for layer in range(3):
        block, (x, heads) = tower.transformer.resblocks[layer], both.block(x, layer, (4, 4))
        if layer:
            mixed = F.scaled_dot_product_attention(heads.q, heads.q, heads.v)
            total = total + block.attn.out_proj(mixed.transpose(1, 2).flatten(2))
    assert torch.allclose(tokens, total, atol=1e-5)


@pytest.mark.parametrize('kwargs, say', [
    (dict(attention='sclap'), "attention='sclap' is no attention of a CLIP tower. Did you mean sclip"),
    (dict(attention='naclip', attention_cfg=dict(sigma=5)), "attention 'naclip' has no option 'sigma'. It has std."),
    (dict(residual=False), 'without its residual has no use for its FFN'),
    (dict(last=4), 'last=4 blocks are to be changed in a tower of 3'),
    (dict(stream='both'), "stream='both' of a CLIP tower; use 'replace' or 'parallel'"),
    (dict(attention='proxyclip'), "'proxyclip' gives other tokens than the block has"),
    (dict(positions='cubic'), "positions='cubic' is no way to resize"),
])
def test_contradictions_are_refused(visual, kwargs, say):
    with pytest.raises(ConfigError, match=re.escape(say)):
        dense(visual(), **kwargs)


def test_an_image_below_one_patch_is_refused(visual):
    with pytest.raises(ConfigError, match='An image of 1x64 pixels holds no patch of 8: resize or pad it first.'):
        dense(visual())(torch.randn(1, 3, 1, 64))


def test_pooling_towers_are_refused(visual):
    with pytest.raises(ConfigError, match="it pools by 'avg', not by the class token"):
        dense(visual(pool_type='avg'))
    with pytest.raises(ConfigError, match='it pools by attention'):
        dense(visual(attentional_pool=True, attn_pooler_heads=4))


def test_half_precision(visual):
    tower, images = visual(), torch.randn(1, 3, 32, 48)
    full = dense(tower, attention='naclip', residual=False, ffn=False)(images).dense
    half = dense(tower.bfloat16(), attention='naclip', residual=False, ffn=False)(images).dense
    assert half.dtype == torch.bfloat16
    assert F.cosine_similarity(full.flatten(), half.float().flatten(), dim=0) > 0.999


def test_positions_by_three_rules():
    from mmseg_weak.models.clip import resize_position_table
    table = torch.randn(17, 6)
    found = {rule: resize_position_table(table, (6, 3), rule) for rule in ('offset', 'size', 'antialias', 'bilinear')}
    for rule, new in found.items():
        assert new.shape == (19, 6) and torch.equal(new[0], table[0]), rule
        assert torch.equal(resize_position_table(table, (4, 4), rule), table)
    rules = list(found)
    for i, a in enumerate(rules):
        for b in rules[i + 1:]:
            assert not torch.allclose(found[a], found[b], atol=1e-3), (a, b)
    flat = resize_position_table(torch.ones(17, 6), (5, 7), 'offset')
    assert torch.allclose(flat, torch.ones(36, 6), atol=1e-5)
