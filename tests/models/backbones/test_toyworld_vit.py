"""The tiny ViT that comes with the package: its size, its loading, and that it knows ToyWorld."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import MissingFileError

WEIGHTS = Path(__file__).resolve().parents[3] / 'mmseg_weak' / 'weights'
COUNT = 48
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.fixture(scope='module')
def scenes():
    """Images (N,3,128,128) normalised and masks (N,128,128) of the world of the lift table, its test part."""
    from mmseg_weak.datasets.toyworld import draw_scene
    drawn = [draw_scene(128, 0, 2, i) for i in range(COUNT)]
    images = torch.from_numpy(np.stack([scene.render()[..., ::-1].transpose(2, 0, 1) for scene in drawn]).copy())
    images = (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    return images, torch.from_numpy(np.stack([scene.mask for scene in drawn])).long()


def test_size_and_safe_loading():
    path = WEIGHTS / 'toyworld_vit.pth'
    assert path.stat().st_size < 2e6
    state = torch.load(path, weights_only=True)
    assert {v.dtype for v in state.values()} == {torch.float16}
    assert all(torch.isfinite(v).all() for v in state.values())
    rows = [json.loads(line) for line in (WEIGHTS / 'toyworld_vit.log.jsonl').read_text().splitlines()]
    assert rows[-1]['score'] > rows[0]['score'] and rows[-1]['minutes'] > 10


def test_vit_loads_as_a_backbone():
    pytest.importorskip('timm', reason='timm is an optional requirement')
    from mmengine.runner import load_checkpoint

    from mmseg_weak.models.backbones import TimmViT
    backbone = TimmViT('toyworld_vit', out_indices=(5, ), checkpoint='mmseg_weak://toyworld_vit.pth')
    before = backbone.vit.blocks[0].attn.qkv.weight.clone()
    backbone.init_weights()
    own = torch.load(WEIGHTS / 'toyworld_vit.pth', weights_only=True)
    assert not torch.equal(before, backbone.vit.blocks[0].attn.qkv.weight)
    for key, value in backbone.vit.state_dict().items():
        assert torch.equal(value, own[key].float()), key
    assert backbone(torch.zeros(1, 3, 64, 96))[0].shape == (1, 96, 8, 12)
    load_checkpoint(backbone.vit, 'mmseg_weak://toyworld_vit.pth', strict=True)  # as init_cfg's Pretrained does


def test_weights_that_are_not_there():
    from mmseg_weak.models.utils import packaged_weights
    with pytest.raises(MissingFileError, match=r'mmseg_weak://toyworld_vti.pth is not among the weights that come with '
                                               r'mmseg_weak. Did you mean toyworld_vit.pth'):
        packaged_weights('toyworld_vti.pth')


def test_a_linear_probe_finds_more_classes_than_in_random_features(scenes):
    """Ridge regression from patches of one half of the scenes to the classes of the other half's patches, mIoU."""
    pytest.importorskip('timm', reason='timm is an optional requirement')
    from mmseg_weak.models.backbones import TimmViT
    images, masks = scenes
    backbone = TimmViT('toyworld_vit', out_indices=(5, ), checkpoint='mmseg_weak://toyworld_vit.pth').eval()
    shares = F.one_hot(masks.view(COUNT, 16, 8, 16, 8), 8).sum((2, 4)).flatten(1, 2)
    labels = shares.argmax(-1)

    def probe():
        with torch.no_grad():
            x = backbone(images)[0].flatten(2).transpose(1, 2)
        (x, x2), (y, y2) = x.unflatten(0, (2, -1)).flatten(1, 2), labels.unflatten(0, (2, -1)).flatten(1)
        mean, std = x.mean(0), x.std(0)
        x, x2 = (x - mean) / std, (x2 - mean) / std
        target = F.one_hot(y, 8).float()
        weight = torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]), x.T @ (target - target.mean(0)))
        table = torch.bincount(y2 * 8 + (x2 @ weight + target.mean(0)).argmax(1), minlength=64).view(8, 8).float()
        return (table.diag() / (table.sum(0) + table.sum(1) - table.diag())).mean().item()
    random = probe()
    backbone.init_weights()
    assert probe() > 1.5 * random
