"""Free words against classes: four readings by hand, a background that is not counted, words as tags."""
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import METRICS

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.evaluation.vocabulary_free import cluster_accuracy, overlap_classes, word_iou

CLASSES = ('background', 'dog', 'cat')
MEANING = dict(background=(0, 0, 1), dog=(1, 0, 0), cat=(0, 1, 0), puppy=(.8, .6, 0), kitten=(.6, .8, 0), sky=(0, 0, 1))


def build(kind='VocabularyFreeIoU', meanings=True, **kwargs):
    metric = METRICS.build(dict(type=kind, encoder=dict(type='never built') if meanings else None, **kwargs))
    metric.dataset_meta = dict(classes=CLASSES)
    metric.sentences._encode = lambda words: F.normalize(torch.tensor([MEANING[word] for word in words]).float())
    return metric


def sample(regions, truth, words, **more):
    return dict(pred_sem_seg=dict(data=torch.tensor([regions])), gt_sem_seg=dict(data=torch.tensor([truth])),
                words=words, **more)


def score(metric, *samples):
    metric.process({}, list(samples))
    return metric.compute_metrics(metric.results)


def test_four_readings_of_one_image():
    """Eight pixels: dog dog dog cat cat bg bg unknown; regions puppy x 3, kitten x 3, sky x 2."""
    one = sample([[0, 0, 0, 1], [1, 1, 2, 2]], [[1, 1, 1, 2], [2, 0, 0, 255]], ['puppy', 'kitten', 'sky'])
    got = score(build(), one)
    assert got['hard_mIoU'] == 0  # no word is the name of a class
    assert got['overlap_mIoU'] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert got['nearest_mIoU'] == pytest.approx(100 * (1 + 2 / 3) / 2)
    dog = 2.4 / (3 * .8 + 3 * .6 + 3 - 2.4)  # scores .8 on puppy's pixels and .6 on kitten's
    cat = 1.6 / (3 * .6 + 3 * .8 + 2 - 1.6)
    assert got['soft_mIoU'] == pytest.approx(100 * (dog + cat) / 2)


def test_hard_words_add_up_over_images_and_others_over_classes():
    first = sample([[0, 1]], [[1, 2]], ['dog', 'dog '])
    second = sample([[0, 0, 1, 1]], [[1, 1, 1, 0]], ['Dog', 'cat'])
    got = score(build(modes=('hard', 'overlap')), first, second)
    # hard: dog 3 of 4 (of 'dog ' nobody knows), cat 0 of 1 + 2
    assert got['hard_mIoU'] == pytest.approx(100 * (3 / 4 + 0) / 2)
    # overlap: image 1: dog 1, cat 1; image 2: dog with region 0 and, on a tie, region 1 with the background
    assert got['overlap_mIoU'] == pytest.approx(100 * ((1 + 2 / 3) / 2 + 1) / 2)


def test_nearest_looks_at_the_classes_of_the_image_alone():
    one = sample([[0, 0]], [[2, 2]], ['puppy'])  # no dog in this image
    assert score(build(modes=('nearest', )), one)['nearest_mIoU'] == 100


def test_without_a_background_unknown_pixels_are_one():
    metric = build(modes=('overlap', ), background_index=None, ignore_index=255)
    metric.dataset_meta = dict(classes=('dog', 'cat'))
    one = sample([[0, 0, 0, 1]], [[0, 0, 255, 1]], ['a', 'b'])
    assert score(metric, one)['overlap_mIoU'] == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_classes_of_several_names():
    metric = build(names=['dog; puppy', 'cat; kitten'], background=['sky'])
    one = sample([[0, 1, 2]], [[1, 2, 0]], ['puppy', 'kitten', 'sky'])
    assert score(metric, one)['hard_mIoU'] == 100
    metric.dataset_meta = dict(classes=('dog', 'cat'))
    with pytest.raises(ConfigError, match='The metric has names of 3 classes and the dataset has 2; name each class'):
        metric.classes()


def test_ties_go_to_the_lower_class():
    import numpy as np
    assert overlap_classes(np.array([0, 0, 1]), np.array([2, 1, 2]), 3, 3).tolist() == [1, 2, 0]


def test_tags_of_classes():
    metric = build('VocabularyFreeTags')
    rows = [('puppy', 0), ('puppy', 0), ('cat', 1), ('puppy', 1)]
    samples = [dict(words=[word], gt_image_label=F.one_hot(torch.tensor(label), 2)) for word, label in rows]
    samples[2]['tags'] = [('kitten', .5), ('cat', .4)]
    got = score(metric, *samples)
    assert got['word_iou'] == 0 and got['cluster_accuracy'] == 75
    assert got['similarity'] == pytest.approx(100 * (.8 + .8 + .8 + .6) / 4)
    plain = build('VocabularyFreeTags', meanings=False)
    assert set(score(plain, *samples)) == {'word_iou', 'cluster_accuracy'}
    assert word_iou('Traffic-light', 'light') == .5 and cluster_accuracy(['a', 'b'], [1, 1]) == .5


def test_what_is_refused():
    with pytest.raises(ConfigError, match="modes of VocabularyFreeIoU: 'near' is none of hard, overlap, nearest, "):
        build(modes=('near', ))
    with pytest.raises(ConfigError, match="modes 'nearest' and 'soft' of VocabularyFreeIoU compare words by meaning"):
        build(meanings=False)
    with pytest.raises(DataError, match='a.png came without words; this metric is for models that name'):
        score(build(), dict(img_path='a.png'))
    with pytest.raises(DataError, match='The mask of an image holds 3, and there are 3 classes.'):
        score(build(modes=('hard', )), sample([[0]], [[3]], ['dog']))
    with pytest.raises(DataError, match='An image came with 2 tags; this metric wants one class an image.'):
        score(build('VocabularyFreeTags'), dict(words=['a'], gt_image_label=torch.ones(2)))
    absent = METRICS.build(dict(type='VocabularyFreeIoU', encoder='some/model'))
    absent.dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ConfigError, match="encoder='some/model' needs sentence-transformers, which is not installed"):
        score(absent, sample([[0]], [[1]], ['dog']))


def test_the_text_tower_of_a_clip_compares():
    metric = METRICS.build(dict(type='VocabularyFreeIoU', modes=('nearest', ), encoder=dict(
        type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None)))
    metric.dataset_meta = dict(classes=('background', 'ball', 'drum'))
    got = score(metric, sample([[0, 1]], [[1, 2]], ['drum', 'ball']))
    assert got['nearest_mIoU'] == 0
    assert score(metric, sample([[0, 1]], [[2, 1]], ['drum', 'ball']))['nearest_mIoU'] == 50  # with the one before
