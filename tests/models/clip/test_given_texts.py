"""Embeddings of a file in the place of the text tower: rows, names, real files, a segmentor."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from PIL import Image

from mmseg_weak.apis.open_vocab import OpenVocabInferencer
from mmseg_weak.apis.predict import predict_text
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.models.clip import parse_classes
from mmseg_weak.models.clip.given_texts import GivenTexts

NAMES = ['ball; round thing', 'drum', 'box']


@pytest.fixture
def rows(tmp_path):
    """Function that writes an array and returns its path."""
    def write(*shape, dtype='float32', scale=1.0):
        path = tmp_path / f'{"x".join(map(str, shape))}.npy'
        np.save(path, (np.random.default_rng(0).normal(size=shape) * scale).astype(dtype))
        return str(path)
    return write


def test_a_row_a_name_or_a_row_a_class(rows):
    names = parse_classes(NAMES)
    each = GivenTexts(rows(4, 8), names, 8, 'tiny')
    assert each.names == names and each(names).shape == (4, 8)
    some = parse_classes(['Box', 'round thing'])
    assert torch.equal(each(some), each(names)[[3, 1]])
    shared = GivenTexts(rows(3, 8), names, 8, 'tiny')
    assert shared.names.names == ('ball', 'drum', 'box') and shared.names.owner == (0, 1, 2)
    assert shared.reduced(names) == shared.names
    assert torch.equal(shared(parse_classes(['round thing'])), shared(parse_classes(['ball'])))
    with pytest.raises(DataError, match=r"^'bal' has no embedding in .*3x8\.npy, which has 3\. Did you mean ball\? "
                                        r'Look for names that it has, or leave model\.embeddings out and let the text '
                                        r'tower read any\.$'):
        shared(parse_classes(['bal']))


def test_long_half_precision_rows_get_unit_length(rows):
    given = GivenTexts(rows(3, 512, dtype='float16', scale=200), parse_classes('a; b; c'), 512, 'tiny')
    torch.testing.assert_close(given.rows.norm(dim=1), torch.ones(3))


def test_rows_that_do_not_fit(rows, tmp_path):
    names = parse_classes(NAMES)
    with pytest.raises(DataError, match=r'5x8\.npy holds 5 embeddings, and 3 classes by 4 names were named\.$'):
        GivenTexts(rows(5, 8), names, 8, 'tiny')
    with pytest.raises(ConfigError, match=r'holds embeddings of 6 numbers, and tiny compares 8; they were made by '
                                          r'another text tower: name its model in model\.clip\.$'):
        GivenTexts(rows(4, 6), names, 8, 'tiny')
    with pytest.raises(MissingFileError, match='do not exist: give a .npy file with one row a class'):
        GivenTexts('nowhere.npy', names, 8, 'tiny')
    np.save(tmp_path / 'code.npy', np.array([dict(a=1)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match='cannot be read as a numpy array without running code'):
        GivenTexts(tmp_path / 'code.npy', names, 8, 'tiny')
    np.savez(tmp_path / 'many.npz', a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(DataError, match='is an archive of 2 arrays; save one of them with numpy.save'):
        GivenTexts(tmp_path / 'many.npz', names, 8, 'tiny')


def build(**kwargs):
    torch.manual_seed(0)
    clip = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value')
    cut = dict(short_side_px=32, crop_px=0)
    return MODELS.build(dict(type='OpenVocabSegmentor', clip=clip, test_cfg=cut, **kwargs))


def test_a_segmentor_compares_with_the_files_rows(rows):
    """The text tower's own embeddings as a file give the text tower's masks; it is not asked any more."""
    own, image = build(names=NAMES), torch.randint(256, (3, 32, 40)).float()
    path = rows(4, 64)
    np.save(path, own.texts().numpy() * 7)
    other = build(names=NAMES, embeddings=path)
    other.clip.text = None
    kept, = own.keep([image])
    for a, b in zip(own.label(kept), other.label(other.keep([image])[0])):
        torch.testing.assert_close(a, b)
    assert list(other.state_dict()) == [k for k in own.state_dict() if not k.startswith('clip.text')]


def test_an_inferencer_looks_for_known_names_alone(rows):
    config = 'maskclip_toyworld'
    options = {'model.clip.cache_dir': None, 'model.clip.templates': 'name'}
    inferencer = OpenVocabInferencer(config, 'random', options=options, embeddings=rows(3, 64), known=NAMES)
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert inferencer(image, NAMES).classes == ('ball', 'drum', 'box')
    assert inferencer(image, 'box').classes == ('box', )  # no everyday words, which have no embedding
    with pytest.raises(DataError, match="'tent' has no embedding"):
        inferencer(image, 'box; tent')
    with pytest.raises(ConfigError, match='was given as embeddings without `known`'):
        OpenVocabInferencer(config, 'random', embeddings=rows(3, 64))


def test_predict_takes_a_list_and_its_rows(rows, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(tmp_path / 'a.png')
    names = tmp_path / 'names.txt'
    names.write_text('ball; round thing\ndrum\nbox\n', encoding='utf-8')
    result = predict_text(tmp_path / 'a.png', names, tmp_path / 'out', 'maskclip_toyworld', 'random', device='cpu',
                          embeddings=rows(3, 64), quiet=True)
    assert result.classes == ['ball', 'drum', 'box'] and len(result.written) == 1
    with pytest.raises(DataError, match='holds 4 embeddings, and 3 classes were named'):
        predict_text(tmp_path / 'a.png', 'a; b; c', tmp_path / 'b', 'maskclip_toyworld', 'random', device='cpu',
                     embeddings=rows(4, 64), quiet=True)


@pytest.mark.parametrize('file, names, background', [
    ('semivl__voc12_wbg_single.npy', 'voc20', 'word'), ('ZegCLIP__voc12_single.npy', 'voc20', None),
    ('semivl__ade_single.npy', 'ade20k', None), ('Detic__coco_clip_a+cname.npy', 'coco_object', None),
    ('semivl__cityscapes_single.npy', 'cityscapes', None), ('ZegCLIP__coco_multi.npy', 'coco_stuff', None)])
def test_published_embeddings_load(real_data, file, names, background):
    """By real class lists: right numbers, unit length, and neighbours that make sense for the tower they are of."""
    from mmseg_weak.models.clip import named_classes
    found = named_classes(names, background)
    given = GivenTexts(real_data / 'embeddings' / file, found, 512, 'ViT-B-16')
    assert len(given.names.classes) == len(found.classes) and given.rows.shape == (len(found.classes), 512)
    torch.testing.assert_close(given.rows.norm(dim=1), torch.ones(len(given.rows)))
    assert F.cosine_similarity(given.rows[:1], given.rows[1:]).max() < 0.999
    if names == 'voc20':
        like = given.rows @ given.rows.T
        place = {name: i for i, name in enumerate(given.names.names)}
        assert like[place['cat'], place['dog']] > like[place['cat'], place['train']]


def test_word_vectors_are_of_another_space(real_data):
    with pytest.raises(ConfigError, match='holds embeddings of 300 numbers, and ViT-B-16 compares 512'):
        GivenTexts(real_data / 'embeddings/SPNet__voc12__glove.npy', parse_classes([f'c{i}' for i in range(21)]), 512,
                   'ViT-B-16')
