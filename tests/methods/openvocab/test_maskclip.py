"""MaskCLIP's refinement, in the segmentor that uses it."""
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

import mmseg_weak.methods.openvocab.maskclip as maskclip
from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD


def build(**kwargs):
    torch.manual_seed(0)
    clip = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value',
                positions='size')
    return MODELS.build(dict(type='MaskCLIPSegmentor', clip=clip, names=['ball; round thing', 'drum', 'box'],
                             test_cfg=dict(short_side_px=32, crop_px=0, scale=100.0), **kwargs))


@pytest.mark.parametrize('pd_thr, ks_thr', [(0.45, 0.0), (0.0, 1.0), (0.45, 0.8)])
def test_a_whole_image_equals_the_equations(pd_thr, ks_thr):
    model = build(pd_thr=pd_thr, ks_thr=ks_thr)
    image = F.interpolate(torch.rand(1, 3, 4, 5) * 255, (32, 40), mode='bilinear').round()
    kept, = model.keep([image[0]])
    features, keys = kept.features[:, :64], kept.features[:, 64:].flatten(2).transpose(1, 2)
    tower = model.clip.vision
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    seen = (image - mean) / std
    assert torch.allclose(features, model.clip.encode_dense(seen), atol=1e-5)
    before = tower(seen, layers=(tower.depth - 2, )).layers[tower.depth - 2]
    k = tower.heads(before, tower.depth - 1, (4, 5)).k[:, :, 1:].transpose(1, 2).flatten(2)
    assert torch.allclose(keys, k, atol=1e-5)
    want = maskclip.refine_scores(maskclip.cosine_scores(features, model.texts()), k, pd_thr, ks_thr)
    want = F.interpolate(want, (32, 40), mode='bilinear')
    assert torch.allclose(kept.cosines(model.texts())[None], want, atol=1e-4)
    labels, best = model.label(kept)
    assert best.max() <= 1 + 1e-6
    names = want.argmax(1)[0]
    assert (labels == (names - 1).clamp_min(0)).float().mean() > 0.99


def test_contradictions_are_told():
    with pytest.raises(ConfigError, match='^model.refiner refines cosines of some names at a time'):
        build(refiner=dict(type='PAMR'))
