"""CaSED: a small database from retrieval to the word, the clean-up, cells of crops."""
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError
from mmseg_weak.methods.openvocab import cased
from mmseg_weak.models.clip.index_file import write_index

CAPTIONS = ['a dog on grass', 'two dogs run', 'the dog sleeps', 'a red car', 'cars in the street'] + [
    f'nothing number {i}' for i in range(15)]
SPACE = dict(dog=0, car=1)  # channels; the others are channel 2


def embed(texts):
    """One channel for each thing that a text names."""
    rows = torch.zeros(len(texts), 3)
    for row, text in zip(rows, texts):
        for word, channel in SPACE.items():
            row[channel] = word in text
        row[2] = .1 if row.any() else 1
    return F.normalize(rows, dim=1)


def test_from_database_to_word():
    """20 captions of 3 channels: an image of a dog gets the dogs' captions and the word that they share."""
    database, image = embed(CAPTIONS), embed(['dog'])
    rows = cased.nearest_captions(database, image, 3)
    assert sorted(rows[0].tolist()) == [0, 1, 2]
    assert torch.equal(rows.sort().values, cased.nearest_captions(database, image, 3, block=7).sort().values)
    words = cased.candidate_words(CAPTIONS[i] for i in rows[0].tolist())
    assert words == ['dog']
    words = ['dog', 'car', 'street']
    probs = cased.candidate_probs(image, database[rows[0]], [3], embed(words), [3])
    assert words[int(probs[0].argmax())] == 'dog' and abs(float(probs.sum()) - 1) < 1e-5


def test_near_duplicates_form_chains():
    """a ~ b ~ c although a is not like c: one group, its first stays."""
    angle = torch.tensor([0., 18., 36., 90.]).deg2rad()
    unit = torch.stack([angle.cos(), angle.sin()], 1)
    assert cased.distinct_captions(unit) == [0, 3]
    assert cased.distinct_captions(unit, .99) == [0, 1, 2, 3]


def test_words_of_other_images_count_nothing():
    images, captions, words = torch.randn(2, 4), torch.randn(3, 4), torch.randn(5, 4)
    both = cased.candidate_probs(images, captions, [1, 2], words, [2, 3])
    assert not both[0, 2:].any() and not both[1, :2].any()
    torch.testing.assert_close(both[1, 2:], cased.candidate_probs(images[1:], captions[1:], [2], words[2:], [3])[0])


def test_views_are_averaged_as_unit_vectors():
    views = torch.tensor([[[2., 0.], [0., 5.]], [[0., 1.], [0., 1.]]])
    probs = cased.neighbour_probs(torch.tensor([[1., 1.]]), views, scale=1.)
    want = torch.tensor([[1., .5 ** .5]]).softmax(1)
    torch.testing.assert_close(probs, want)


@pytest.mark.parametrize(('text', 'words'), [
    ('a PHOTO of a dog. <PERSON> https://a.b/c the dogs', ['dog']),
    ('cats cat.png http://x.y black-and-white cats', ['cat']),
    ('sunset.boulevard sunset', ['sunset']),  # an extension takes the word behind a full stop
    ('one two', ['one', 'two']),
    ('!! 12 a', ['object']),
    ('', ['object']),
])
def test_candidates(text, words):
    assert cased.candidate_words([text]) == words


def test_parts_of_speech_are_the_callers():
    assert cased.candidate_words(['run dog run dog'], keep=lambda word: word == 'dog') == ['dog']


def test_cells_are_means_of_their_crops():
    boxes = cased.crop_boxes((2, ))
    assert len(boxes) == 9 and len(cased.crop_boxes((1, 2), shifted=False)) == 5
    crops = torch.zeros(1, 9, 9)
    crops[0] = torch.eye(9)
    cells, whole = cased.embed_cells(crops, boxes, (4, 4))
    assert whole[8].tolist() == [1, 1, 2, 2]
    # the first cell of the map is in the first plain crop alone; the second in two, of equal weight
    torch.testing.assert_close(cells[0, 0, 0], torch.eye(9)[0])
    torch.testing.assert_close(cells[0, 0, 1], F.normalize(torch.eye(9)[0] + torch.eye(9)[4], dim=0))
    bare, _ = cased.embed_cells(crops[:, :1], boxes[:1], (4, 4))
    assert not bare[0, 3, 3].any() and not bare.isnan().any()


def test_cells_of_one_word_are_one_region():
    labels, names = cased.word_map(['sky', 'sky', 'sea', 'sky'], (2, 2))
    assert labels.tolist() == [[0, 0], [1, 0]] and names == ['sky', 'sea']


def test_function_words_name_nothing():
    captions = ['the dog with the red ball', 'the dog and three balls on the grass']
    assert cased.candidate_words(captions) == ['the', 'dog', 'ball']
    assert cased.candidate_words(captions, cased.may_name) == ['dog', 'ball']


# ---- crops and masks -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('size', [(32, 48), (37, 50), (3, 9)])
def test_crops_are_where_their_boxes_say(size):
    """Of a ramp of rows and columns, the mean of a crop is the middle of its box."""
    ys, xs = torch.meshgrid(torch.linspace(0, 1, size[0]), torch.linspace(0, 1, size[1]), indexing='ij')
    image = torch.stack([ys, xs, xs * 0])
    boxes, crops = cased.crop_boxes((2, 4)), cased.cut_crops(image, (2, 4), True, 8)
    assert crops.shape == (9 + 49, 3, 8, 8)
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    loose = 1 / min(size) + .02  # pixels are whole
    torch.testing.assert_close(crops[:, :2].mean((2, 3)).flip(1), middle, atol=loose, rtol=0)


def test_plain_crops_by_hand():
    image = torch.arange(16.).view(1, 4, 4).expand(3, 4, 4)
    crops = cased.cut_crops(image, (2, ), True, 2)
    assert crops[:4, 0].tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[8, 9], [12, 13]], [[10, 11], [14, 15]]]
    assert crops[4, 0].tolist() == [[1, 2], [5, 6]]  # half a cell to the right
    assert crops[6, 0].tolist() == [[4, 5], [8, 9]]  # half a cell down
    assert crops[8, 0].tolist() == [[5, 6], [9, 10]]  # both


def test_enlarging_is_one_hot():
    labels = torch.randint(4, (3, 5))
    want = F.interpolate(F.one_hot(labels, 4).permute(2, 0, 1)[None].float(), (13, 11), mode='bilinear')[0]
    assert torch.equal(cased.enlarge_labels(labels, (13, 11)), want.argmax(0))


def test_patches_are_painted_over_their_number():
    one, two = torch.tensor([[1, 1, 0]]).bool(), torch.tensor([[0, 1, 1]]).bool()
    labels, scores, names = cased.paint_words([one, two, two], ['sky', 'sea', 'sky'], [.9, .6, .3])
    assert names == ['sky', 'sea']
    torch.testing.assert_close(scores, torch.tensor([[.9, .6 / 3, .6 / 2]]))
    assert labels.tolist() == [[0, 1, 1]]  # the last of its masks sets a word's score
    assert cased.grid_boxes((7, 9), (2, )) == [(0, 0, 3, 4), (0, 4, 3, 8), (3, 0, 6, 4), (3, 4, 6, 8)]


# ---- the segmentor ---------------------------------------------------------------------------------------------------

class Painter:
    """A CLIP that sees the colour of a picture's middle, and reads it in a text."""
    WORDS = ('red', 'green', 'blue')

    def __init__(self) -> None:
        self.logit_scale = torch.zeros(())
        self.text = self

    def encode_image(self, pictures):
        return F.normalize(pictures.mean((2, 3)) - pictures.mean((1, 2, 3))[:, None] + 1e-3, dim=1)

    def encode_texts(self, texts):
        rows = torch.tensor([[float(word in text) for word in self.WORDS] for text in texts])
        return F.normalize(rows - rows.mean(1, keepdim=True) + 1e-3, dim=1)

    encode_names = encode_texts


def build(tmp_path, mode='dense', captions=None, **test_cfg):
    config = dict(type='CaSED', mode=mode, count=2,
                  clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None),
                  test_cfg=dict(dict(grids=(2, 4), crop_px=32, cells=4, image_px=32, patch_grids=(2, ), min_area_px=9),
                                **test_cfg))
    model = MODELS.build(config)
    model.clip = None
    object.__setattr__(model, 'clip', Painter())
    captions = captions or [f'{text} {word}' for word in ('red', 'green', 'blue') for text in ('a plain', 'one more')]
    vectors = model.clip.encode_texts(captions).half()
    write_index(tmp_path / 'index', 'cased', dict(embeddings=vectors, clip=model.probe()), dict(captions=captions), {})
    model.index = tmp_path / 'index'
    return model


def quarters(side=32):
    """Red, green; blue, red."""
    image = torch.zeros(3, side, side)
    half = side // 2
    image[0, :half, :half] = image[1, :half, half:] = image[2, half:, :half] = image[0, half:, half:] = 255
    return image


def test_words_of_places(tmp_path):
    model = build(tmp_path)
    sample, = model.predict(quarters()[None], [SegDataSample(metainfo=dict(ori_shape=(64, 48)))])
    assert sample.words[:3] == ['red', 'green', 'blue']
    labels, probs = sample.pred_sem_seg.data[0], sample.confidence.data[0]
    assert labels.shape == probs.shape == (64, 48)
    for row, column, word in ((4, 4, 'red'), (4, 44, 'green'), (60, 4, 'blue'), (60, 44, 'red')):
        assert sample.words[labels[row, column]] == word
    assert (probs > 0.3).all() and (probs <= 1).all()


def test_words_of_patches_and_of_the_image(tmp_path):
    model = build(tmp_path, 'patches')
    labels, _, words = model.segment(quarters())
    assert [words[labels[y, x]] for y, x in ((4, 4), (4, 28), (28, 4), (28, 28))] == ['red', 'green', 'blue', 'red']
    same = build(tmp_path, 'patches', vocabulary='image')
    labels, _, words = same.segment(quarters())
    assert set(words) == {'red'}  # the image's own captions know no other word
    whole = build(tmp_path, 'image')
    sample, = whole.predict(quarters()[None])
    assert sample.words == ['red'] and sample.tags[0][0] == 'red' and not sample.pred_sem_seg.data.any()
    assert abs(sum(prob for _, prob in whole.describe(torch.eye(3)[:1])[0]) - 1) < 1e-5


def test_proposals_take_the_grids_place(tmp_path):
    model = build(tmp_path, 'patches')
    left = torch.zeros(2, 32, 32, dtype=torch.bool)
    left[0, :16, 16:], left[1, 0, :3] = True, True  # the second is too small
    object.__setattr__(model, 'proposals', lambda image: left)
    labels, probs, words = model.segment(quarters())
    assert words == ['green'] and (probs > 0).sum() == 256
    object.__setattr__(model, 'proposals', lambda image: left[:0])
    assert model.segment(quarters())[2] == ['red']  # without a mask the image is one


def test_near_duplicates_count_once(tmp_path):
    model = build(tmp_path, captions=['red things', 'red things too', 'red stuff', 'blue green'])
    model.count = 3
    model.read()
    kept, words = model._group((0, 1, 2))
    assert kept == [0]  # equal embeddings
    assert words == ['red', 'thing']


def test_what_is_refused(tmp_path):
    model = build(tmp_path)
    model.index = None
    with pytest.raises(ConfigError, match='model.index is None, and this method looks things up in an index; '
                                          '`mmseg-weak index cased CONFIG` makes one.'):
        model.predict(quarters()[None])
    clip = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None)
    real = MODELS.build(dict(type='CaSED', clip=clip, index=tmp_path / 'index'))
    with pytest.raises(CheckpointError, match='index was made with another CLIP'):
        real.predict(quarters()[None])
    for wrong, say in ((dict(mode='crops'), "model.mode='crops' of CaSED is none of dense, image, patches."),
                       (dict(test_cfg=dict(grid=3)), "the key 'grid', which is none of .* Did you mean grids.*"),
                       (dict(test_cfg=dict(vocabulary='all')), "vocabulary='all'; it is 'patch' or 'image'")):
        with pytest.raises(ConfigError, match=say):
            MODELS.build(dict(type='CaSED', clip=clip, **wrong))
    with pytest.raises(ConfigError, match='CaSED is not trained'):
        real.loss(None, [])


def test_real_towers_and_words_are_remembered(tmp_path, monkeypatch):
    clip = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None)
    model = MODELS.build(dict(type='CaSED', clip=clip, index=tmp_path / 'index', test_cfg=dict(
        grids=(2, ), crop_px=32, cells=4, image_px=32)))
    captions = ['a striped ball', 'a dotted drum', 'two balls in a meadow']
    write_index(tmp_path / 'index', 'cased', dict(embeddings=F.normalize(model.clip.text.encode_texts(captions)),
                                                  clip=model.probe()), dict(captions=captions), {})
    first = model.segment(quarters())
    calls = []
    monkeypatch.setattr(model.clip, 'encode_names', lambda words: calls.append(words))
    again = model.segment(quarters())
    assert torch.equal(first[0], again[0]) and first[2] == again[2] and not calls
    assert set(first[2]) <= {'striped', 'ball', 'dotted', 'drum', 'meadow'}
