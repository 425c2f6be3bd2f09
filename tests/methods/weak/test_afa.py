"""AFA: attention as in the network, stages of the loss, labels that walked, images without tags."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak.afa import AFA, walked_labels
from mmseg_weak.models.backbones import AttentionMiT
from mmseg_weak.models.refine import PAR, AttentionWalk

BACKBONE = dict(type='AttentionMiT', embed_dims=8, num_layers=[1, 1, 1, 2], num_heads=[1, 1, 1, 2],
                sr_ratios=[8, 4, 2, 1], drop_path_rate=0.0)
HEAD = dict(type='SegformerHead', in_channels=[8, 8, 8, 16], in_index=[0, 1, 2, 3], channels=8, dropout_ratio=0.0,
            norm_cfg=dict(type='BN'), align_corners=False, loss_decode=dict(type='CrossEntropyLoss'))


def model(**kwargs):
    torch.manual_seed(0)
    return AFA(BACKBONE, HEAD, 3, par=dict(type='PAR', num_iter=1, dilations=(1, 2)),
               seed=dict(scales=(1.0, 0.5, 1.5), flip='max', normalize='minmax'), **kwargs).train()


@pytest.fixture
def batch(tagged):
    """Function: a red square with the first tag, and a plain image without one."""
    def make():
        images = torch.full((2, 3, 64, 64), -0.2)
        images[0, 0, 16:48, 16:48] = 1
        return images, tagged([1, 0], [0, 0])
    return make


def test_maps_are_mmsegs_and_attention_is_what_the_block_uses():
    net = AttentionMiT(**{k: v for k, v in BACKBONE.items() if k != 'type'}).eval()
    image = torch.randn(1, 3, 64, 96)
    maps, attentions = net.forward_attention(image)
    assert all(torch.equal(a, b) for a, b in zip(maps, net(image)))
    assert [tuple(m.shape[-2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (4, 6)]
    assert [tuple(a.shape) for a in attentions] == [(1, 2, 24, 24)] * 2
    block, tokens = net.layers[-1][1][0], torch.randn(1, 24, 16)
    q = block.norm1(tokens).transpose(0, 1)
    want = block.attn.attn(q, q, q, average_attn_weights=False)[1]
    got = (net.attention_logits(block, tokens) / 8 ** 0.5).softmax(-1)  # 8 channels a head
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match='attention_blocks=3'):
        AttentionMiT(attention_blocks=3, **{k: v for k, v in BACKBONE.items() if k != 'type'})


def test_stages_and_gradients(at, batch):
    net = model()
    for iteration, names in ((2000, {'loss_cls', 'loss_waiting'}), (2001, {'loss_cls', 'loss_seg', 'loss_aff'}),
                             (6001, {'loss_cls', 'loss_seg', 'loss_aff'})):
        at(iteration)
        net.zero_grad()
        losses = net.loss(*batch())
        sum(losses.values()).backward()
        assert set(losses) == names and all(torch.isfinite(v) for v in losses.values())
        assert [n for n, p in net.named_parameters() if p.grad is None] == []


def test_walk_spreads_a_seed_along_the_affinity():
    # 4x4 patches of 8 pixels; the top half is one thing, the bottom half another
    top = torch.arange(16) < 8
    affinity = (top[:, None] == top).float()[None] * 0.98 + 0.01
    cams = torch.zeros(1, 2, 32, 32)
    cams[0, 0, :8, :16] = 1
    walks = AttentionWalk(bkg_score=0.2, radius=None), AttentionWalk(bkg_score=0.1, radius=None)
    labels = walked_labels(cams, affinity, (4, 4), torch.zeros(1, 3, 32, 32), torch.tensor([[1, 0]]),
                           torch.tensor([[0, 32, 0, 28]]), PAR(1, (1,)), walks)
    assert (labels[0, 2:13, :26] == 1).all() and (labels[0, 20:, :26] == 0).all() and (labels[0, :, 28:] == 255).all()


def test_affinity_is_that_of_the_largest_scale(batch):
    net = model().eval()
    cams, affinity, size = net.maps_and_affinity(batch()[0])
    assert cams.shape == (2, 2, 64, 64) and size == (6, 6) and affinity.shape == (2, 36, 36)
    assert torch.allclose(affinity, affinity.transpose(1, 2))


def test_other_backbones_are_refused():
    with pytest.raises(ConfigError, match='AttentionMiT'):
        AFA(dict(BACKBONE, type='MixVisionTransformer'), HEAD, 3)
