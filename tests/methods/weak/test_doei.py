"""DOEI's adapter against loops, what modulation does to a row, and a host that runs with it."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak.doei import DOEIAdapter, colour_affinity, modulate_rows
from mmseg_weak.models.backbones import ClassTokenViT


def tokens(count=2, patches=3, dim=4):
    generator = torch.Generator().manual_seed(0)
    n = count + patches
    before, after = (torch.randn(1, n, dim, generator=generator) for _ in range(2))
    return before, after, torch.rand(1, n, n, generator=generator).softmax(-1), torch.rand(1, patches, 3), count


def test_without_modulation_and_colours_it_adds_a_plain_product():
    before, after, attention, colours, count = tokens()
    out = DOEIAdapter(eta=0.0, sigma=None)(before, after, attention, colours, 0, 1, count)
    a, x = attention[0], after[0]
    want = x.clone()
    for i in range(count):
        for j in range(count):
            want[i] += (a[i, j] + a[j, i]) * x[j]
    for p in range(count, len(x)):
        want[p] += max(a[c, p] + a[p, c] for c in range(count)) * x[p]
    torch.testing.assert_close(out[0], want)


def test_modulation_spreads_a_row():
    rows = torch.rand(5, 8, generator=torch.Generator().manual_seed(1))
    for split in ('mean', 'topk'):
        assert torch.equal(modulate_rows(rows, 0.0, split), rows)
        assert (modulate_rows(rows, 0.4, split).var(-1) > rows.var(-1)).all()
    assert modulate_rows(torch.tensor([1.0, 3.0]), 0.5).tolist() == [0.5, 4.5]


def test_it_grows_with_depth_and_keeps_to_the_last_blocks():
    before, after, attention, colours, count = tokens()
    adapter = DOEIAdapter(eta=0.8, sigma=None, last_blocks=2)
    assert adapter(before, after, attention, colours, 1, 4, count) is after
    early, late = (adapter(before, after, attention, colours, layer, 4, count) for layer in (2, 3))
    assert not torch.equal(early, after) and not torch.equal(early, late)


def test_like_colours_attract_and_class_rows_take_the_cosine_alone():
    colours = torch.tensor([[[0.0, 0, 0], [0, 0, 0], [3, 0, 0]]])
    assert colour_affinity(colours, 1.0)[0, 0].tolist() == pytest.approx([1, 1, 0.0001234], abs=1e-6)
    before, _, attention, _, count = tokens()
    mixed = DOEIAdapter(sigma=1.0, similarity=0.5).hybrid(before, attention, colours, count)
    cosine = torch.cosine_similarity(before[0, 0], before[0, 4], dim=0)
    torch.testing.assert_close(mixed[0, 0, 4], attention[0, 0, 4] + 0.5 * cosine)


def test_a_host_runs_with_it_and_keeps_its_weights():
    small = dict(embed_dim=8, depth=2, num_heads=2, mlp_ratio=2, img_size=32, patch_size=8)
    torch.manual_seed(0)
    host = ClassTokenViT(3, **small).eval()
    edited = ClassTokenViT(3, adapter=dict(type='DOEIAdapter', gain=0.1), **small).eval()
    edited.load_state_dict(host.state_dict())
    image = torch.randn(2, 3, 32, 32)
    plain, other = host(image), edited(image)
    assert plain[0].shape == other[0].shape and torch.isfinite(other[0]).all()
    assert not torch.allclose(plain[0], other[0])


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match="reduce='sum'"):
        DOEIAdapter(reduce='sum')
    with pytest.raises(ConfigError, match='eta=2'):
        DOEIAdapter(eta=2)
