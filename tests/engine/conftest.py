"""A whole run on a few noise images: config file, images on disk, stock tools to run it with."""
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

CONFIG = '''
_base_ = ['{base}']
size, classes = (32, 32), ['a', 'b', 'c']
norm_cfg = {norm}
segmentor = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4, out_indices=(0, 1, 2, 3),
                  strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=norm_cfg),
    decode_head=dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, num_classes=3,
                     dropout_ratio={dropout}, norm_cfg=norm_cfg, align_corners=False,
                     loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
labeled_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                    dict(type='RandomCrop', crop_size=size), dict(type='RandomFlip', prob=0.5),
                    dict(type='PackSegInputs')]
plain_pipeline = [dict(type='LoadImageFromFile'), dict(type='RandomCrop', crop_size=size),
                  dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
labeled = dict(type='FolderSegDataset', images='{data}/images', masks='{data}/masks', classes=classes,
               pipeline={labeled_pipeline})
unlabeled = dict(type='UnlabeledDataset', images='{data}/plain', classes=classes, pipeline=plain_pipeline)
val_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                      dataset=dict(type='FolderSegDataset', images='{data}/images', masks='{data}/masks',
                                   classes=classes, pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
train_cfg = dict(type='WeakIterTrainLoop', max_iters={iters}, val_interval={val_interval})
val_cfg, test_cfg = dict(type='ValLoop'), dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end={iters}, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval={interval}, max_keep_ckpts=-1), logger=dict(interval=1),
                     visualization=dict(_delete_=True, type='SegVisualizationHook'))
'''
SEMI = '''
train_dataloader = dict(batch_size={batch}, num_workers=0,
                        sampler=dict(type='MultiSourceSampler', batch_size={batch}, source_ratio=[1, 1]),
                        dataset=dict(type='SemiDataset', labeled=labeled, unlabeled=unlabeled))
model = dict(type='MeanTeacher', segmentor=segmentor, mix='cutout', view='strong1',
             data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=size,
                                    views=dict(strong1=dict(type='PhotometricView'))))
custom_hooks = [dict(type='EMATeacherHook')]
'''
SUPERVISED = '''
train_dataloader = dict(batch_size={batch}, num_workers=0, sampler=dict(type='RunSampler'),
                        dataset=dict(type='SeededDataset', dataset=labeled))
model = dict(**segmentor, data_preprocessor=dict(
    type='SegDataPreProcessor', mean=[127.] * 3, std=[60.] * 3, bgr_to_rgb=True, pad_val=0, seg_pad_val=255,
    size=size))
'''


@pytest.fixture(autouse=True)
def _unformatted_configs(unformatted_configs):
    """See ``tests/conftest.py``."""


@pytest.fixture
def toy_data(tmp_path: Path) -> Path:
    """Folder with ``images`` and ``masks`` (6 of them) and ``plain`` images (9)."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'data'
    for name, count in (('images', 6), ('plain', 9)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(256, size=(40, 44, 3), dtype=np.uint8)).save(folder / name / f'{i}.png')
    (folder / 'masks').mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(3, size=(40, 44), dtype=np.uint8)).save(folder / 'masks' / f'{i}.png')
    return folder


@pytest.fixture
def toy_config(tmp_path: Path, toy_data: Path) -> Callable[..., Path]:
    """Function that writes the config of a run and returns its path."""
    def write(kind: str = 'semi', name: str = 'toy', extra: str = '', **settings) -> Path:
        values = dict(base=(ROOT / 'configs/_base_/default_runtime.py').as_posix(), data=toy_data.as_posix(), iters=8,
                      interval=2, val_interval=100, batch=4, norm="dict(type='BN')", dropout=0.1,
                      labeled_pipeline='labeled_pipeline') | settings
        text = CONFIG + (SEMI if kind == 'semi' else SUPERVISED) + extra
        for key, value in values.items():
            text = text.replace('{' + key + '}', str(value))
        path = tmp_path / f'{name}.py'
        path.write_text(text)
        return path
    return write


@pytest.fixture
def stock_tool() -> Callable[[str], Path]:
    """Function that returns mmseg's own ``train.py`` or ``test.py``, from the wheel."""
    def find(name: str) -> Path:
        import mmseg
        return Path(mmseg.__file__).parent / '.mim' / 'tools' / name
    return find


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess]:
    """Function that runs a script in a fresh interpreter that finds the package, one thread."""
    def run(*args, timeout: float = 240, start_only: bool = False, **environment):
        env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1', **environment)
        command = [sys.executable, *map(str, args)]
        if start_only:
            return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)
    return run
