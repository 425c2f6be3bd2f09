"""The tiny CLIP that comes with the package: its size, its loading, and that it knows ToyWorld by name."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

WEIGHTS = Path(__file__).resolve().parents[3] / 'mmseg_weak' / 'weights'
COUNT = 48


@pytest.fixture(scope='module')
def scenes():
    """Images (N,3,128,128) RGB, tags (N,7) and masks (N,128,128) of the world of the lift table, its test part."""
    from mmseg_weak.datasets.toyworld import draw_scene
    from mmseg_weak.datasets.toyworld.senses import tags
    drawn = [draw_scene(128, 0, 2, i) for i in range(COUNT)]
    images = np.stack([scene.render()[..., ::-1].transpose(2, 0, 1) for scene in drawn])
    present = np.stack([tags(scene) for scene in drawn])
    return (torch.from_numpy(images.copy()).float(), torch.from_numpy(present).bool(),
            torch.from_numpy(np.stack([scene.mask for scene in drawn])).long())


def normalised(images, mean, std):
    return (images - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def test_size_and_safe_loading():
    path = WEIGHTS / 'toyworld_clip.pth'
    assert path.stat().st_size < 4e6
    state = torch.load(path, weights_only=True)
    assert {v.dtype for v in state.values()} == {torch.float16}
    assert all(torch.isfinite(v).all() for v in state.values())
    rows = [json.loads(line) for line in (WEIGHTS / 'toyworld_clip.log.jsonl').read_text().splitlines()]
    assert rows[-1]['score'] > rows[0]['score'] and rows[-1]['minutes'] > 10


@pytest.fixture(scope='module')
def clip():
    pytest.importorskip('open_clip', reason='open_clip is an optional requirement')
    from mmseg_weak.models.clip import OpenCLIP
    return OpenCLIP('toyworld_clip', 'toyworld', attention='value', residual=False, ffn=False, cache_dir=None)


def test_clip_names_tags_well_above_chance(scenes, clip):
    from mmseg_weak.datasets.toyworld.layout import CLASSES
    from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD
    images, tags, masks = scenes
    with torch.no_grad():
        out = clip(normalised(images, CLIP_MEAN, CLIP_STD))
        names = clip.encode_names(CLASSES[1:])
    best = (F.normalize(out.whole, dim=1) @ names.T).argmax(1)
    right, chance = tags[torch.arange(COUNT), best].float().mean(), tags.float().mean()
    assert right > chance + 0.2, (right, chance)
    dense = torch.einsum('bdhw,cd->bchw', F.normalize(out.dense, dim=1), names)
    labels = F.interpolate(dense, (128, 128), mode='bilinear').argmax(1) + 1
    on = masks > 0
    ious = [((labels == c) & (masks == c) & on).sum() / (((labels == c) | (masks == c)) & on).sum()
            for c in range(1, 8)]
    assert sum(ious) / 7 > 3 * 0.077, ious  # 0.077: names drawn at random
