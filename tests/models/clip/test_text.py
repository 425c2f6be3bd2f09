"""Names, templates, averages, the cache, and what is said about names that are too long."""
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.models.clip import load_embeddings, max_over_names, parse_classes, read_names, resolve_templates

pytest.importorskip('open_clip', reason='open_clip is an optional requirement')


@pytest.fixture
def encoder(tmp_path):
    """Function that builds the text side of a CLIP of two blocks, 16 wide, that reads 24 tokens."""
    import open_clip
    from open_clip.model import CLIP

    from mmseg_weak.models.clip import TextEncoder

    def make(templates='photo', cache_dir=tmp_path / 'kept', seed=0, quick=False):
        torch.manual_seed(seed)
        text = dict(context_length=24, width=16, heads=2, layers=2)
        model = CLIP(8, dict(layers=1, width=64, patch_size=16, image_size=32), text, quick_gelu=quick)
        model.eval().requires_grad_(False)
        return TextEncoder(model, open_clip.SimpleTokenizer(context_length=24), 'tiny', templates, cache_dir)
    return make


def test_names_and_owners():
    found = parse_classes(['person; child', ' traffic   light ', 'sky'])
    assert found == (('person', 'traffic light', 'sky'), ('person', 'child', 'traffic light', 'sky'), (0, 0, 1, 2))
    assert parse_classes('horse; rider; grass').classes == ('horse', 'rider', 'grass')
    assert parse_classes(['a, b', 'c'], separator=', ').owner == (0, 0, 1)


def test_background_names_are_one_class():
    found = parse_classes(['cat'], background=('wall', 'road'))
    assert found.classes == ('background', 'cat') and found.owner == (0, 0, 1)


@pytest.mark.parametrize('names, say', [
    ([], 'No class names were given'),
    ('', 'No class names were given'),
    (['cat', ''], r"class 2 \(''\) has an empty name"),
    ('cat;;dog', r"class 2 \(''\) has an empty name"),
    (['cat; dog', 'Dog'], r"The name 'Dog' is given twice: in class 1 \('cat; dog'\) and in class 2 \('Dog'\)"),
])
def test_bad_names(names, say):
    with pytest.raises(DataError, match=say):
        parse_classes(names)


def test_names_from_a_file(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('# of VOC\nboat; ship\n\ncat\n', encoding='utf-8')
    assert read_names(path).owner == (0, 0, 1)
    path.write_bytes(b'caf\xe9\n')
    with pytest.raises(DataError, match='is not UTF-8 text'):
        read_names(path)
    with pytest.raises(MissingFileError, match='does not exist'):
        read_names(tmp_path / 'absent.txt')


def test_ten_thousand_names_are_parsed():
    assert len(parse_classes(f'thing {i}' for i in range(10000)).names) == 10000


def test_templates():
    assert len(resolve_templates('imagenet')) == 80 and len(resolve_templates('imagenet_7')) == 7
    assert len(resolve_templates('maskclip')) == 85 and resolve_templates('a {}!') == ('a {}!', )
    assert all(template.count('{}') == 1 for template in resolve_templates('maskclip'))
    with pytest.raises(ConfigError, match="templates='imagnet' is no set of templates. Did you mean imagenet"):
        resolve_templates('imagnet')
    with pytest.raises(ConfigError, match="The template 'a {} or {}' has 2 places for a name"):
        resolve_templates(['a {} or {}'])


def test_embedding_is_the_mean_over_templates(encoder):
    text = encoder(['a {}.', 'the {}.'], cache_dir=None)
    raw = F.normalize(text.encode_texts(['a cat.', 'the cat.']), dim=1)
    assert torch.allclose(text(['cat'])[0], F.normalize(raw.mean(0), dim=0), atol=1e-6)


def test_text_side_is_open_clips_own(encoder):
    text = encoder(cache_dir=None)
    from open_clip.model import CLIP
    tokens = text.tokenizer(['a photo of a cat.'])
    assert torch.allclose(text.encode_texts(['a photo of a cat.']), CLIP.encode_text(text.model, tokens), atol=1e-6)
    assert not any(key.startswith('visual') for key in text.state_dict())


def test_cache_is_found_again_and_depends_on_everything(encoder, tmp_path):
    first = encoder()(['cat', 'dog'])
    files = list((tmp_path / 'kept').iterdir())
    assert len(files) == 1
    np.save(files[0], np.full((2, 8), 7, np.float32))  # a mark that only the cache can give
    assert float(encoder()(['cat', 'dog']).mean()) == 7
    for other in (encoder(seed=1)(['cat', 'dog']), encoder('name')(['cat', 'dog']), encoder()(['dog', 'cat']),
                  encoder(quick=True)(['cat', 'dog'])):
        assert float(other.mean()) != 7
    files[0].write_bytes(b'broken')
    assert torch.allclose(encoder()(['cat', 'dog']), first)


def test_what_is_kept_is_in_full_precision(encoder):
    want = encoder(cache_dir=None)(['cat', 'dog'])
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(encoder(cache_dir=None)(['cat', 'dog']), want)


def test_long_names_are_reported_with_the_cut(encoder, caplog):
    text = encoder(cache_dir=None)
    with caplog.at_level(logging.WARNING):
        text(['cat', 'a very ' + 'long ' * 30 + 'name'])
    from mmseg_weak.models.clip.text import cut_texts
    (whole, count, kept), = cut_texts(text.tokenizer, ['cat', 'long ' * 30], 24)
    assert count == 32 and kept == ('long ' * 22).strip()


def test_templates_of_another_language_need_a_tower_of_it(encoder):
    with pytest.raises(ConfigError, match='are not English, and the text tower of tiny was trained on English'):
        encoder('photo-de')


@pytest.mark.parametrize('owner', [(0, 0, 1), (0, 1, 2), (0, 1, 1)])
def test_max_over_names(owner):
    scores = torch.randn(2, 3, 4, 5)
    out = max_over_names(scores, owner)
    for c in range(owner[-1] + 1):
        assert torch.equal(out[:, c], scores[:, [i for i, o in enumerate(owner) if o == c]].amax(1))


def test_classes_out_of_order_are_refused():
    with pytest.raises(DataError, match='names are listed class after class'):
        max_over_names(torch.zeros(1, 3), (0, 2, 1))


def test_embeddings_from_a_file(tmp_path):
    rows = np.random.default_rng(0).normal(size=(5, 8))
    np.save(tmp_path / 'e.npy', rows)
    assert torch.allclose(load_embeddings(tmp_path / 'e.npy', 5).norm(dim=1), torch.ones(5))
    np.save(tmp_path / 'e.npy', rows.T)
    assert load_embeddings(tmp_path / 'e.npy', 5).shape == (5, 8)
    with pytest.raises(DataError, match='holds 8 embeddings, and 6 classes were named'):
        load_embeddings(tmp_path / 'e.npy', 6)
    np.save(tmp_path / 'e.npy', np.array([{'a': 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match='cannot be read as a numpy array without running code'):
        load_embeddings(tmp_path / 'e.npy')


def test_real_embeddings_load(real_data):
    for path in sorted((real_data / 'embeddings').glob('*.npy')):
        assert torch.allclose(load_embeddings(path).norm(dim=1), torch.ones(1), atol=1e-5), path.name


def test_sentences_are_read_as_they_are(encoder, tmp_path):
    """No template, no semicolons to cut at, kept on disk beside the same words as a name."""
    tower = encoder('photo')
    texts = ['a dog; it barks.', 'a dog; it barks.', 'a cat']
    got = tower.sentences(texts)
    torch.testing.assert_close(got, F.normalize(tower.encode_texts(texts), dim=-1))
    tower(['a cat'])
    assert len(list((tmp_path / 'kept').glob('*.npy'))) == 2
    tower._in_templates = None
    assert torch.equal(tower.sentences(texts), got)


def test_only_new_words_of_a_list_are_read(encoder):
    """A loop over words costs the new ones; new weights forget the old."""
    tower, read = encoder('photo', cache_dir=None), []
    encode = tower._in_templates
    tower._in_templates = lambda names, templates: read.append(len(names)) or encode(names, templates)
    first = tower(['cat', 'dog'])
    more = tower(['dog', 'horse', 'cat'])
    assert read == [2, 1] and torch.equal(more[[2, 0]], first)
    other = encoder('photo', cache_dir=None, seed=1)
    tower.load_state_dict(other.state_dict())
    torch.testing.assert_close(tower(['cat', 'dog']), other(['cat', 'dog']))
    assert read == [2, 1, 2]
