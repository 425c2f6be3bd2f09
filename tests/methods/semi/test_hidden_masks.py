"""Hidden masks stay hidden: every file that a semi-supervised run opens is watched."""
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SCRIPT = '''
import json, os, sys
import mmseg_weak
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS, RUNNERS

root, segmentor, diagnose = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3] == 'True'
opened, phase = [], ['train']

def watch(event, args):
    if event == 'open' and isinstance(args[0], (str, bytes)) and 'masks' in os.fsdecode(args[0]):
        opened.append((phase[0], os.path.basename(os.fsdecode(args[0]))))

@HOOKS.register_module()
class Phase(Hook):
    def before_val_epoch(self, runner):
        phase[0] = 'val'
    def after_val_epoch(self, runner, metrics=None):
        phase[0] = 'train'

sys.addaudithook(watch)
train = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='RandomRescale', ratio_range=(0.8, 1.2)),
         dict(type='RandomCrop', crop_size=(32, 32)), dict(type='RandomFlipFields'), dict(type='PackSemiInputs')]
val = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]
shared = dict(data_root=root, classes=['a', 'b', 'c'], masks='masks')
view = dict(type='PhotometricView')
cfg = Config(dict(
    default_scope='mmseg', runner_type='WeakRunner', work_dir=root + '/work', randomness=dict(seed=0),
    model=dict(type='UniMatch', segmentor=segmentor, conf_thr=0.0, data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=(32, 32), partner=True, views=dict(strong1=view, strong2=view))),
    train_dataloader=dict(batch_size=6, num_workers=0,
        sampler=dict(type='MultiSourceSampler', batch_size=6, source_ratio=[1, 2], partner='other'),
        dataset=dict(type='SemiDataset',
            labeled=dict(type='FolderSegDataset', list_file=root + '/labeled.txt', pipeline=train, **shared),
            unlabeled=dict(type='UnlabeledDataset', list_file=root + '/unlabeled.txt', diagnose=diagnose,
                           pipeline=train, **shared))),
    val_dataloader=dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(type='FolderSegDataset', list_file=root + '/val.txt', test_mode=True, pipeline=val, **shared)),
    val_evaluator=dict(type='WeakIoUMetric', iou_metrics=['mIoU']), val_cfg=dict(type='ValLoop'),
    train_cfg=dict(type='WeakIterTrainLoop', max_iters=4, val_interval=2),
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
    default_hooks=dict(checkpoint=None, counter_seed=dict(type='CounterSeedHook')),
    custom_hooks=[dict(type='Phase'), dict(type='PseudoLabelStatsHook', interval=2),
                  dict(type='PseudoLabelSnapshotHook', count=1, times=1)],
    visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]), log_level='WARNING'))
runner = RUNNERS.build(cfg)
runner.train()
weights = {k: float(v.double().sum()) for k, v in runner.model.student.state_dict().items()}
print('RESULT' + json.dumps(dict(opened=opened, weights=weights)))
'''


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
    names = [f'{i:02d}' for i in range(10)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / 'images' / f'{name}.png')
        Image.fromarray(rng.integers(0, 3, (40, 40), dtype=np.uint8)).save(tmp_path / 'masks' / f'{name}.png')
    for part, chosen in (('labeled', names[:3]), ('unlabeled', names[3:8]), ('val', names[8:])):
        (tmp_path / f'{part}.txt').write_text('\n'.join(f'images/{n}.png masks/{n}.png' for n in chosen))
    return tmp_path


def run(folder, tiny_segmentor, diagnose: bool) -> dict:
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', SCRIPT, str(folder), json.dumps(tiny_segmentor()),
                          str(diagnose)], capture_output=True, text=True, timeout=300, check=False)
    lines = [line for line in out.stdout.splitlines() if line.startswith('RESULT')]
    assert lines, out.stderr[-2000:]
    return json.loads(lines[0][len('RESULT'):])


def test_no_hidden_mask_is_opened_and_diagnose_changes_no_weight(folder, tiny_segmentor):
    plain = run(folder, tiny_segmentor, False)
    trained = {name for phase, name in plain['opened'] if phase == 'train'}
    validated = {name for phase, name in plain['opened'] if phase == 'val'}
    assert trained == {'00.png', '01.png', '02.png'}
    assert validated == {'08.png', '09.png'}

    open_eyed = run(folder, tiny_segmentor, True)
    assert {name for _, name in open_eyed['opened']} >= {'03.png', '04.png'}
    assert open_eyed['weights'] == plain['weights']
    scalars = next((folder / 'work').glob('*/vis_data/scalars.json')).parent.parent.parent
    text = ''.join(p.read_text() for p in scalars.glob('*/vis_data/scalars.json'))
    assert '"pseudo/acc"' in text and '"pseudo/kept"' in text
