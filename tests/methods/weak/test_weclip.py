"""WeCLIP: relation and spread by hand and by ExCEL's goldens, and the segmentor on a tower of random weights."""
import copy
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weak.methods.weak import weclip
from mmseg_weak.models.cam.class_attention import attention_transition, refine_by_attention


def build(**kwargs) -> weclip.WeCLIP:
    torch.manual_seed(0)
    clip = dict(type='OpenCLIP', name='toyworld_clip', positions='bilinear', templates='name', cache_dir=None)
    settings = dict(type='WeCLIP', clip=clip, classes=['ball', 'drum'], num_classes=3, background=['sand', 'water'],
                    decoder=dict(channels=16, depth=1, num_heads=2), last=3, last_refined=2, infer_long_px=None,
                    par=dict(type='PAR', num_iter=2, dilations=(1, 2)),
                    data_preprocessor=dict(type='MultiBranchDataPreprocessor')) | kwargs
    return MODELS.build(settings)


def images(count=2, size=(32, 48), seed=0):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_relation_by_hand():
    """Two places, (1, 1) and (2, -1): products 2, 1, 1, 5."""
    x = torch.tensor([[1., 2.], [1., -1.]]).view(1, 2, 1, 2)
    want = torch.tensor([[2., 1.], [1., 5.]]).sigmoid()
    torch.testing.assert_close(weclip.token_relation(x)[0], want)


def test_half_precision_around_changes_no_map():
    x, maps = torch.randn(2, 4, 3, 3), torch.rand(2, 2, 3, 3)
    attention = [torch.randn(2, 10, 10).softmax(-1) for _ in range(3)]

    def spread():
        return weclip.spread_maps(maps, attention, torch.ones(2, 2, dtype=torch.bool), weclip.token_relation(x))
    want = spread()
    with torch.autocast('cpu', torch.float16):
        torch.testing.assert_close(spread(), want)


def test_blocks_that_agree_with_the_decoder_spread():
    """P of ones: d = sum of (1 - A), so the block with the larger sum stays; without P it is the mean of others."""
    blocks = [torch.rand(1, 5, 5) for _ in range(3)]
    blocks[1] = blocks[1] + 3
    maps, present = torch.rand(1, 2, 2, 2), torch.tensor([[True, False]])
    got = weclip.spread_maps(maps, blocks, present, torch.ones(1, 4, 4), last=3, last_refined=2)
    want = refine_by_attention(maps, attention_transition(blocks[1][:, 1:, 1:]), 0.4, present)
    torch.testing.assert_close(got, want)
    plain = weclip.spread_maps(maps, blocks, present, None, last=1)
    want = refine_by_attention(maps, attention_transition(blocks[2][:, 1:, 1:]), 0.4, present)
    torch.testing.assert_close(plain, want)
    assert not got[:, 1].any()


def test_refinement_module_agrees_with_the_published_one(shared):
    """ExCEL took it over, and its golden vectors hold it (refined_seg)."""
    arrays = np.load(shared / 'parity/excel/affinity_refine.npz')
    settings = json.loads((shared / 'parity/excel/affinity_refine.json').read_text())
    assert settings
    arrays = {k: torch.from_numpy(v).float() for k, v in arrays.items()}
    side, last = math.isqrt(len(arrays['attr_map'])), int(arrays['attn_layers'])
    maps = arrays['attr_map'].T.unflatten(1, (side, side))[None]
    present = arrays['cls_label'][None].bool()
    blocks = list(arrays['attn_weights'][:, None])
    for name, relation in (('refined_plain', None), ('refined_seg', arrays['seg_attn'])):
        got = weclip.spread_maps(maps, blocks, present, relation, last, last, float(arrays['caa_thre']))
        torch.testing.assert_close(got[0, arrays['keys'].long()], arrays[name], rtol=1e-4, atol=1e-5)


def test_decoder_learns_and_clip_stays(at, tagged):
    net = build(refine_begin=6).train()
    kept = {n: p.clone() for n, p in net.named_parameters() if n.startswith('clip.')}
    learnt = [p for n, p in net.named_parameters() if not n.startswith('clip.')]
    optimizer, totals = torch.optim.AdamW(learnt, 3e-3), []
    for step in range(12):
        at(step)
        losses = net.loss(images(), tagged([1, 0], [0, 1]))
        assert set(losses) == {'loss_seg', 'loss_aff'}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in learnt)
        optimizer.step()
        totals.append(float(losses['loss_seg'].detach()))
    assert totals[-1] < 0.8 * totals[0] and all(map(math.isfinite, totals))
    assert all(p.grad is None and torch.equal(p, kept[n]) for n, p in net.named_parameters() if n in kept)


def test_refinement_begins_by_the_run(at, tagged, monkeypatch):
    net, chosen = build(refine_begin=15), []
    spread = weclip.spread_maps
    monkeypatch.setattr(weclip, 'spread_maps', lambda maps, blocks, present, relation, **rule: (
        chosen.append((relation is not None, len(blocks))) or spread(maps, blocks, present, relation, **rule)))
    for iteration in (14, 15, 3):
        at(iteration)
        net.loss(images(1), tagged([1, 0]))
    net.eval().predict(images(1), tagged([1, 0]))
    assert chosen == [(False, 6), (True, 6), (False, 6), (True, 6)]


def test_labels_are_the_tags_and_padding_is_ignored(at, tagged, monkeypatch):
    at(0)
    net, labels = build(), []
    monkeypatch.setattr(weclip, 'split_cross_entropy',
                        lambda logits, target: labels.append(target) or logits.sum() * 0)
    samples = tagged([0, 1], [0, 0])
    samples[0].set_metainfo(dict(padding_size=(0, 8, 0, 16)))  # left, right, top, bottom
    net.loss(images(), samples)
    assert set(labels[0][0, :16, :40].unique().tolist()) == {0, 2}
    assert (labels[0][0, 16:] == 255).all() and (labels[0][0, :, 40:] == 255).all()
    assert not labels[0][1].any()


def test_predictions_have_the_photographs_size_and_its_tags(tagged):
    samples = tagged([1, 0], [0, 0], ori_shape=(30, 41))
    seed = build(test_cfg=dict(mode='seed')).eval()
    out = seed.predict(images(), copy.deepcopy(samples))
    assert set(out[0].pred_sem_seg.data.unique().tolist()) <= {0, 1} and not out[1].pred_sem_seg.data.any()
    present = torch.tensor([[True, True], [True, False]])
    whole, alone = seed.class_maps(images(), present), seed.class_maps(images()[1:], present[1:])
    torch.testing.assert_close(whole[1:], alone, rtol=1e-3, atol=1e-3)
    net = build(test_cfg=dict(mode='decode', scales=(1.0, 0.75), flip=True, merge='mean'), infer_long_px=64).eval()
    assert net.seen(images(1, (30, 41))).shape[-2:] == (48, 64)  # 46.8 rounded up to whole patches
    one = net.predict(images(1, (30, 41)), tagged([1, 0], ori_shape=(60, 82)))[0]
    assert one.pred_sem_seg.data.shape == (1, 60, 82)
    torch.testing.assert_close(one.seg_logits.data.sum(0), torch.ones(60, 82))


def test_decoder_reads_all_blocks_but_the_last():
    """What training decodes is what prediction decodes, and is open_clip's own stream."""
    net = build().eval()
    x, grid = images(1), (4, 6)
    tokens, attention = weclip.tokens_and_attention(net.clip.vision, x)
    assert len(tokens) == len(attention) == 5 and len(net.decoder.fusion.mlps) == 5
    torch.testing.assert_close(net.decode(tokens, grid)[0], net.decode_logits(x))
    layers = net.clip(x, layers=(0, 4)).layers
    torch.testing.assert_close(tokens[4], layers[4])
    torch.testing.assert_close(net.clip.vision.block_maps(x, 1)[0].flatten(2).transpose(1, 2), layers[0][:, 1:])
    torch.testing.assert_close(attention[4].sum(-1), torch.ones(1, 25))


@pytest.mark.parametrize('tags', [[1, 1], [0, 1]])
def test_only_tags_compete(tags):
    net = build().eval()
    present = torch.tensor([tags]).bool()
    maps = net.class_maps(images(1), present)
    assert (maps.flatten(2).amax(2)[0] > 0).tolist() == present[0].tolist()
    assert F.relu(-maps).max() == 0 and maps.max() <= 1
