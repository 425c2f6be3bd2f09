"""Score files that stand in for the network: other thresholds and refinements of the same class maps."""
import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_weak.apis.pseudo_label import pseudo_label
from mmseg_weak.errors import ConfigError, MissingFileError


@pytest.fixture
def kept(project):
    """(config, checkpoint, root), with score files of the six images in root/kept."""
    config, checkpoint, root = project
    pseudo_label(config, checkpoint, root / 'kept', scores=True, quiet=True)
    return project


def masks(folder):
    return [np.asarray(Image.open(path)) for path in sorted((folder / 'masks').glob('*.png'))]


@pytest.mark.parametrize('options', [
    dict(thr=0.9), dict(thr='area'), dict(thr=0.2, refine='par'), dict(conf_thr=0.853),
    dict(thr=0.5, cfg_options={'model.refiner.type': 'PAR', 'model.refiner.num_iter': 2})])
def test_same_masks_as_from_the_network(kept, options):
    config, checkpoint, root = kept
    pseudo_label(config, checkpoint, root / 'network', quiet=True, **options)
    result = pseudo_label(config, checkpoint, root / 'again', quiet=True, kept=root / 'kept', **options)
    assert result.written == 6
    for ours, theirs in zip(masks(root / 'again'), masks(root / 'network'), strict=True):
        assert (ours != theirs).mean() < 0.005  # scores are rounded to half precision


def test_the_network_does_not_run(kept, monkeypatch):
    config, checkpoint, root = kept

    def refuse(*args, **kwargs):
        raise AssertionError('class maps were computed')

    from mmseg.registry import MODELS
    monkeypatch.setattr(MODELS.get('ColourMaps'), 'class_maps', refuse)
    pseudo_label(config, checkpoint, root / 'again', thr=0.5, kept=root / 'kept', quiet=True)
    assert len(masks(root / 'again')) == 6
    settings = json.loads((root / 'again/settings.json').read_text())
    assert settings['from'] == str(root / 'kept')
    (root / 'kept').rename(root / 'other')
    with pytest.raises(ConfigError, match='holds masks made with from='):
        pseudo_label(config, checkpoint, root / 'again', thr=0.5, kept=root / 'other', quiet=True)


def test_shards_read_them_too(kept):
    config, checkpoint, root = kept
    for part in ('0/2', '1/2'):
        pseudo_label(config, checkpoint, root / 'again', thr=0.5, kept=root / 'kept', shard=part, quiet=True)
    assert len(masks(root / 'again')) == 6


def test_folders_that_cannot_be_used(kept):
    config, checkpoint, root = kept
    call = dict(quiet=True, kept=root / 'kept')
    with pytest.raises(MissingFileError, match='nowhere holds no scores of pseudo-label; run it with --scores'):
        pseudo_label(config, checkpoint, root / 'x', quiet=True, kept=root / 'nowhere')
    with pytest.raises(ConfigError, match="made with the overrides {}, and now they are {'model.seed.flip': 'sum'}"):
        pseudo_label(config, checkpoint, root / 'x', cfg_options={'model.seed.flip': 'sum'}, **call)
    other = torch.load(checkpoint, weights_only=True)
    other['state_dict']['weight'] *= 2
    torch.save(other, root / 'other.pth')
    with pytest.raises(ConfigError, match='holds scores of checkpoint='):
        pseudo_label(config, root / 'other.pth', root / 'x', **call)
    pseudo_label(config, checkpoint, root / 'refined', scores=True, quiet=True, cfg_options={
        'model.refiner.type': 'PAR', 'model.refiner.num_iter': 1})
    with pytest.raises(ConfigError, match='refined holds scores that went through model.refiner'):
        pseudo_label(config, checkpoint, root / 'x', quiet=True, kept=root / 'refined')


def test_a_damaged_or_missing_file_costs_one_image(kept):
    config, checkpoint, root = kept
    (root / 'kept/scores/1.npz').write_bytes(b'half')
    (root / 'kept/scores/2.npz').unlink()
    Image.new('RGB', (8, 8)).save(root / 'images/a/4.png')
    result = pseudo_label(config, checkpoint, root / 'again', kept=root / 'kept', quiet=True)
    assert result.written == 3
    files = [sentence.split(' is ')[0].rsplit('/', 1)[-1] for _, sentence in result.broken]
    assert files == ['1.npz', '2.npz', '4.npz']
    assert '32x24 pixels and its image of 8x8' in result.broken[2][1]


def test_only_class_maps(kept, monkeypatch):
    config, checkpoint, root = kept
    from mmseg.registry import MODELS
    maps = MODELS.get('ColourMaps')
    monkeypatch.setattr(maps, 'seed_planes', lambda self, images, present=None: images, raising=False)
    with pytest.raises(ConfigError, match='ColourMaps makes its masks in another way; leave --from out'):
        pseudo_label(config, checkpoint, root / 'again', kept=root / 'kept', quiet=True)

