"""`mmseg-weak debias`: the folder it writes, what reads it, what it refuses, resuming, corrections."""
import json

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from PIL import Image
from torch import nn

from mmseg_weak.apis.debias import debias
from mmseg_weak.apis.eval_pseudo import eval_pseudo
from mmseg_weak.apis.pseudo_files import write_index
from mmseg_weak.datasets import DebiasedLabelDataset, PseudoLabelDataset
from mmseg_weak.datasets.corrections import file_mark
from mmseg_weak.errors import ConfigError, DataError

CLASSES = ['background', 'train', 'boat']
PALETTE = [[0, 0, 0], [200, 0, 0], [0, 200, 0]]
CONFIG = """
default_scope = 'mmseg'
debias = dict(extractor=dict(backbone=dict(type='PlainColours'), mean=(0, 0, 0), std=(255, 255, 255)))
"""
STEPS = [dict(type='LoadImage'), dict(type='LoadDebiasedMask'), dict(type='RandomRescale', ratio_range=(0.5, 0.8)),
         dict(type='RandomCrop', crop_size=(20, 20)), dict(type='RandomFlipFields', prob=0.5),
         dict(type='PackSemiInputs')]


@MODELS.register_module(force=True)
class PlainColours(nn.Module):
    """Embeddings are the colours."""

    def forward(self, x):
        return x

    def init_weights(self):
        """None."""


@pytest.fixture
def project(tmp_path):
    """(folder of pseudo masks, config, true masks): trains whose masks hold their rails, and rails alone."""
    items = []
    for i in range(4):
        image, mask, truth = np.zeros((24, 24, 3), np.uint8), np.zeros((24, 24), np.uint8), np.zeros((24, 24), np.uint8)
        image[..., 2] = 255  # RGB: grass is blue here
        image[12:18, 4:20] = (0, 255, 0)
        if i < 2:
            image[6:12, 4:20] = (255, 0, 0)
            mask[6:18, 4:20], truth[6:12, 4:20] = 1, 1
            mask[0], truth[0] = 255, 255
        for name, array in (('images', image), ('pseudo/masks', mask), ('truth', truth)):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / name / f'{i}.png')
        items.append(dict(name=str(i), image=str(tmp_path / f'images/{i}.png'), shape=[24, 24], confidence=0.5,
                          mark=file_mark((tmp_path / f'pseudo/masks/{i}.png').read_bytes()), foreground=0.1,
                          unknown=0.0, shown=['train'] if i < 2 else [], not_shown=[],
                          tags=['train'] if i == 0 else None if i == 1 else []))
    write_index(tmp_path / 'pseudo', items, CLASSES, PALETTE, dict(seeds=False))
    (tmp_path / 'mars.py').write_text(CONFIG)
    return tmp_path / 'pseudo', tmp_path / 'mars.py', tmp_path / 'truth'


def test_rails_are_254_and_never_a_class(project):
    folder, config, truth = project
    out = folder.parent / 'debiased'
    result = debias(folder, config, out, quiet=True)
    assert (result.written, result.skipped, result.broken) == (4, 0, [])
    assert result.by_class == {'train': (0.5, 2 * 12 * 16)} and result.biased_ratio == 0.5
    expected = np.asarray(Image.open(folder / 'masks/1.png')).copy()
    expected[12:18, 4:20] = 254
    picture = Image.open(out / 'masks/1.png')
    assert picture.mode == 'P' and np.array_equal(np.asarray(picture), expected)
    index = json.loads((out / 'index.json').read_text())
    assert index['images'][1]['tags'] == ['train'] and index['images'][1]['biased'] == pytest.approx(96 / 576)
    assert 'DebiasedLabelDataset' in (out / 'dataset.py').read_text() and (out / 'index.html').is_file()

    plain = DebiasedLabelDataset(folder=str(out), pipeline=STEPS[:2] + STEPS[-1:])
    sample = plain[1]['data_samples']
    known, biased = sample.gt_sem_seg.data[0].numpy(), sample.gt_biased.data[0].numpy()
    assert np.array_equal(known, np.where(expected == 254, 255, expected)) and np.array_equal(biased, expected == 254)
    assert sample.gt_image_label.tolist() == [1, 0] and plain[2]['data_samples'].gt_image_label.tolist() == [0, 0]
    assert set(np.unique(known)) == {0, 1, 255} and biased[0].sum() == 0  # unknown from the start: 255, not biased

    torch.manual_seed(0)
    np.random.seed(0)
    for _ in range(8):  # geometry moves both maps alike
        sample = DebiasedLabelDataset(folder=str(out), pipeline=STEPS)[0]
        label, biased = (sample['data_samples'].get(key).data[0] for key in ('gt_sem_seg', 'gt_biased'))
        green = sample['inputs'][1] > 200
        assert label.shape == biased.shape == green.shape
        assert (label[biased > 0] == 255).all() and (biased[green] > 0).float().mean() > 0.7

    score = eval_pseudo(out, truth, unknown='drop', quiet=True)
    assert score.miou == 100  # what is left is right
    assert eval_pseudo(folder, truth, quiet=True).miou < 90


def test_plain_and_debiased_folders_are_not_mistaken(project):
    folder, config, _ = project
    out = folder.parent / 'debiased'
    debias(folder, config, out, quiet=True)
    with pytest.raises(ConfigError, match='marks biased pixels: use DebiasedLabelDataset with LoadDebiasedMask'):
        PseudoLabelDataset(folder=str(out))
    with pytest.raises(ConfigError, match='holds pseudo masks that were not debiased: run `mmseg-weak debias'):
        DebiasedLabelDataset(folder=str(folder), pipeline=STEPS)
    with pytest.raises(DataError, match='holds the class index 254, but there are 3 classes'):
        DebiasedLabelDataset(folder=str(out), pipeline=[STEPS[0], dict(type='LoadMask'), STEPS[-1]])[0]
    with pytest.raises(ConfigError, match=f'^{out} is debiased already'):
        debias(out, config, folder.parent / 'again', quiet=True)
    with pytest.raises(ConfigError, match='^out is .*pseudo, the folder that is read; give another one.$'):
        debias(folder, config, folder, quiet=True)
    config.write_text("default_scope = 'mmseg'\n")
    with pytest.raises(ConfigError, match='has no key `debias`; give a config of MARS'):
        debias(folder, config, folder.parent / 'other', quiet=True)


def test_resumes_leaves_corrected_masks_and_notices_new_sources(project):
    folder, config, _ = project
    out = folder.parent / 'debiased'
    debias(folder, config, out, quiet=True)
    (out / 'masks/0.png').unlink()
    edited = Image.open(out / 'masks/1.png')
    edited.putpixel((0, 0), 1)
    edited.save(out / 'masks/1.png')
    result = debias(folder, config, out, quiet=True)
    assert (result.written, result.skipped, result.corrected) == (1, 3, ['1'])
    result = debias(folder, config, out, overwrite=True, quiet=True)
    assert (result.written, result.skipped) == (3, 1) and Image.open(out / 'masks/1.png').getpixel((0, 0)) == 1
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(folder / 'masks/0.png')
    with pytest.raises(ConfigError, match='holds masks made with masks='):
        debias(folder, config, out, quiet=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / 'masks/0.png')
    result = debias(folder, config, folder.parent / 'new', quiet=True)
    assert result.written == 3 and result.broken[0][1].endswith(
        'masks/0.png is 8x8 pixels and its image 24x24; give masks of the size of their images.')
