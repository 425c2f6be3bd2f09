"""CaSED: a small database from retrieval to the word, the clean-up, cells of crops."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.methods.openvocab import cased

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
