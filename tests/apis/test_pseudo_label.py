"""Pseudo masks as a data set: labels, resuming, corrections, shards, what is wrong, training on it, evaluation."""
import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weak.apis.eval_pseudo import eval_pseudo
from mmseg_weak.apis.new import new_project
from mmseg_weak.apis.pseudo_files import Records, load_scores, names_of, save_scores
from mmseg_weak.apis.pseudo_label import pseudo_label
from mmseg_weak.apis.pseudo_worker import mask_of_scores
from mmseg_weak.apis.train import test as run_test
from mmseg_weak.datasets import FolderSegDataset, PseudoLabelDataset
from mmseg_weak.errors import ConfigError, DataError, MissingFileError

CLASSES = ('background', 'red', 'green')


def read(path):
    return np.asarray(Image.open(path))


def test_names():
    assert names_of(['/d/a.jpg', '/d/a.png', '/d/b/c.x.jpg']) == ['a_jpg', 'a_png', 'b/c.x']
    assert names_of(['toyworld://0-128/train/00001.png', 'toyworld://0-128/train/00002.png']) == ['00001', '00002']
    assert names_of(['/d/a.jpg']) == ['a']
    with pytest.raises(DataError, match=r'two images would have the mask a_jpg\.png'):
        names_of(['/d/a.jpg', '/d/a.jpg'])


def test_masks_index_and_data_set(project):
    config, checkpoint, root = project
    out = root / 'pseudo'
    result = pseudo_label(config, checkpoint, out, scores=True, quiet=True)
    assert (result.written, result.skipped, result.broken, result.complete) == (6, 0, [], True)
    for i in range(6):
        mask = Image.open(out / f'masks/{i}.png')
        assert mask.mode == 'P' and np.array_equal(np.asarray(mask), read(root / f'truth/a/{i}.png'))
    rows = list(csv.DictReader((out / 'index.csv').open()))
    assert [row['tags'] for row in rows] == ['red', 'green', 'red;green', '', 'red', 'green']
    assert [row['shown'] for row in rows] == [row['tags'] for row in rows] and rows[3]['foreground'] == '0.0000'
    assert 0.8 < float(rows[0]['confidence']) < 1
    with np.load(out / 'scores/2.npz') as content:
        assert content['classes'].tolist() == [1, 2] and content['scores'].dtype == np.float16
    with np.load(out / 'scores/3.npz') as content:
        assert content['classes'].tolist() == [] and content['scores'].shape == (0, 24, 32)
    assert load_scores(out / 'scores/1.npz', 3)[0].tolist() == [2]  # red is no tag of it
    page = (out / 'index.html').read_text()
    assert '6 masks in' in page and page.count('<img') >= 6 and 'src="http' not in page
    assert len(list((out / 'overlays').glob('*.jpg'))) == 6
    assert FolderSegDataset(list_file=str(out / 'list.txt'), classes=CLASSES).get_data_info(5)['seg_map_path'] == str(
        out / 'masks/5.png')


def test_train_takes_it_and_names_corrected_masks(project, monkeypatch):
    config, checkpoint, root = project
    out, said = root / 'pseudo', []
    monkeypatch.setattr('mmseg_weak.datasets.corrections.print_log', lambda text, **_: said.append(text))
    pseudo_label(config, checkpoint, out, quiet=True)
    steps = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]
    dataset = PseudoLabelDataset(folder=str(out), pipeline=steps)
    dataset.full_init()
    assert len(dataset) == 6 and dataset.metainfo['classes'] == CLASSES
    assert dataset[2]['data_samples'].gt_sem_seg.data.unique().tolist() == [0, 1, 2]
    assert said == [f'6 pseudo masks of {out}; none was changed since it was written.']
    edited = read(out / 'masks/4.png').copy()
    edited[:] = 2
    picture = Image.fromarray(edited)
    picture.save(out / 'masks/4.png')
    (out / 'masks/5.png').unlink()
    said.clear()
    dataset = PseudoLabelDataset(folder=str(out), pipeline=steps)
    assert len(dataset) == 5 and (dataset[4]['data_samples'].gt_sem_seg.data == 2).all()
    assert said == [f'5 pseudo masks of {out}; 1 of them were corrected by hand and are trained on as they are now: '
                    f'masks/4.png.']
    said.clear()
    new_project(root / 'work', str(root / 'images'), str(out / 'masks'), method='supervised', device='cpu')
    text = (root / 'work/supervised.py').read_text()
    assert "'red'" in text and 'num_classes=3' in text
    assert len(PseudoLabelDataset(folder=str(out), min_confidence=0.9)) < 5
    with pytest.raises(DataError, match='has no mask to train on: 6 in its index, 0 with a confidence of at least 2'):
        PseudoLabelDataset(folder=str(out), min_confidence=2)
    with pytest.raises(MissingFileError, match=r'truth has no index\.json: it was not written by'):
        PseudoLabelDataset(folder=str(root / 'truth'))


def test_resume_keeps_corrections_and_mends_half_files(project):
    config, checkpoint, root = project
    out = root / 'pseudo'
    pseudo_label(config, checkpoint, out, quiet=True)
    before = {i: (out / f'masks/{i}.png').read_bytes() for i in range(6)}
    (out / 'masks/0.png').unlink()
    (out / 'masks/1.png').write_bytes(before[1][:60])  # half a file
    Image.fromarray(np.ones((24, 32), np.uint8)).save(out / 'masks/2.png')  # by hand
    part = next((out / '.records').glob('*.jsonl'))
    lines = part.read_text().splitlines()
    part.write_text('\n'.join(lines[:3] + lines[4:]) + '\n{"name": "3", "mar')  # a kill in the middle of a line
    result = pseudo_label(config, checkpoint, out, quiet=True)
    assert (result.written, result.skipped, result.corrected) == (3, 3, ['2'])
    assert all((out / f'masks/{i}.png').read_bytes() == before[i] for i in (0, 1, 3, 4, 5))
    assert (read(out / 'masks/2.png') == 1).all()
    again = pseudo_label(config, checkpoint, out, quiet=True, thr=0.05, overwrite=True)
    assert again.written == 5 and again.corrected == ['2'] and (read(out / 'masks/2.png') == 1).all()
    assert (out / 'masks/0.png').read_bytes() != before[0]
    assert pseudo_label(config, checkpoint, out, quiet=True, thr=0.05).corrected == ['2']


def test_other_settings_need_another_folder(project):
    config, checkpoint, root = project
    out = root / 'pseudo'
    pseudo_label(config, checkpoint, out, quiet=True)
    with pytest.raises(ConfigError, match=r'pseudo holds masks made with thr=None, and now it is 0\.5; give another'):
        pseudo_label(config, checkpoint, out, thr=0.5, quiet=True)
    (root / 'mine/masks').mkdir(parents=True)
    (root / 'mine/masks/0.png').write_bytes(b'precious')
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match='holds masks that this command did not write'):
            pseudo_label(config, checkpoint, root / 'mine', overwrite=overwrite, quiet=True)
    assert (root / 'mine/masks/0.png').read_bytes() == b'precious'


def test_shards_make_the_same(project):
    config, checkpoint, root = project
    pseudo_label(config, checkpoint, root / 'one', quiet=True)
    first = pseudo_label(config, checkpoint, root / 'two', shard='0/2', quiet=True)
    assert (first.written, first.missing, first.complete) == (3, 3, False) and not (root / 'two/index.json').exists()
    assert pseudo_label(config, checkpoint, root / 'two', shard='1/2', quiet=True).complete
    for i in range(6):
        assert (root / f'one/masks/{i}.png').read_bytes() == (root / f'two/masks/{i}.png').read_bytes()
    a, b = (json.loads((root / name / 'index.json').read_text()) for name in ('one', 'two'))
    assert a == b
    for bad in ('2/2', 'a', '-1/2', '1'):
        with pytest.raises(ConfigError, match='give i/N with i from 0 to N-1'):
            pseudo_label(config, checkpoint, root / 'x', shard=bad)


def test_nan_all_zero_and_broken_images(project):
    config, checkpoint, root = project
    (root / 'images/a/1.png').write_bytes(b'no image')
    image = cv2.imread(str(root / 'images/a/2.png'))
    image[0, 0, 0] = 255
    cv2.imwrite(str(root / 'images/a/2.png'), image)
    black = np.zeros((24, 32, 3), np.uint8)
    cv2.imwrite(str(root / 'images/a/4.png'), black)
    result = pseudo_label(config, checkpoint, root / 'pseudo', quiet=True)
    assert (result.written, result.missing, result.empty, result.complete) == (4, 2, 1, True)
    assert 'a/1.png' in result.broken[0][1] and 'is not a readable image' in result.broken[0][1]
    assert 'of 2304 scores of' in result.broken[1][1] and 'the network has diverged' in result.broken[1][1]
    assert (read(root / 'pseudo/masks/4.png') == 0).all()
    rows = {row['mask']: row for row in csv.DictReader((root / 'pseudo/index.csv').open())}
    assert rows['masks/4.png']['not_shown'] == 'red' and 'masks/1.png' not in rows
    for i in (0, 3, 4, 5):
        (root / f'images/a/{i}.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='none of 6 images could be labelled; the first: '):
        pseudo_label(config, checkpoint, root / 'other', quiet=True)


def test_a_folder_that_cannot_be_written(project, monkeypatch):
    config, checkpoint, root = project
    monkeypatch.setattr('os.access', lambda place, mode: Path(place).name != 'masks')  # root may write everywhere
    with pytest.raises(ConfigError, match=r'shut/masks is not writable; change its rights or give another --out'):
        pseudo_label(config, checkpoint, root / 'shut', quiet=True)


def test_a_folder_that_is_a_file(project):
    config, checkpoint, root = project
    (root / 'file').write_text('')
    with pytest.raises(ConfigError, match=r'file cannot be made \(.*\); give another --out'):
        pseudo_label(config, checkpoint, root / 'file', quiet=True)


def test_half_precision_rounds_scores_and_is_a_setting(project):
    config, checkpoint, root = project
    pseudo_label(config, checkpoint, root / 'full', scores=True, thr=0.3, quiet=True)
    pseudo_label(config, checkpoint, root / 'half', scores=True, thr=0.3, amp=True, quiet=True)
    name = sorted(p.name for p in (root / 'full/scores').iterdir())[0]
    full, half = (load_scores(root / folder / 'scores' / name, 3)[1] for folder in ('full', 'half'))
    assert 0 < np.abs(full - half).max() < 0.05
    with pytest.raises(ConfigError, match='amp'):
        pseudo_label(config, checkpoint, root / 'full', scores=True, thr=0.3, amp=True, quiet=True)


def test_thresholds_and_unknown(project):
    config, checkpoint, root = project
    low = pseudo_label(config, checkpoint, root / 'low', thr=0.01, quiet=True)
    assert low.thr == 0.01 and (read(root / 'low/masks/0.png') > 0).mean() > 0.9
    for rule in ('consistency', 'area'):
        found = pseudo_label(config, checkpoint, root / rule, thr=rule, quiet=True, area_prior=0.2)
        assert 0.2 <= found.thr < 0.9, rule
        assert np.array_equal(read(root / rule / 'masks/0.png'), read(root / 'truth/a/0.png')), rule
    pseudo_label(config, checkpoint, root / 'unsure', conf_thr=0.9, quiet=True)
    assert set(np.unique(read(root / 'unsure/masks/0.png'))) == {0, 1, 255}
    for wrong, text in ((dict(thr='otsu'), "thr is 'otsu'; give a number between 0 and 1, or one of the rules"),
                        (dict(thr=2.0), r'thr is 2\.0; the background score lies'),
                        (dict(conf_thr=1.0), r'conf_thr is 1\.0; a confidence lies'),
                        (dict(refine='crv'), "there is no refinement 'crv'"),
                        (dict(loader='train_evil'), 'has no train_evil_dataloader .it has train_eval.; choose one'),
                        (dict(tags='t.csv'), 'tags go with images')):
        with pytest.raises(ConfigError, match=text):
            pseudo_label(config, checkpoint, root / 'x', quiet=True, **wrong)


def test_background_is_as_sure_as_objects_are_weak():
    scores = torch.tensor([[0.3, 0.3, 0.3, 0.3], [0.1, 0.9, 0.3, 0.0], [0.0, 0.0, 0.0, 0.95]])[:, None]
    mask, conf = mask_of_scores(scores, torch.tensor([True, True, False]), seeds=True)
    assert mask.tolist() == [[0, 1, 0, 0]]  # a tie is background's; the last class may not win
    assert conf[0] == pytest.approx([0.9, 0.9, 0.7, 1.0])
    mask, conf = mask_of_scores(scores, torch.ones(3, dtype=torch.bool), seeds=False, conf_thr=0.5)
    assert mask.tolist() == [[255, 1, 255, 2]] and conf[0] == pytest.approx([0.3, 0.9, 0.3, 0.95])


@pytest.mark.parametrize('refine', ['par', 'crf', 'par,crf'])
def test_refined_masks_follow_the_image(project, refine):
    config, checkpoint, root = project
    text = config.read_text().replace('scales=(1,)', 'scales=(0.25,)')  # coarse maps
    config.write_text(text)
    pseudo_label(config, checkpoint, root / 'plain', quiet=True)
    pseudo_label(config, checkpoint, root / 'refined', refine=refine, quiet=True)
    wrong = [np.mean([(read(root / name / f'masks/{i}.png') != read(root / f'truth/a/{i}.png')).mean()
                      for i in range(6)]) for name in ('plain', 'refined')]
    assert wrong[1] < 0.6 * wrong[0]
    assert set(np.unique(read(root / 'refined/masks/0.png'))) == {0, 1}  # no class beyond the tags


def test_images_without_tags_get_predicted_ones(project):
    config, checkpoint, root = project
    pseudo_label(config, checkpoint, root / 'pseudo', images=str(root / 'images'), quiet=True,
                 cfg_options={'test_dataloader': dict(dataset=dict(pipeline=[]))})
    assert np.array_equal(read(root / 'pseudo/masks/2.png'), read(root / 'truth/a/2.png'))
    assert (read(root / 'pseudo/masks/3.png') == 0).all()
    assert json.loads((root / 'pseudo/index.json').read_text())['images'][0]['tags'] is None


def test_any_segmentor(make_model, project):
    _, _, root = project
    config, checkpoint = make_model()
    result = pseudo_label(config, checkpoint, root / 'pseudo', images=str(root / 'images'), conf_thr=0.4, quiet=True)
    assert result.classes == ['sky', 'road', 'car'] and result.written == 6
    index = json.loads((root / 'pseudo/index.json').read_text())
    assert index['palette'] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]] and index['made']['seeds'] is False
    assert all(1 / 3 <= item['confidence'] <= 1 for item in index['images'])
    with pytest.raises(ConfigError, match=r'--thr is the background score of class maps, and .* use --conf-thr'):
        pseudo_label(config, checkpoint, root / 'x', images=str(root / 'images'), thr=0.4, quiet=True)
    with pytest.raises(ConfigError, match="thr='area' chooses the background score of class maps"):
        pseudo_label(config, checkpoint, root / 'x', images=str(root / 'images'), thr='area', quiet=True)
    semi = make_model(semi=True, name='semi')
    assert pseudo_label(*semi, root / 'semi', images=str(root / 'images'), quiet=True).written == 6


def test_any_segmentor_keeps_to_tags_where_asked(make_model, project):
    _, _, root = project
    config, checkpoint = make_model()
    tags = {f'{i}.png': [['road'], ['car'], []][i % 3] for i in range(6)}
    (root / 'own.json').write_text(json.dumps(tags))
    call = dict(images=str(root / 'images'), tags=str(root / 'own.json'), quiet=True)
    pseudo_label(config, checkpoint, root / 'free', **call)
    pseudo_label(config, checkpoint, root / 'kept', use_tags=True, **call)
    free = [np.unique(read(root / f'free/masks/{i}.png')).tolist() for i in range(6)]
    kept = [np.unique(read(root / f'kept/masks/{i}.png')).tolist() for i in range(6)]
    assert any(set(found) - {0, [1, 2, 0][i % 3]} for i, found in enumerate(free))
    assert all(set(found) <= {0, [1, 2, 0][i % 3]} for i, found in enumerate(kept))
    with pytest.raises(DataError, match=r'0\.png has no tags to keep to; give --tags, or leave --use-tags out'):
        pseudo_label(config, checkpoint, root / 'x', images=str(root / 'images'), use_tags=True, quiet=True)


@pytest.mark.slow
def test_processes_make_the_same(make_model, project):
    _, _, root = project
    config, checkpoint = make_model()
    images = str(root / 'images')
    pseudo_label(config, checkpoint, root / 'one', images=images, quiet=True)
    found = pseudo_label(config, checkpoint, root / 'two', images=images, shards=2, device='cpu', quiet=True)
    assert found.written == 6 and len(list((root / 'two/.records').glob('process_*_of_2.jsonl'))) == 2
    for i in range(6):
        assert (root / f'one/masks/{i}.png').read_bytes() == (root / f'two/masks/{i}.png').read_bytes()


def test_evaluation(project, monkeypatch):
    config, checkpoint, root = project
    out = root / 'pseudo'
    pseudo_label(config, checkpoint, out, thr=0.1, scores=True, quiet=True)
    monkeypatch.chdir(root)
    result = eval_pseudo('pseudo', root / 'truth', held_out=2, quiet=True)
    assert result.images == 6 and result.miou < 90 and [row['class'] for row in result.rows] == list(CLASSES)
    assert result.choices['best (oracle)']['mIoU'] == 100 and result.choices['best (oracle)']['cost'] == 0
    assert result.choices['as written']['mIoU'] == pytest.approx(result.miou, abs=0.5)
    assert result.choices['as written']['cost'] == pytest.approx(100 - result.choices['as written']['mIoU'])
    assert set(result.choices) == {'best (oracle)', 'as written', 'consistency', 'area', 'entropy', 'held-out 2'}
    assert result.choices['held-out 2']['cost'] == 0
    summary = json.loads((out / 'eval/summary.json').read_text())
    assert summary['conventions']['wrong']['all'] == pytest.approx(result.miou)
    assert (out / 'eval/curve.svg').read_text().startswith('<?xml')
    assert read(out / 'eval/curve.png').shape[1] > 600
    assert 'threshold by' in result.text() and 'held-out 2' in result.text()


def test_evaluation_of_any_folder(project):
    _, _, root = project
    (root / 'truth/a/5.png').unlink()
    other = root / 'mine'
    other.mkdir()
    for i in range(4):
        Image.fromarray(read(root / f'truth/a/{i}.png')).save(other / f'{i}.png')
    Image.fromarray(read(root / 'truth/a/0.png')).save(other / 'x.png')
    result = eval_pseudo(other, root / 'truth/a', quiet=True)
    assert (result.images, result.without_truth, result.not_covered, result.miou) == (4, 1, 1, 100)
    assert result.rows[1]['class'] == 'class_1' and not result.choices
    with pytest.raises(DataError, match='a pseudo mask of shape .9, 9. has a truth of shape .24, 32.'):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(other / '1.png')
        eval_pseudo(other, root / 'truth/a', quiet=True)
    with pytest.raises(MissingFileError, match='there is no folder'):
        eval_pseudo(root / 'none', root / 'truth')
    with pytest.raises(ConfigError, match="mean is 'x'; choose one of present, union, all"):
        eval_pseudo(other, root / 'truth', mean='x')


def test_seeds_of_the_training_images(project, tmp_path):
    config, checkpoint, root = project
    text = config.read_text() + """
train_eval_dataloader.update(num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
train_eval_evaluator = [dict(type='SeedMetric'), dict(type='PseudoMaskMetric')]
test_cfg = dict(type='TestLoop')
"""
    config.write_text(text)
    found = run_test(config, checkpoint, work_dir=tmp_path / 'w', loader='train_eval')
    assert found['seed/mIoU'] == found['pseudo/mIoU'] == found['seed/pred_mIoU'] == 100
    assert json.loads((tmp_path / 'w/eval/seed_test.json').read_text())['metrics']['mIoU'] == 100
    with pytest.raises(ConfigError, match='--loader is val, but .* has loaders with an evaluator for train_eval only'):
        run_test(config, checkpoint, work_dir=tmp_path / 'w', loader='val')


def test_broken_score_files(tmp_path):
    save_scores(tmp_path / 'a.npz', np.random.default_rng(0).random((3, 4, 5)).astype(np.float32), [1, 2])
    classes, scores = load_scores(tmp_path / 'a.npz', 3)
    assert classes.tolist() == [1, 2] and scores.shape == (2, 4, 5)
    with pytest.raises(DataError, match=r'a\.npz is no whole score file of 2 classes \(ValueError: classes \[1, 2\]'):
        load_scores(tmp_path / 'a.npz', 2)
    data = (tmp_path / 'a.npz').read_bytes()
    (tmp_path / 'b.npz').write_bytes(data[:-30])
    with pytest.raises(DataError, match=r'b\.npz is no whole score file'):
        load_scores(tmp_path / 'b.npz', 3)


def test_a_record_is_read_after_a_kill(tmp_path):
    records = Records(tmp_path)
    records.add('p', dict(name='a', mark='1', shape=[2, 2]))
    with open(tmp_path / '.records/p.jsonl', 'a') as stream:
        stream.write('{"name": "b", "ma')
    records.add('p', dict(name='c', mark='2', shape=[2, 2]))
    assert sorted(records.read()) == ['a', 'c']
    assert records.state('a', records.read()) == 'todo'
    assert Path(records.mask('a')).name == 'a.png'


def test_every_mask_of_the_data_set_config(project):
    config, checkpoint, root = project
    pseudo_label(config, checkpoint, root / 'pseudo', quiet=True)
    scope: dict = {}
    exec((root / 'pseudo/dataset.py').read_text(), scope)
    assert len(DATASETS.build(scope['pseudo_labels'])) == 6 and scope['classes'] == list(CLASSES)
