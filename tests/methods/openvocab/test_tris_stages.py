"""TRIS's networks: what they see and read, both stages' losses, PRMS, the walk, a sentence without training."""
import json

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.methods.openvocab import tris
from mmseg_weak.models.clip.weights import import_open_clip

VIT = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None)
SENTENCES = ['the striped ball', 'the dotted drum on the sand', 'the star']


@pytest.fixture
def resnet(tmp_path):
    """Config of a CLIP with a ResNet of one block a stage."""
    text = dict(context_length=32, vocab_size=787, width=32, heads=2, layers=1)
    vision = dict(image_size=64, layers=[1, 1, 1, 1], width=8)
    (tmp_path / 'tiny-rn.json').write_text(json.dumps(dict(embed_dim=24, vision_cfg=vision, text_cfg=text)))
    import_open_clip().add_model_config(tmp_path / 'tiny-rn.json')
    return dict(VIT, name='tiny-rn', attention='value')


@pytest.fixture(autouse=True)
def _own_tokens(monkeypatch):
    """The tiny ResNet's text tower reads ToyWorld's tokens."""
    import mmseg_weak.models.clip.openclip as module
    tokenizer = module.get_tokenizer
    monkeypatch.setattr(module, 'get_tokenizer',
                        lambda name: tokenizer('toyworld_clip' if name == 'tiny-rn' else name))


def batch(count=3, side=64, masks=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, side, side, generator=generator) * 2 - 1
    samples = []
    for i in range(count):
        sample = SegDataSample(metainfo=dict(img_shape=(side, side), ori_shape=(side, side), img_path=f'{i}.png'))
        others = [text for text in SENTENCES if text != SENTENCES[i % 3]]
        sample.set_data(dict(expression=SENTENCES[i % 3], negatives=others, expressions=[SENTENCES[i % 3]],
                             image_expressions=SENTENCES[i % 3:]))
        if masks:
            sample.gt_sem_seg = PixelData(data=(torch.rand(1, side, side, generator=generator) > 0.5).long())
        samples.append(sample)
    return images, samples


def build(kind='TRIS', clip=VIT, **kwargs):
    torch.manual_seed(0)
    own = dict(judge=VIT, judge_px=32, head=dict(channels=16)) if kind == 'TRIS' else dict(channels=(8, 8, 12, 16))
    return MODELS.build(dict(type=kind, clip=clip, **{**own, **kwargs}))


# ---- what they see and read ------------------------------------------------------------------------------------------

def test_words_and_sentences_are_open_clips(resnet):
    for config in (VIT, resnet):
        clip = MODELS.build(config)
        ids = tris.token_ids(clip, SENTENCES, 32)
        words, sentences = tris.encode_sentences(clip, ids)
        torch.testing.assert_close(sentences, clip.text.encode_texts(SENTENCES), atol=1e-5, rtol=1e-4)
        short, _ = tris.encode_sentences(clip, ids[:, :9])  # a word sees those before it alone
        torch.testing.assert_close(short, words[:, :9], atol=1e-5, rtol=1e-4)


def test_a_long_sentence_keeps_its_end():
    clip = MODELS.build(VIT)
    long = 'the striped ball and the dotted drum and the checkered crate'
    whole, cut, published = (tris.token_ids(clip, [long, 'the ball'], length, way)
                             for length, way in ((32, False), (6, False), (6, True)))
    end = whole[0].max()
    assert cut.shape == (2, 6) and cut[0, -1] == end and torch.equal(cut[0, :5], whole[0, :5])
    assert torch.equal(published[0], whole[0, :6]) and (published[0] != end).all()
    assert torch.equal(cut[1], published[1]) and end in cut[1]


def test_maps_of_a_resnet_and_of_a_vit(resnet):
    clip, images = MODELS.build(resnet), torch.randn(1, 3, 64, 96)
    maps = tris.visual_maps(clip, images)
    assert [tuple(x.shape[1:]) for x in maps] == [(c, 64 // s, 96 // s) for c, s in zip(tris.map_channels(clip),
                                                                                      (4, 8, 16, 32))]
    assert torch.equal(maps[-1], clip.vision.stages(images))
    vit = MODELS.build(VIT)
    maps = tris.visual_maps(vit, images)
    assert [tuple(x.shape[1:]) for x in maps] == [(96, 8, 12)] * 4
    out = vit(images, layers=(2, ))
    torch.testing.assert_close(maps[1], out.layers[2][:, 1:].transpose(1, 2).unflatten(2, (8, 12)), atol=1e-5, rtol=0)
    dense = maps[3].permute(0, 2, 3, 1) @ vit.vision.visual.proj
    torch.testing.assert_close(dense.permute(0, 3, 1, 2), out.dense, atol=1e-4, rtol=1e-4)


# ---- stage 1 ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('tower', ['vit', 'resnet'])
def test_stage_1_by_hand(tower, resnet):
    model = build(clip=VIT if tower == 'vit' else resnet)
    model.init_weights()
    model.eval()
    images, samples = batch()
    losses = model.loss(images, samples)
    texts = tris.encode_sentences(model.clip, tris.token_ids(model.clip, SENTENCES))[1]
    scores = model.head(tris.visual_maps(model.clip, images)[-1], texts)
    torch.testing.assert_close(losses['loss_cls'], 5 * model.head.loss(scores)['loss_cls'])
    shown = model.head.responses(scores, (64, 64), 'sigmoid')
    small = [F.interpolate(x, (32, 32), mode='bilinear', align_corners=True) for x in (images, shown)]
    judge = model.judge.build()
    seen, said = judge.encode_image(small[0] * small[1]), judge.text.encode_texts(SENTENCES)
    others = torch.stack([said[[j for j in range(3) if j != i]] for i in range(3)])
    want = tris.clip_losses(seen, said, others, 1.0, 2.0)
    torch.testing.assert_close(losses['loss_fg'], want['loss_fg'])
    torch.testing.assert_close(losses['loss_cal'], want['loss_cal'])
    assert set(losses) == {'loss_cls', 'loss_fg', 'loss_cal', 'shown_share'}


def test_every_parameter_that_trains_learns_and_the_judge_does_not(resnet):
    for config in (VIT, resnet):
        model = build(clip=config)
        model.init_weights()
        model.train()
        losses = model.loss(*batch())
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert without == [] and not any(p.requires_grad for p in model.judge.build().parameters())
        assert not any('judge' in key for key in model.state_dict())
    assert model.clip.training and not model.judge.build().training


def test_sentences_of_the_whole_image_are_its_own():
    model = build(target='image')
    images, samples = batch()
    own = [sample.expression for sample in samples]
    assert model._target(samples, own, images.device).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert build()._target(samples, own, images.device) is None


def test_predictions_do_not_depend_on_the_batch():
    model = build().eval()
    images, samples = batch()
    together = model.predict(images, samples)
    for i in range(3):
        alone, = model.predict(images[i:i + 1], batch()[1][i:i + 1])
        torch.testing.assert_close(alone.seg_logits.data, together[i].seg_logits.data, atol=1e-5, rtol=1e-4)
    response = model.response(images, SENTENCES)
    scores = tris.normalize_response(response, (64, 64))
    assert torch.equal(together[1].pred_sem_seg.data[0].bool(), tris.mask_at(scores)[1])
    torch.testing.assert_close(together[1].seg_logits.data[1], scores[1])
    wide = SegDataSample(metainfo=dict(ori_shape=(40, 90)))
    wide.set_data(dict(expression='the ball'))
    big, = model.predict(images[:1], [wide])
    assert big.seg_logits.data.shape == (2, 40, 90)


def test_prms_is_the_response_that_all_sentences_like():
    model = build().eval()
    image, some = batch()[0][0], ['the striped ball', 'a ball', 'the ball']
    number, response = model.best_response(image, some)
    responses = model.response(image[None].expand(3, -1, -1, -1), some)
    small = F.interpolate(responses * 1.0, (32, 32), mode='bilinear', align_corners=True)
    view = F.interpolate(image[None], (32, 32), mode='bilinear', align_corners=True)
    judge = model.judge.build()
    fit = judge.encode_image(small * view) @ F.normalize(judge.text.encode_texts(some), dim=1).T
    assert number == tris.choose_response(fit)
    torch.testing.assert_close(response, responses[number], atol=1e-5, rtol=1e-4)
    assert model.best_response(image, some[:1])[0] == 0


def test_what_is_refused_in_stage_1():
    images, samples = batch()
    model = build()
    for sample in samples:
        sample.negatives = []
    with pytest.raises(DataError, match=r'The samples have \[0\] negative sentences; give every one the same number'):
        model.loss(images, samples)
    assert 'loss_cal' not in build(cal_weight=0.0).loss(images, samples)  # which needs none
    with pytest.raises(DataError, match='An image came without expression; use ReferringDataset with PackReferring'):
        model.predict(images)
    with pytest.raises(ConfigError, match="model.target='all' of TRIS; it is 'identity' or 'image'."):
        build(target='all')


# ---- stage 2 ---------------------------------------------------------------------------------------------------------

def test_mask_loss_by_hand_and_unknown_pixels():
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    target = torch.tensor([[[1, 0], [255, 255]]])
    loss = tris.mask_loss(logits, target)
    assert loss.item() == pytest.approx(0.6931, abs=1e-4)
    loss.backward()
    assert logits.grad.flatten().tolist() == [-0.25, 0.25, 0, 0]
    nothing = tris.mask_loss(logits, torch.full_like(target, 255))
    assert nothing == 0 and nothing.requires_grad


@pytest.mark.parametrize('tower', ['vit', 'resnet'])
def test_stage_2_learns_with_every_parameter(tower, resnet):
    model = build('TRISSegmentor', VIT if tower == 'vit' else resnet)
    model.train()
    images, samples = batch(masks=True)
    outputs = model.logits(images, SENTENCES)
    assert [tuple(x.shape) for x in outputs] == [(3, 1, 64, 64)] * 4
    losses = model.loss(images, samples)
    assert list(losses) == [f'loss_mask{n}' for n in range(1, 5)]
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    model.eval()
    seen, = model.predict(images[:1], samples[:1])
    torch.testing.assert_close(seen.pred_sem_seg.data[0].bool(), model.logits(images[:1], SENTENCES[:1])[0][0, 0] > 0)
    with pytest.raises(DataError, match='0.png came without a mask; train on the folder that `mmseg-weak refer-label`'):
        model.loss(*batch())


def test_stage_2_reads_the_words():
    model = build('TRISSegmentor').eval()
    image = batch(1)[0]
    one, other = (model.logits(image, [text])[0] for text in SENTENCES[:2])
    assert (one - other).abs().max() > 1e-5


# ---- the walk --------------------------------------------------------------------------------------------------------

WALK = dict(type='TRISWalk', backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3, ),
                                           strides=(1, 2, 2, 1)),
            heads=dict(in_channels=(8, 8, 16, 32, 64), strides=(4, 4, 8, 16, 16)), walk=dict(exp_times=2))


def test_boundaries_are_learnt_from_sure_pixels():
    torch.manual_seed(0)
    model = MODELS.build(WALK)
    model.train()
    assert not model.backbone.training and (model.radius, model.walk.radius) == (10, 5)
    images, samples = batch(masks=True)
    losses = model.loss(images, samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert losses['known_pixels'] == 100 and 0 < losses['object_pixels'] < 100
    for sample in samples:
        sample.gt_sem_seg.data.fill_(255)
    assert model.loss(images, samples)['known_pixels'] == 0
    with pytest.raises(DataError, match='Images came without masks of sure pixels; train on the seeds that'):
        model.loss(*batch())


def test_a_response_walks_up_to_a_boundary(monkeypatch):
    model = MODELS.build(dict(WALK, walk=dict(exp_times=8))).eval()
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 8] = 1  # a wall in the middle
    import mmseg_weak.methods.openvocab.tris.walk as module
    monkeypatch.setattr(module, 'mean_edges', lambda boundaries, images: edge)
    response = torch.zeros(1, 2, 64, 64)
    response[:, 0, 20:44, 4:16] = response[:, 1, 20:44, 48:60] = 1
    found = model.spread(torch.zeros(1, 3, 64, 64), response) > model.thr
    assert found[0, 0, 32, 24] and not found[0, 0, :, 40:].any()
    assert found[0, 1, 32, 44] and not found[0, 1, :, :28].any()


# ---- without training ------------------------------------------------------------------------------------------------

def test_a_sentence_takes_the_names_place():
    torch.manual_seed(0)
    model = MODELS.build(dict(type='ReferringCLIP', clip=dict(VIT, attention='value'), names=['referred'],
                              background='toyworld', test_cfg=dict(short_side_px=32, crop_px=0, multiple_px=8)))
    images = (torch.rand(2, 3, 32, 32) * 255).round()
    samples = [SegDataSample(metainfo=dict(ori_shape=(40, 40))) for _ in range(2)]
    samples[0].set_data(dict(expression='the striped ball'))
    seen = model.predict(images, samples)
    kept = model.keep(list(images), [(40, 40)] * 2)
    names = model.named('the striped ball')
    assert names.names == ('meadow', 'water', 'tiles', 'sand', 'the striped ball')
    torch.testing.assert_close(seen[0].seg_logits.data, model.class_scores(kept[0], names))
    torch.testing.assert_close(seen[1].seg_logits.data, model.class_scores(kept[1]))
    assert torch.equal(seen[0].pred_sem_seg.data[0], seen[0].seg_logits.data.argmax(0))
