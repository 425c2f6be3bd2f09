"""ReCo: seeds hit what pictures share, context changes the choice, references by hand, the published slice."""
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError, DataError
from mmseg_weak.methods.openvocab import reco
from mmseg_weak.models.clip.index_file import write_index


def planted(count=4, channels=16):
    """Pictures with one vector in common at known places, and another, weaker in common, at others."""
    features = F.normalize(torch.randn(count, channels, 4, 5), dim=1)
    places = torch.randint(10, (count, ))
    others = torch.randint(10, 20, (count, ))
    for i in range(count):
        features[i].view(channels, -1)[:, places[i]] = torch.eye(channels)[0] * (i + 1)
        noise = .05 * torch.randn(channels)
        features[i].view(channels, -1)[:, others[i]] = torch.eye(channels)[1] + noise
    return features, places, others


def test_seeds_are_what_is_shared():
    features, places, _ = planted()
    assert torch.equal(reco.find_seeds(features), places)
    reference, seeds = reco.reference_feature(features)
    torch.testing.assert_close(reference, torch.eye(16)[0])
    assert seeds[:, 0].tolist() == [1, 2, 3, 4]


def test_context_flips_the_choice():
    """With the first code known as context, the second one is what the pictures share."""
    features, _, others = planted()
    weights = reco.position_weights(features, contexts=torch.eye(16)[:1])
    assert torch.equal(reco.find_seeds(features, weights), others)
    assert torch.equal(reco.position_weights(features), torch.ones(4, 4, 5))


def test_all_at_once_is_picture_by_picture():
    """Against the whole adjacency, both ranges of columns."""
    features, weights = torch.randn(3, 4, 2, 3), torch.rand(3, 2, 3)
    unit = F.normalize(features.flatten(2), dim=1).transpose(1, 2).flatten(0, 1)
    adjacency = unit @ unit.T * weights.flatten()
    for published in (False, True):
        ends = [min((2 * i + 1) * 6, 18) if published else (i + 1) * 6 for i in range(3)]
        best = torch.stack([adjacency[:, i * 6:ends[i]].amax(1) for i in range(3)], 1).mean(1)
        assert torch.equal(reco.find_seeds(features, weights, published), best.view(3, 6).argmax(1))


def test_references_by_hand():
    seeds = torch.tensor([[1., 0.], [0., 1.]])
    torch.testing.assert_close(reco.combine_seeds(seeds), torch.tensor([.5, .5]) * 2 ** .5)
    torch.testing.assert_close(reco.combine_seeds(seeds, 'weighted'), F.normalize(torch.tensor([1., .5]), dim=0))
    three = torch.tensor([[1., 0.], [1., 1.], [0., 1.]])
    torch.testing.assert_close(reco.combine_seeds(three, 'winner'), F.normalize(three[1], dim=0))
    with pytest.raises(ConfigError, match="mode='best' of ReCo's reference is none of avg, weighted, winner."):
        reco.combine_seeds(seeds, 'best')


def test_scores_are_products():
    features, references = torch.randn(1, 4, 2, 2), torch.randn(3, 4)
    dense, texts = torch.randn(1, 5, 2, 2), torch.randn(3, 5)
    scores = reco.reco_scores(features, references, (2, 2), dense, texts)
    image = F.cosine_similarity(features[0, :, 0, 1], references[2], dim=0).sigmoid()
    said = (10 * F.cosine_similarity(dense[0, :, 0, 1], texts[2], dim=0)).sigmoid()
    torch.testing.assert_close(scores[0, 2, 0, 1], image * said)
    assert reco.reco_scores(features, references, (5, 6)).shape == (1, 3, 5, 6)


def test_retrieval():
    bank = F.normalize(torch.tensor([[1., 0.], [1., 1.], [0., 1.]]), dim=1)
    assert reco.retrieve(bank, torch.tensor([0., 1.]), 2).tolist() == [2, 1]


# ---- the segmentor ---------------------------------------------------------------------------------------------------

NAMES = ['ball; round thing', 'drum', 'sky']


def build(**kwargs) -> reco.ReCo:
    torch.manual_seed(0)
    config = dict(
        type='ReCo', names=NAMES, contexts=('sky', 'road'), count=3, picture_px=32,
        clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value'),
        encoder=dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, )),
        test_cfg=dict(short_side_px=32, crop_px=0, multiple_px=8))
    return MODELS.build({**config, **kwargs})


def pictures(count=3, seed=0, side=32):
    generator = torch.Generator().manual_seed(seed)
    return F.interpolate(torch.rand(count, 3, 4, 4, generator=generator) * 255, (side, side), mode='bilinear').round()


def with_index(model, path, names=('ball', 'round thing', 'drum', 'sky', 'road')):
    vectors = F.normalize(torch.randn(len(names), 96, generator=torch.Generator().manual_seed(1)), dim=1)
    write_index(path, 'reco', dict(references=vectors, **model.probes()), dict(names=list(names)),
                dict(settings=model.settings()))
    model.index = path
    return vectors


def test_a_photograph_by_hand(tmp_path):
    """Sigmoids of both networks, enlarged, multiplied; of a class the better name."""
    model = build()
    vectors = with_index(model, tmp_path / 'a')
    photo = pictures(1, side=48)
    sample, = model.predict(photo, [SegDataSample(metainfo=dict(ori_shape=(32, 32)))])
    small = F.interpolate(photo, (32, 32), mode='bilinear').round()
    seen = model.for_clip(small)
    shape, = model.encoder(model.for_imagenet(seen))
    scores = reco.reco_scores(shape, vectors[:4], (32, 32), model.clip.encode_dense(seen),
                              model.clip.encode_names(['ball', 'round thing', 'drum', 'sky']))
    best, labels = torch.stack([scores[0, :2].amax(0), scores[0, 2], scores[0, 3]]).max(0)
    torch.testing.assert_close(sample.confidence.data[0], best, rtol=1e-4, atol=1e-5)
    assert (sample.pred_sem_seg.data[0] == labels).float().mean() > 0.99
    plain = build(language=False)
    with_index(plain, tmp_path / 'a')
    scores = reco.reco_scores(shape, vectors[:4], (32, 32))
    torch.testing.assert_close(plain.predict(small)[0].confidence.data[0], scores[0].amax(0), rtol=1e-4, atol=1e-5)


def test_published_clip_sees_imagenets_statistics():
    model, published = build(), build(as_published=True)
    windows = model.for_clip(pictures(1))
    torch.testing.assert_close(published.encode(windows), model.encode(model.for_imagenet(windows)))
    assert not torch.allclose(published.encode(windows), model.encode(windows), atol=1e-4)


def test_references_are_made_in_order_and_contexts_count_for_those_behind():
    model = build()
    groups = dict(sky=pictures(seed=1), road=pictures(seed=2), drum=pictures(seed=3))
    asked = []
    made = dict(model.make_references(['drum', 'sky', 'drum'], lambda name: asked.append(name) or groups[name]))
    assert asked == ['sky', 'road', 'drum']  # 'sky' is a context and takes its vector
    torch.testing.assert_close(made['sky'], model.reference(groups['sky'], 'sky'))
    torch.testing.assert_close(made['road'], model.reference(groups['road'], 'road', [made['sky']]))
    torch.testing.assert_close(made['drum'], model.reference(groups['drum'], 'drum', [made['sky'], made['road']]))
    assert not torch.allclose(made['drum'], model.reference(groups['drum'], 'drum'), atol=1e-4)
    again = dict(model.make_references(['drum', 'ball'], lambda name: groups['drum'], made))
    assert list(again) == ['ball']
    green = build(same_as=dict(vegetation='sky'))
    assert not list(green.make_references(['vegetation'], None, made))


def test_reference_by_hand():
    model = build(contexts=('sky', ))
    some, context = pictures(), F.normalize(torch.randn(96), dim=0)
    windows = model.for_clip(some)
    features = model.encode_shape(windows)
    seen = reco.text_attention(model.clip.encode_dense(windows), model.clip.encode_names(['drum']), (4, 4))[:, 0]
    want, _ = reco.reference_feature(features, reco.position_weights(features, seen, context[None]))
    torch.testing.assert_close(model.reference(some, 'drum', [context]), want, rtol=1e-4, atol=1e-5)


def test_what_an_index_must_be(tmp_path):
    model = build()
    with pytest.raises(ConfigError, match='model.index is None, and this method looks things up in an index; '
                                          '`mmseg-weak index reco CONFIG` makes one.'):
        model.predict(pictures(1))
    with_index(model, tmp_path / 'a', ['drum'])
    with pytest.raises(DataError, match=r"a has no reference of 'ball', 'round thing', 'sky'; add what is missing "
                                        r'with `mmseg-weak index reco CONFIG --text "ball; round thing; sky"'):
        model.predict(pictures(1))
    other = build(count=4, index=tmp_path / 'a')
    with pytest.raises(DataError, match=r'was made with count=3 \(now 4\); make it anew'):
        other.predict(pictures(1))
    torch.nn.init.normal_(model.encoder.vit.patch_embed.proj.weight)
    model._references = None
    with pytest.raises(CheckpointError, match='was made with another encoder'):
        model.predict(pictures(1))
    for wrong, say in ((dict(mode='best'), 'none of avg, weighted, winner'),
                       (dict(refiner=dict(type='PAMR')), 'ReCo multiplies sigmoids; use model.crf')):
        with pytest.raises(ConfigError, match=say):
            build(**wrong)


def test_crf_starts_from_all_classes(tmp_path):
    model = build(crf=dict(type='DenseCRF', preset='deeplab', num_iter=2))
    with_index(model, tmp_path / 'a')
    photo = pictures(1)
    sample, = model.predict(photo)
    kept, = model.keep(list(photo))
    want = model.crf(model.class_scores(kept).softmax(0)[None], photo)[0]
    torch.testing.assert_close(sample.confidence.data[0], want.amax(0))
    assert torch.equal(sample.pred_sem_seg.data[0], want.argmax(0))


def test_a_strip_is_not_enlarged_as_a_whole():
    strip = torch.arange(40_000.)[None, None, None].expand(1, 3, 1, -1)
    found = reco.square(strip % 256, 32)
    assert found.shape == (1, 3, 32, 32)
    wide = torch.rand(1, 3, 4, 40) * 255
    torch.testing.assert_close(reco.square(wide, 4), wide[..., 18:22])


def test_squares():
    view = reco.square(torch.arange(12.).view(1, 1, 2, 6).expand(1, 3, 2, 6), 2)
    assert view[0, 0].tolist() == [[2, 3], [8, 9]]
    assert reco.square(pictures(1, side=48)[..., :17], 32).shape == (1, 3, 32, 32)
