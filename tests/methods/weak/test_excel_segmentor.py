"""The registered ExCEL on a tower of random weights: stages, what learns, seeds, attributes in a file and a state."""
import copy
import json

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.methods.weak.excel import ExCEL, read_attributes, segmentor

CLIP = dict(type='OpenCLIP', name='toyworld_clip', attention='excel', stream='parallel', last=3, positions='bilinear',
            templates='name', cache_dir=None)


def build(**kwargs) -> ExCEL:
    torch.manual_seed(0)
    settings = dict(type='ExCEL', clip=CLIP, classes=['ball', 'drum'], num_classes=3, background=['sand', 'water'],
                    decoder=dict(channels=16, depth=1, num_heads=2), last=2, infer_px=None, num_attributes=4,
                    par=dict(type='PAR', num_iter=2, dilations=(1, 2)),
                    data_preprocessor=dict(type='MultiBranchDataPreprocessor')) | kwargs
    return MODELS.build(settings)


def images(count=2, size=(32, 48), seed=0):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_decoder_learns_and_clip_stays(at, tagged):
    net = build(begin=dict(learn=5)).train()
    kept = {n: p.clone() for n, p in net.named_parameters() if n.startswith('clip.')}
    learnt = [p for n, p in net.named_parameters() if not n.startswith('clip.')]
    optimizer, totals = torch.optim.AdamW(learnt, 3e-3), []
    for step in range(12):
        at(step)
        losses = net.loss(images(), tagged([1, 0], [0, 1]))
        assert set(losses) == {'loss_seg', 'loss_div'}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in learnt)
        optimizer.step()
        totals.append(float(losses['loss_seg'].detach()))
    assert totals[-1] < 0.8 * totals[0] and torch.isfinite(torch.tensor(totals)).all()
    assert all(p.grad is None and torch.equal(p, kept[n]) for n, p in net.named_parameters() if n in kept)


def test_stages(at, tagged, monkeypatch):
    """When the decoder calibrates, when it chooses attention, and whose labels the pairs are of."""
    net, seen = build(begin=dict(learn=10, own=20)), []
    make, spread = segmentor.calibrated_tokens, net.spread
    monkeypatch.setattr(segmentor, 'calibrated_tokens', lambda tower, x, decoder=None, last=None: (
        seen.append('calibrated' if decoder is not None else 'static') or make(tower, x, decoder, last)))
    net.spread = lambda maps, attention, present, relation: (
        seen.append('chosen' if relation is not None else 'mean') or spread(maps, attention, present, relation))
    pairs = []
    net.pair_loss.forward = lambda relation, labels: pairs.append(labels) or relation.sum() * 0
    with torch.no_grad():
        net.decoder.conv_seg.bias.copy_(torch.tensor([0., 0., 99.]))  # the decoder sees drums everywhere
    found = {}
    for iteration in (9, 10, 20):
        at(iteration)
        seen.clear()
        net.loss(images(1), tagged([1, 0]))
        found[iteration] = list(seen)
    assert found[9] == ['static', 'mean'] and found[10] == found[20] == ['static', 'calibrated', 'chosen']
    assert set(pairs[1].unique().tolist()) <= {0, 1} and set(pairs[2].unique().tolist()) == {2}


def test_labels_are_the_tags_and_padding_is_ignored(at, tagged, monkeypatch):
    at(0)
    net, labels = build(), []
    monkeypatch.setattr(segmentor, 'split_cross_entropy',
                        lambda logits, target, eps: labels.append(target) or logits.sum() * 0)
    samples = tagged([0, 1], [0, 0])
    samples[0].set_metainfo(dict(padding_size=(0, 8, 0, 16)))  # left, right, top, bottom
    net.loss(images(), samples)
    assert set(labels[0][0, :16, :40].unique().tolist()) == {0, 2}
    assert (labels[0][0, 16:] == 255).all() and (labels[0][0, :, 40:] == 255).all()
    assert not labels[0][1].any()  # without a tag all of it is background


def test_predictions_have_the_photographs_size_and_its_tags(tagged):
    samples = tagged([1, 0], [0, 0], ori_shape=(30, 41))
    seed = build(test_cfg=dict(mode='seed')).eval().predict(images(), copy.deepcopy(samples))
    assert set(seed[0].pred_sem_seg.data.unique().tolist()) <= {0, 1} and not seed[1].pred_sem_seg.data.any()
    for infer_px in (None, 24):
        net = build(test_cfg=dict(mode='decode', scales=(1.0, 1.5), flip=True, merge='mean'), infer_px=infer_px).eval()
        assert net.seen(images(1, (30, 41))).shape[-2:] == ((32, 48) if infer_px is None else (24, 24))
        out = net.predict(images(1, (30, 41)), tagged([1, 0], ori_shape=(60, 82)))[0]
        assert out.pred_sem_seg.data.shape == (1, 60, 82)
        torch.testing.assert_close(out.seg_logits.data.sum(0), torch.ones(60, 82))


@pytest.mark.parametrize('calibration', ['learned', 'static'])
def test_an_image_does_not_depend_on_its_neighbours(calibration):
    """Unless the published means are asked for."""
    present = torch.tensor([[True, True], [True, False]])
    net = build(calibration=calibration).eval()
    whole, alone = net.class_maps(images(), present), net.class_maps(images()[1:], present[1:])
    torch.testing.assert_close(whole[1:], alone, rtol=1e-3, atol=1e-3)
    assert not whole[1, 1].any() and whole[0].amin() >= 0 and whole[0].amax() <= 1
    published = build(calibration='learned', as_published=True).eval()
    both, one = published.class_maps(images(), present), published.class_maps(images()[1:], present[1:])
    assert (both[1:] - one).abs().max() > 1e-3


def test_attributes_travel_in_the_checkpoint(tmp_path):
    path = tmp_path / 'attributes.json'
    path.write_text(json.dumps(dict(ball=['A striped ball', 'two striped balls', 'a ball on the sand'],
                                    drum=['a dotted drum', 'three dotted drums'])))
    net, plain = build(attributes=str(path)), build()
    assert not net.bank.any()
    net.init_weights()
    assert net.bank.any(1).all() and not torch.allclose(net.texts[:2], plain.texts[:2], atol=1e-3)
    torch.testing.assert_close(net.texts[2:], plain.texts[2:])  # words of the background stay
    torch.testing.assert_close(net.texts.norm(dim=1), torch.ones(4))
    path.unlink()
    twin = build(attributes=str(path))
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin.texts, net.texts)
    with pytest.raises(MissingFileError, match=r'^The attributes .*attributes\.json do not exist: give a JSON file'):
        build(attributes=str(path)).init_weights()


def test_toyworlds_attributes_come_with_the_package():
    sentences = read_attributes('toyworld', 7)
    assert len(sentences) == 84 and 'a striped ball in a meadow' in sentences


@pytest.mark.parametrize('content, say', [
    ('[1', r'is no JSON file \(.*\); write {"class": \["sentence", \.\.\.\], \.\.\.}\.$'),
    ('[]', r'holds a list; write {"class"'),
    ('{"ball": ["x"], "drum": []}', r"has no list of sentences for 'drum'; write one sentence or more for each"),
    ('{"ball": ["x"]}', r'describes 1 classes and the model has 2 beside the background; describe each of them\.$'),
])
def test_bad_attributes(tmp_path, content, say):
    path = tmp_path / 'a.json'
    path.write_text(content)
    with pytest.raises(DataError, match=say):
        read_attributes(path, 2)


def test_too_few_sentences_and_wrong_settings(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"ball": ["x"], "drum": ["y", "z"]}')
    with pytest.raises(DataError, match=r'has 3 sentences and model\.num_attributes=4 centres are wanted of them; '
                                        r'write more, or want fewer\.$'):
        build(attributes=str(path)).init_weights()
    with pytest.raises(ConfigError, match="attention='vanilla' and stream='replace'; ExCEL needs attention='excel'"):
        build(clip=dict(type='OpenCLIP', name='toyworld_clip', cache_dir=None))
    with pytest.raises(ConfigError, match="model.calibration='both', over='tokens'"):
        build(calibration='both')
