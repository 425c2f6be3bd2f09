"""Names in templates whose beginnings are kept: open_clip's own numbers from fewer tokens."""
import pytest
import torch

open_clip = pytest.importorskip('open_clip', reason='open_clip is an optional requirement')

from mmseg_weak.models.clip import resolve_templates
from mmseg_weak.models.clip.prefixes import PrefixReader, reads_prefixes
from mmseg_weak.models.clip.weights import create_model, get_tokenizer


@pytest.fixture(params=['small', 'toyworld'])
def tower(request):
    """A text side of random weights and its tokenizer."""
    from open_clip.model import CLIP
    torch.manual_seed(0)
    if request.param == 'toyworld':
        return create_model('toyworld_clip', None), get_tokenizer('toyworld_clip')
    model = CLIP(8, dict(layers=1, width=64, patch_size=16, image_size=32),
                 dict(context_length=24, width=16, heads=2, layers=2), quick_gelu=True).eval()
    return model, open_clip.SimpleTokenizer(context_length=24)


NAMES = ['cat', 'traffic light', 'a very long name of many words', 'long ' * 40, 'Ball', '3', "s'more"]


@pytest.mark.parametrize('templates', [('{}', ), ('a photo of a {}.', ), ('{} in a photo', 'the{}', 'my {}!', '"{}"'),
                                       resolve_templates('imagenet')], ids=['name', 'photo', 'odd', 'imagenet'])
def test_same_as_open_clip(tower, templates):
    """Also names that fill the tower, and templates whose words join the name."""
    model, tokenizer = tower
    assert reads_prefixes(model, tokenizer)
    got = PrefixReader(model, tokenizer, templates)(NAMES)
    texts = [template.replace('{}', name) for name in NAMES for template in templates]
    with torch.no_grad():
        want = model.encode_text(tokenizer(texts)).unflatten(0, (len(NAMES), -1))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    assert not got.requires_grad


def test_only_what_follows_the_beginning_is_read(tower):
    model, tokenizer = tower
    reader, seen = PrefixReader(model, tokenizer, ('a photo of a {}.', 'the {}')), []
    model.transformer.resblocks[0].mlp.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[:2]))
    reader(['x', 'y'])
    size = len(tokenizer.encode('x'))
    assert sorted(map(tuple, seen)) == [(2, size + 1), (2, size + 2)]  # 'x', its end; 'x', '.', its end


def test_towers_that_are_not_causal_are_told_apart(tower):
    model, tokenizer = tower
    model.attn_mask = None
    assert not reads_prefixes(model, tokenizer)
