"""SeedMetric, PseudoMaskMetric, conventions, and thresholds chosen without masks."""
import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import ConfigError, DataError
from mmseg_weak.evaluation import class_table
from mmseg_weak.evaluation import seed_scores as s
from mmseg_weak.evaluation import threshold_choice as c
from mmseg_weak.visualization import mask_png

CLASSES = ['background', 'cat', 'dog']
EDGES = [i / 100 for i in range(100)]


def make_sample(scores, truth, tags=None, name='a.jpg', pred=None):
    scores = torch.as_tensor(scores, dtype=torch.float32)
    sample = SegDataSample(metainfo=dict(img_path=name))
    pred = scores.argmax(0) if pred is None else torch.as_tensor(pred)
    sample.set_data(dict(seg_logits=PixelData(data=scores), pred_sem_seg=PixelData(data=pred[None]),
                         gt_sem_seg=PixelData(data=torch.as_tensor(truth)[None])))
    if tags is not None:
        sample.set_data(dict(gt_image_label=torch.tensor(tags, dtype=torch.uint8)))
    return sample


def evaluate(metric, samples, classes=CLASSES):
    evaluator = Evaluator([METRICS.build(metric) if isinstance(metric, dict) else metric])
    evaluator.dataset_meta = dict(classes=classes)
    for sample in samples:
        evaluator.process([sample], dict(inputs=[None]))
    return evaluator.evaluate(len(samples))


def one():
    """One row of four pixels: background, cat, cat, and a dog that no tag names."""
    scores = torch.tensor([[0.3, 0.3, 0.3, 0.3], [0.1, 0.6, 0.4, 0.2], [0.0, 0.9, 0.1, 0.8]])[:, None]
    return scores, [[0, 1, 1, 2]]


def test_seed_metric_by_hand(tmp_path):
    metric = dict(type='SeedMetric', thresholds=[0.05, 0.3, 0.5], out_dir=str(tmp_path))
    found = evaluate(metric, [make_sample(*one(), tags=[1, 0])])
    # cat alone may win; at 0.3 it takes pixels 1 and 2; the dog becomes background: 1/2, 2/2, 0/1
    assert found['seed/thr'] == 0.3 and found['seed/mIoU'] == pytest.approx(100 * (0.5 + 1 + 0) / 3)
    assert found['seed/FP'] == pytest.approx(100 * 0.5 / 3) and found['seed/FN'] == pytest.approx(100 / 3)
    # its own prediction (argmax over all planes): dog at 1, cat at 2, dog at 3
    assert found['seed/pred_mIoU'] == pytest.approx(100 * (1 + 0.5 + 0.5) / 3)
    record = json.loads((tmp_path / 'seed_val.json').read_text())
    assert record['mIoU'] == pytest.approx([100 * (0 + 2 / 4 + 0) / 3, 50, 100 * (1 / 3 + 1 / 2 + 0) / 3])
    found = evaluate(dict(metric, use_tags=False), [make_sample(*one(), tags=[1, 0])])
    assert found['seed/mIoU'] == pytest.approx(100 * (1 + 0.5 + 0.5) / 3)


def test_power_is_the_score_one_minus_max(tmp_path):
    torch.manual_seed(0)
    cams, truth = torch.rand(2, 8, 9), torch.randint(3, (8, 9))
    for power in (1, 4):
        found = evaluate(dict(type='SeedMetric', background='power', thresholds=[power], out_dir=str(tmp_path)),
                         [make_sample(torch.cat([torch.zeros(1, 8, 9), cams]), truth)])
        planes = torch.cat([(1 - cams.amax(0, keepdim=True)) ** power, cams])
        table = s.cross_table(planes.argmax(0), truth, 3)
        expected = s.iou_scores(s.pseudo_confusion(table), 'union', percent=True)['miou']
        assert found['seed/mIoU'] == pytest.approx(float(expected)) and found['seed/power'] == power
    both = evaluate(dict(type='SeedMetric', background='power', thresholds=[1, 4], out_dir=str(tmp_path)),
                    [make_sample(torch.cat([torch.zeros(1, 8, 9), cams]), truth)])
    assert both['seed/mIoU'] >= found['seed/mIoU']
    assert json.loads((tmp_path / 'seed_val.json').read_text())['values'] == [4, 1]


def test_seed_metric_says_what_is_wrong(tmp_path):
    scores, truth = one()
    metric = dict(type='SeedMetric', out_dir=str(tmp_path))
    bad = scores.clone()
    bad[1, 0, 2] = float('nan')
    with pytest.raises(DataError, match=r'^x\.jpg: 1 of 8 scores of the seeds are NaN'):
        evaluate(metric, [make_sample(bad, truth, name='x.jpg', pred=[[0, 0, 0, 0]])])
    with pytest.raises(DataError, match=r'a\.jpg: the scores lie between 0 and 9, .* SeedMetric\(softmax=True\)'):
        evaluate(metric, [make_sample(scores * 10, truth)])
    assert 0 < evaluate(dict(metric, softmax=True), [make_sample(scores * 10, truth)])['seed/mIoU'] < 100
    with pytest.raises(DataError, match=r'a\.jpg has 3 tags and scores of 2 foreground classes'):
        evaluate(metric, [make_sample(scores, truth, tags=[1, 0, 1])])
    plain = make_sample(scores, truth)
    del plain.gt_sem_seg
    with pytest.raises(DataError, match=r'a\.jpg came without a mask; SeedMetric needs'):
        evaluate(metric, [plain])
    with pytest.raises(ConfigError, match="background='square' of SeedMetric is none of constant, power"):
        METRICS.build(dict(metric, background='square'))


def test_all_zero_maps_and_no_tags_are_background(tmp_path):
    scores = torch.zeros(3, 1, 4)
    found = evaluate(dict(type='SeedMetric', out_dir=str(tmp_path), mean='present'),
                     [make_sample(scores, [[0, 0, 1, 255]], tags=[1, 0]), make_sample(scores, [[0] * 4], tags=[0, 0])])
    assert found['seed/mIoU'] == pytest.approx(100 * (6 / 7 + 0) / 2) and found['seed/thr'] == 0


def test_an_absent_class_is_said_once(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_weak.evaluation.seed_metric.print_log', lambda text, **_: said.append(text))
    metric = METRICS.build(dict(type='SeedMetric', out_dir=str(tmp_path)))
    scores, _ = one()
    for _ in range(2):
        evaluate(metric, [make_sample(scores, [[0, 1, 1, 1]], tags=[1, 0])])
    assert [text for text in said if 'no pixel' in text] == [
        '1 of 3 classes have no pixel in these masks and are left out of the mean unless predicted: dog.']


def test_conventions_by_hand():
    pred, truth = torch.tensor([0, 1, 255, 255, 1]), torch.tensor([0, 1, 1, 0, 0])
    table = s.cross_table(pred, truth, 3)
    found = class_table.conventions(table)
    assert found['drop']['union'] == pytest.approx(100 * (1 / 2 + 1 / 2) / 2)
    assert found['background']['union'] == pytest.approx(100 * (2 / 4 + 1 / 3) / 2)
    assert found['wrong']['union'] == pytest.approx(100 * (1 / 3 + 1 / 3) / 2)  # unknown widens the union alone
    assert found['wrong']['all'] == pytest.approx(100 * (1 / 3 + 1 / 3) / 3)
    rows = class_table.class_rows(s.pseudo_confusion(table, 'wrong'), CLASSES)
    assert rows[0]['recall'] == pytest.approx(100 / 3) and rows[0]['precision'] == 100
    assert rows[2] == {'class': 'dog', 'IoU': None, 'FP': None, 'FN': None, 'precision': None, 'recall': None,
                       'pixels': 0}
    assert class_table.format_class_rows(rows).splitlines()[3].split() == ['dog', '-', '-', '-', '-', '-', '0']


def test_pseudo_mask_metric(tmp_path):
    scores, truth = one()
    sample = make_sample(scores, truth, name=str(tmp_path / 'images/a.jpg'), pred=[[0, 1, 255, 255]])
    metric = dict(type='PseudoMaskMetric', out_dir=str(tmp_path))
    assert evaluate(metric, [sample])['pseudo/mIoU'] == pytest.approx(100 * (1 / 3 + 1 / 2 + 0) / 3)
    assert evaluate(dict(metric, unknown='drop'), [sample])['pseudo/mIoU'] == 100
    assert evaluate(metric, [sample])['pseudo/unknown'] == 50
    with pytest.raises(ConfigError, match="unknown='x' of PseudoMaskMetric is none of drop, background, wrong"):
        METRICS.build(dict(metric, unknown='x'))
    masks = tmp_path / 'masks'
    masks.mkdir()
    with pytest.raises(DataError, match=r'images/a\.jpg has no pseudo mask in'):
        evaluate(dict(metric, folder=str(masks)), [sample])
    (masks / 'a.png').write_bytes(mask_png(np.array([[0, 1, 1, 2]], np.uint8)))
    assert evaluate(dict(metric, folder=str(masks)), [sample])['pseudo/mIoU'] == 100


def world(count=6, size=40, noise=0.05, seed=0):
    """Images of a square whose scores are about 0.7 inside and 0.2 outside: every sound rule picks between."""
    rng = np.random.default_rng(seed)
    cams, tags = np.zeros((count, 2, size, size), np.float32), np.zeros((count, 2), bool)
    for i in range(count):
        which = i % 2
        tags[i, which] = True
        inside = np.zeros((size, size), bool)
        inside[8:30, 8:30] = True  # 30 % of the image
        cams[i, which] = np.clip(np.where(inside, 0.7, 0.2) + noise * rng.standard_normal((size, size)), 0, 1)
    return torch.from_numpy(cams), torch.from_numpy(tags)


@pytest.mark.parametrize('rule', c.RULES)
def test_rules_find_the_gap(rule):
    cams, tags = world()
    counts = c.bin_counts(cams, EDGES, tags)
    assert counts.shape == (6, 101, 2) and counts.sum((1, 2)).tolist() == [1600] * 6
    assert 0.25 < EDGES[c.choose_threshold(rule, counts, tags, EDGES)] < 0.6
    more = torch.cat([counts, c.bin_counts(torch.rand(2, 2, 40, 40), EDGES)])  # images without tags do not matter
    without = torch.cat([tags, torch.zeros(2, 2, dtype=torch.bool)])
    assert c.choose_threshold(rule, more, without, EDGES) == c.choose_threshold(rule, counts, tags, EDGES)


def test_counts_agree_with_the_scored_histogram():
    cams, tags = world(2)
    truth = torch.randint(3, (2, 40, 40))
    scored = s.seed_histogram(cams, truth, EDGES, tags)
    assert torch.equal(c.bin_counts(cams, EDGES, tags).sum(0), scored.sum(2))
    share = c.foreground_share(c.bin_counts(cams, EDGES, tags))[:, 20]
    assert share.tolist() == [float((cams[i].amax(0) > 0.2).double().mean()) for i in range(2)]


def test_area_prior_moves_the_threshold():
    cams, tags = world(noise=0.15)
    counts = c.bin_counts(cams, EDGES, tags)
    picked = [EDGES[c.choose_threshold('area', counts, tags, EDGES, prior)] for prior in (0.05, 0.3, 0.8)]
    assert picked[0] > picked[1] > picked[2]
    with pytest.raises(ConfigError, match='area_prior=30; the share of an image'):
        c.choose_threshold('area', counts, tags, EDGES, 30)


def test_rules_say_what_is_wrong():
    cams, tags = world(2)
    counts = c.bin_counts(cams, EDGES, tags)
    with pytest.raises(ConfigError, match="there is no rule 'otsu' for thresholds; choose one of consistency, area"):
        c.choose_threshold('otsu', counts, tags, EDGES)
    with pytest.raises(DataError, match="none of 2 images has a tag, so the rule 'area' has nothing to look at"):
        c.choose_threshold('area', counts, tags & False, EDGES)
    with pytest.raises(DataError, match='1 of 6400 scores are NaN'):
        cams[0, 0, 0, 0] = float('nan')
        c.bin_counts(cams, EDGES)
