"""The verbs refer and refer-label: what they say."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from mmseg_weak import cli

CONFIG = """
default_scope = 'mmseg'
clip = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None)
test_pipeline = [dict(type='LoadImage'), dict(type='Resize', scale=(32, 32), keep_ratio=False),
                 dict(type='PackReferring')]
model = dict(type='TRIS', clip=dict(clip, attention='vanilla'), judge=clip, head=dict(channels=8), judge_px=32,
             data_preprocessor=dict(type='MultiBranchDataPreprocessor', mean=(120., 110., 100.), std=(60., 60., 60.)))
train_dataloader = dict(dataset=dict(type='ToyWorldReferring', num_images=2, size=32, pipeline=[]))
"""


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(0)
    config, weights = tmp_path / 'tiny.py', tmp_path / 'tiny.pth'
    config.write_text(CONFIG)
    with DefaultScope.overwrite_default_scope('mmseg'):
        torch.save(dict(state_dict=MODELS.build(Config.fromfile(config).model).state_dict()), weights)
    return config, weights


def run(capsys, *args):
    """Exit code, stdout, stderr of a call in this process."""
    with pytest.raises(SystemExit) as done:
        cli.main([*map(str, args)])
    streams = capsys.readouterr()
    return done.value.code, streams.out, streams.err


def test_refer(capsys, trained, tmp_path):
    for number in range(22):
        cv2.imwrite(str(tmp_path / f'{number:02d}.png'), np.zeros((16, 16, 3), np.uint8))
    (tmp_path / 'bad.png').write_bytes(b'no image')
    out = tmp_path / 'out'
    code, text, _ = run(capsys, 'refer', tmp_path, '--text', 'a ball', '--config', trained[0], '--checkpoint',
                        trained[1], '--out', out, '--device', 'cpu')
    lines = text.splitlines()
    assert code == 0 and lines[0].startswith('Skipped: ') and 'bad.png' in lines[0]
    assert lines[1].startswith('00.png: ') and lines[1].endswith(' % of the image') and lines[21] == 'and 2 more'
    assert lines[22:] == ['22 images searched, 1 cannot be read.', f'Written: {out}',
                          f'Next: look at {out}/overlays']


def test_refer_label(capsys, trained, tmp_path):
    out = tmp_path / 'out'
    code, text, _ = run(capsys, 'refer-label', *trained, 'train_dataloader.dataset.num_images=1', '--out', out,
                        '--no-crf', '--device', 'cpu')
    lines = text.splitlines()
    count = len(list((out / 'masks').iterdir()))
    assert code == 0
    assert lines[0].startswith(f'{count} objects labelled, 0 were there already, 0 images cannot be read; an object ')
    assert lines[1:] == [f'Written: {out}: objects.json (masks, for stage 2), seeds.json (for TRISWalk)',
                         'Next: look at masks/, then train a config of stage 2 on them: configs/tris/README.md']
    code, text, err = run(capsys, 'refer-label', *trained, '--out', out, '--walk', trained[0])
    assert (code, text) == (2, '')
    assert err == 'Error: a walk needs both: --walk, the config of TRISWalk, and --walk-checkpoint, its weights.\n'
