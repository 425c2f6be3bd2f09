"""Sentences and photographs: what refer finds, and what refer-label writes for the stages that follow."""
import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS

from mmseg_weak.apis.refer import Referrer, refer
from mmseg_weak.apis.refer_label import refer_label
from mmseg_weak.datasets.masks import decode_mask
from mmseg_weak.errors import CheckpointError, ConfigError, DataError, MissingFileError

CLIP = "dict(type='OpenCLIP', name='toyworld_clip', pretrained={weights}, templates='name', cache_dir=None{more})"
STAGE1 = """
default_scope = 'mmseg'
preprocessor = dict(type='MultiBranchDataPreprocessor', mean=(120., 110., 100.), std=(60., 60., 60.))
test_pipeline = [dict(type='LoadImage'), dict(type='Resize', scale=(64, 64), keep_ratio=False),
                 dict(type='LoadReferredMask'), dict(type='PackReferring')]
model = dict(type='TRIS', clip={clip}, judge={judge}, head=dict(channels=16), judge_px=64,
             data_preprocessor=preprocessor)
train_dataloader = dict(dataset=dict(type='SeededDataset', dataset=dict(
    type='ToyWorldReferring', num_images=3, size=64, negatives=1, pipeline=[])))
"""
WALK = """
default_scope = 'mmseg'
model = dict(
    type='TRISWalk', walk=dict(exp_times=2),
    backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3, ), strides=(1, 2, 2, 1),
                  init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth')),
    heads=dict(in_channels=(8, 8, 16, 32, 64), strides=(4, 4, 8, 16, 16)),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', mean=(120., 110., 100.), std=(60., 60., 60.)))
"""


@pytest.fixture
def stage1(tmp_path):
    """A config of stage 1 and random weights of it; config and clip name weights that are nowhere."""
    torch.manual_seed(0)
    path, weights = tmp_path / 'stage1.py', tmp_path / 'stage1.pth'
    judge = CLIP.format(weights='None', more='')
    texts = [STAGE1.format(judge=judge, clip=CLIP.format(weights=name, more=", attention='vanilla'"))
             for name in ("'nowhere.pt'", 'None')]
    path.write_text(texts[0])
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(Config.fromstring(texts[1], '.py').model)
    torch.save(dict(state_dict=model.state_dict()), weights)
    return path, weights


@pytest.fixture
def walk(tmp_path):
    torch.manual_seed(0)
    path, weights = tmp_path / 'walk.py', tmp_path / 'walk.pth'
    path.write_text(WALK)
    model = Config.fromfile(path).model
    model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        torch.save(dict(state_dict=MODELS.build(model).state_dict()), weights)
    return path, weights


@pytest.fixture
def label(stage1, tmp_path):
    """refer_label of the config, with the same random judge at every call."""
    def call(config=stage1[0], checkpoint=stage1[1], **kwargs):
        torch.manual_seed(1)
        return refer_label(config, checkpoint, tmp_path / 'out', device='cpu', quiet=True, **kwargs)
    return call


def photo(path, size=(40, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    return path


def written(folder):
    return {path.name: decode_mask(str(path)) for path in sorted(folder.iterdir())}


# ---- refer -----------------------------------------------------------------------------------------------------------

def test_a_sentence_in_photographs(stage1, tmp_path):
    photo(tmp_path / 'photos' / 'a' / 'x.jpg')
    photo(tmp_path / 'photos' / 'y.png', (30, 30))
    (tmp_path / 'photos' / 'z.png').write_bytes(b'no image')
    result = refer(tmp_path / 'photos', 'the red  ball ', *stage1, out=tmp_path / 'out', device='cpu', quiet=True)
    assert list(result.shares) == ['a/x.jpg', 'y.png'] and 'z.png' in result.broken[0][1]
    masks = {path.relative_to(tmp_path / 'out' / 'masks').as_posix(): decode_mask(str(path))
             for path in (tmp_path / 'out' / 'masks').rglob('*.png')}
    assert {name: mask.shape for name, mask in masks.items()} == {'a/x.png': (40, 60), 'y.png': (30, 30)}
    assert masks['y.png'].mean() == result.shares['y.png'] and set(np.unique(masks['y.png'])) <= {0, 1}
    seen = Referrer(*stage1, device='cpu')(tmp_path / 'photos' / 'y.png', 'the red ball')
    assert np.array_equal(seen.mask, masks['y.png']) and np.array_equal(seen.mask, seen.score > 1e-9)
    score = decode_mask(str(tmp_path / 'out' / 'scores' / 'y.png'))
    assert np.array_equal(score, np.rint(seen.score * 255))
    assert (tmp_path / 'out' / 'overlays' / 'a' / 'x.jpg').is_file()


def test_a_long_sentence_is_told_once(stage1, monkeypatch):
    import mmseg_weak.apis.refer as module
    told = []
    monkeypatch.setattr(module, 'print_log', lambda text, *_: told.append(text))
    referrer, image = Referrer(*stage1, device='cpu'), np.zeros((8, 8, 3), np.uint8)
    long = 'the ball ' * 12
    for _ in range(2):
        referrer(image, long)
    referrer(image, 'the ball')
    assert len(told) == 1 and "' has 26 tokens and the network reads 20 of them, up to '" in told[0]


def test_what_refer_refuses(stage1, walk, tmp_path):
    referrer = Referrer(*stage1, device='cpu')
    with pytest.raises(DataError, match='The sentence is empty'):
        referrer(np.zeros((8, 8, 3), np.uint8), '  ')
    with pytest.raises(ConfigError, match='TRISWalk, which looks for boundaries'):
        Referrer(*walk, device='cpu')
    other = tmp_path / 'other.py'
    other.write_text("default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder')\n")
    with pytest.raises(ConfigError, match='EncoderDecoder, which reads no sentences; `mmseg-weak list tris`'):
        Referrer(other, stage1[1])
    with pytest.raises(CheckpointError):
        Referrer(stage1[0], walk[1])
    with pytest.raises(MissingFileError):
        refer(tmp_path / 'none', 'ball', *stage1, quiet=True)
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'z.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='none of 1 images could be read; the first: '):
        refer(tmp_path / 'bad', 'ball', *stage1, out=tmp_path / 'out', device='cpu', quiet=True)


def test_the_text_tower_keeps_the_activation_of_its_weights(stage1, monkeypatch):
    """The config names OpenAI's file, which is not here any more: the checkpoint was trained with QuickGELU."""
    from open_clip.transformer import QuickGELU

    from mmseg_weak.models.clip import weights
    monkeypatch.setattr(weights, '_needs_quick_gelu', lambda *_: True)
    referrer = Referrer(*stage1, device='cpu')
    blocks = referrer.model.clip.text.model.transformer.resblocks
    assert all(isinstance(block.mlp.gelu, QuickGELU) for block in blocks)


# ---- refer-label -----------------------------------------------------------------------------------------------------

def test_labels_are_data_sets_of_the_stages(label, stage1, tmp_path):
    result = label(crf=False)
    out = tmp_path / 'out'
    given = DATASETS.build(dict(type='ToyWorldReferring', num_images=3, size=64)).objects
    assert (result.written, result.skipped, result.broken) == (len(given), 0, [])
    scores, seeds, masks = (written(out / kind) for kind in ('scores', 'seeds', 'masks'))
    assert len(scores) == len(given) and list(scores) == list(seeds) == list(masks)
    assert result.object_share == pytest.approx(np.mean([mask.mean() for mask in masks.values()]))
    for name, score in scores.items():
        assert score.shape == (64, 64) and score.max() == 255
        value = score.astype(np.float32) / 255
        assert np.array_equal(masks[name], value > 0.25)
        assert np.array_equal(seeds[name], np.where(value > 0.3, 1, np.where(value < 0.1, 0, 255)))
    for file, want in (('objects', masks), ('seeds', seeds)):
        pipeline = [dict(type='LoadImage'), dict(type='LoadReferredMask'), dict(type='PackReferring')]
        data = DATASETS.build(dict(type='ReferringDataset', objects=str(out / f'{file}.json'), masks=str(out),
                                   with_masks=True, pipeline=pipeline))
        assert [one.expressions for one in data.objects] == [one.expressions for one in given]
        for number, mask in enumerate(want.values()):
            assert np.array_equal(data[number]['data_samples'].gt_sem_seg.data[0].numpy(), mask)


def test_the_best_response_is_that_of_prms(label, stage1, tmp_path):
    label()
    torch.manual_seed(1)
    referrer = Referrer(*stage1, device='cpu')
    one = DATASETS.build(dict(type='ToyWorldReferring', num_images=3, size=64)).objects[0]
    from mmseg_weak.apis.images import read_image
    image = read_image(one.image)
    best, _ = referrer.model.best_response(referrer.prepared(image), list(one.expressions))
    score = decode_mask(str(tmp_path / 'out' / 'scores' / f'{one.name}.png'))
    assert np.array_equal(score, np.rint(referrer(image, one.expressions[best]).score * 255))


def test_a_second_call_goes_on(label, tmp_path):
    first = label()
    scores = sorted((tmp_path / 'out' / 'scores').iterdir())
    marked = np.zeros((64, 64), np.uint8)
    marked[:32] = 255
    cv2.imwrite(str(scores[0]), marked)
    scores[1].unlink()
    again = label(thr=0.5)
    assert (again.written, again.skipped) == (1, first.written - 1)
    masks = written(tmp_path / 'out' / 'masks')
    assert np.array_equal(masks[scores[0].name], marked > 0)
    assert label(overwrite=True).written == first.written
    assert not np.array_equal(decode_mask(str(scores[0])), marked)


def test_responses_of_something_else_are_not_taken_for_new_ones(label, stage1, tmp_path):
    first = label(crf=False)
    other = tmp_path / 'other.pth'
    state = torch.load(stage1[1], weights_only=True)['state_dict']
    torch.save(dict(state_dict={key: value + 0.01 if value.is_floating_point() else value
                                for key, value in state.items()}), other)
    with pytest.raises(ConfigError, match=r'out holds masks made with checkpoint=stage1.pth \w+, and now it is '
                                          r'other.pth \w+; give another --out, or --overwrite'):
        label(checkpoint=other, crf=False)
    options = {'train_dataloader.dataset.dataset.num_images': 2}
    with pytest.raises(ConfigError, match=f'made with objects={first.written} '):
        label(cfg_options=options, crf=False)
    label(checkpoint=other, crf=False, overwrite=True)
    assert label(checkpoint=other, crf=False).skipped == first.written


def test_seeds_follow_their_settings(label, walk, tmp_path):
    label(crf=False)
    before = written(tmp_path / 'out' / 'seeds')
    label(crf=False, strict=0.6, loose=0.05)
    scores, seeds = (written(tmp_path / 'out' / kind) for kind in ('scores', 'seeds'))
    for name, score in scores.items():
        value = score.astype(np.float32) / 255
        assert np.array_equal(seeds[name], np.where(value > 0.6, 1, np.where(value < 0.05, 0, 255)))
    assert any((seeds[name] != before[name]).any() for name in seeds)
    label(walk=walk[0], walk_checkpoint=walk[1])  # learnt from these; they stay
    assert all(np.array_equal(mask, seeds[name]) for name, mask in written(tmp_path / 'out' / 'seeds').items())


def test_masks_walk(label, walk, tmp_path):
    label(crf=False)
    plain = written(tmp_path / 'out' / 'masks')
    result = label(walk=walk[0], walk_checkpoint=walk[1])
    assert result.written == 0
    walked = written(tmp_path / 'out' / 'masks')
    assert list(walked) == list(plain) and any((walked[name] != plain[name]).any() for name in plain)
    assert all(mask.shape == (64, 64) and mask.max() == 1 for mask in walked.values())


def test_what_refer_label_refuses(label, stage1, walk, tmp_path):
    with pytest.raises(ConfigError, match='a walk needs both'):
        label(walk=walk[0])
    with pytest.raises(ConfigError, match='the loose one the lower'):
        label(strict=0.1, loose=0.3)
    with pytest.raises(ConfigError, match='describes TRIS; the walk is that of TRISWalk'):
        label(walk=stage1[0], walk_checkpoint=stage1[1])
    text = stage1[0].read_text()
    other = tmp_path / 'other.py'
    other.write_text(text + 'train_dataloader = None\n')
    with pytest.raises(ConfigError, match='has no train_dataloader'):
        label(config=other)
    other.write_text(text + "train_dataloader = dict(dataset=dict(type='ToyWorldDataset', num_images=2))\n")
    with pytest.raises(ConfigError, match='trains on ToyWorldDataset; sentences come from'):
        label(config=other)
    (tmp_path / 'bad.png').write_bytes(b'no image')
    photo(tmp_path / 'good.png')
    objects = tmp_path / 'objects.json'
    objects.write_text(json.dumps([dict(image='bad.png', expression='a ball'), dict(image='bad.png', expression='b'),
                                   dict(image='good.png', expression='a drum')]))
    other.write_text(text + f'train_dataloader = dict(dataset=dict(type="ReferringDataset", objects={str(objects)!r}, '
                            f'images={str(tmp_path)!r}))\n')
    result = label(config=other)
    assert result.written == 1 and [name for name, _ in result.broken] == [str(tmp_path / 'bad.png')]
    objects.write_text(json.dumps([dict(image='bad.png', expression='a ball')]))
    with pytest.raises(DataError, match='none of 1 images could be read'):
        label(config=other, overwrite=True)
