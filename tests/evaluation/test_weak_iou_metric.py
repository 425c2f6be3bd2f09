"""The metric against mmseg's own, and its record."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample

import mmseg_weak
from mmseg_weak.errors import DataError
from mmseg_weak.evaluation import WeakIoUMetric
from mmseg_weak.evaluation.weak_iou_metric import confusion_matrix, iou_per_class

CLASSES = ('sky', 'road', 'car')


def sample(pred, label, path='a.png', logits=None):
    data = SegDataSample(metainfo=dict(img_path=path))
    data.pred_sem_seg = PixelData(data=torch.as_tensor(pred)[None])
    data.gt_sem_seg = PixelData(data=torch.as_tensor(label)[None])
    if logits is not None:
        data.seg_logits = PixelData(data=logits)
    return data.to_dict()


def batch(n=1, size=(2, 2)):
    return dict(inputs=[torch.zeros(3, *size, dtype=torch.uint8) for _ in range(n)])


@pytest.fixture
def hub():
    """A fresh message hub, as a run has it."""
    name = f'test_{os.getpid()}_{np.random.default_rng().integers(1 << 40)}'
    return MessageHub.get_instance(name)


def make(tmp_path, kind=WeakIoUMetric, **kwargs):
    metric = kind(**(dict(out_dir=str(tmp_path)) if kind is WeakIoUMetric else {}), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES, palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    return metric


def test_confusion_by_hand():
    matrix = confusion_matrix(np.array([[0, 1], [2, 2]]), np.array([[0, 0], [2, 255]]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert iou_per_class(matrix).tolist() == [0.5, 0.0, 1.0]
    assert np.isnan(iou_per_class(np.zeros((2, 2)))).all()


def test_same_numbers_as_mmseg(tmp_path, hub):
    generator = torch.Generator().manual_seed(0)
    metrics = [make(tmp_path, iou_metrics=['mIoU', 'mDice', 'mFscore']),
               make(tmp_path, IoUMetric, iou_metrics=['mIoU', 'mDice', 'mFscore'])]
    for number in range(5):
        pred = torch.randint(0, 3, (9, 7), generator=generator)
        label = torch.randint(0, 3, (9, 7), generator=generator)
        label[0, :number] = 255
        for metric in metrics:
            metric.process(batch(size=(9, 7)), [sample(pred, label, f'{number}.png')])
    ours, theirs = (metric.evaluate(5) for metric in metrics)
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == pytest.approx(theirs[key], abs=0.0101) for key in ours)  # mmseg rounds to 0.01


def test_ignored_pixels_do_not_count(tmp_path, hub):
    label = np.array([[0, 255], [1, 255]])
    values = []
    for filler in (0, 2):
        metric = make(tmp_path)
        metric.process(batch(), [sample(np.array([[0, filler], [1, filler]]), label)])
        values.append(metric.evaluate(1))
    assert values[0] == values[1] and values[0]['mIoU'] == 100


def test_empty_classes_are_left_out_and_said_once(tmp_path, hub, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_weak.evaluation.weak_iou_metric.print_log', lambda text, **_: said.append(text))
    metric = make(tmp_path)
    for _ in range(2):
        metric.process(batch(), [sample(np.array([[0, 0], [1, 0]]), np.array([[0, 0], [0, 0]]))])
        assert metric.evaluate(1)['mIoU'] == 37.5  # (0.75 + 0) / 2, as mmseg counts it
    assert said == ['2 of 3 classes have no pixel in these masks. Left out of the means: car. Counted as IoU 0, '
                    'since they were predicted: road.']


def test_label_outside_the_classes_is_an_error(tmp_path, hub):
    with pytest.raises(DataError) as error:
        make(tmp_path).process(batch(), [sample(np.zeros((2, 2), int), np.array([[0, 7], [7, 255]]), 'x/7.png')])
    assert str(error.value) == ('x/7.png holds the value 7 in 2 pixels, but there are 3 classes (0 to 2) and 255 for '
                                'unlabelled; mend the mask or the class list of the dataset')


def test_mask_of_another_size_is_an_error(tmp_path, hub):
    with pytest.raises(DataError) as error:
        make(tmp_path).process(batch(), [sample(np.zeros((2, 2), int), np.zeros((4, 3), int), 'x/8.png')])
    assert str(error.value) == ('the mask of x/8.png is 3x4 and its prediction 2x2; in the test pipeline, '
                                'LoadAnnotations must come after Resize, so that the mask keeps its own size')


def test_record_and_pictures(tmp_path, hub):
    hub.update_info('iter', 9)
    hub.update_info('loop_stage', 'val')
    metric = make(tmp_path, num_pictures=1, num_worst=2)
    label = np.array([[0, 1], [1, 1]])
    for name, pred in (('good', label), ('bad', 2 - label), ('fair', np.array([[0, 1], [1, 0]]))):
        metric.process(batch(), [sample(pred, label, f'{name}.png', torch.zeros(3, 2, 2))])
    for step in (9, 19):
        hub.update_info('iter', step)
        if step == 19:
            metric.process(batch(), [sample(label, label, 'good.png')])
        metric.evaluate(3 if step == 9 else 1)
    first, second = (json.loads((tmp_path / f'iter_{step}.json').read_text()) for step in (10, 20))
    assert first['iter'] == 10 and first['classes'] == list(CLASSES)
    assert [(image['img_path'], image['mIoU']) for image in first['images']] == [
        ('good.png', 1.0), ('bad.png', pytest.approx(1 / 3)), ('fair.png', pytest.approx((1 / 2 + 2 / 3) / 2))]
    assert [(p['kind'], p['img_path']) for p in first['pictures']] == [
        ('fixed', 'good.png'), ('worst', 'bad.png'), ('worst', 'fair.png')]
    assert np.sum(first['confusion']) == 12
    assert second['iou'] == [1.0, 1.0, None]  # NaN is no JSON
    assert not (tmp_path / 'iter_10_pictures').exists()
    assert all((tmp_path / second['pictures'][0][part]).is_file() for part in ('image', 'truth', 'pred'))


SCRIPT = '''
import sys, torch, torch.distributed as dist
from mmengine.logging import MessageHub
import mmseg_weak
from mmseg_weak.evaluation import WeakIoUMetric
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
rank = int(sys.argv[1])
import mmengine.dist
dist.init_process_group('gloo', init_method='file://' + sys.argv[2], rank=rank, world_size=2)
MessageHub.get_instance('ddp')
metric = WeakIoUMetric(out_dir=sys.argv[3])
metric.dataset_meta = dict(classes=('a', 'b'))
for index in ([0, 2] if rank == 0 else [1, 0]):  # three images, the sampler fills up with the first
    s = SegDataSample(metainfo=dict(img_path=f'{index}.png'))
    s.pred_sem_seg = PixelData(data=torch.full((1, 1, 4), index % 2))
    s.gt_sem_seg = PixelData(data=torch.tensor([[[0, 0, 1, 255]]]))
    metric.process(dict(inputs=[torch.zeros(3, 1, 4, dtype=torch.uint8)]), [s.to_dict()])
print(metric.evaluate(3)['aAcc'])
dist.destroy_process_group()
'''


def test_two_ranks_equal_one(tmp_path):
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(Path(mmseg_weak.__file__).parent.parent))
    runs = [subprocess.Popen([sys.executable, '-c', SCRIPT, str(rank), str(tmp_path / 'store'), str(tmp_path)],
                             env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert [output[0].split()[-1] for output in outputs] == ['55.56', '55.56']  # 5 of 9 pixels, none counted twice
    record = json.loads((tmp_path / 'val.json').read_text())
    assert record['confusion'] == [[4, 2], [2, 1]] and len(record['images']) == 3
