"""Methods with names and sentences: a run that went on from its middle ends as one that was never stopped."""
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import RUNNERS

from mmseg_weak.compat import load_checkpoint_file

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ITERS = 4
TINY_RESNET = dict(depth=18, stem_channels=8, base_channels=8, init_cfg=None)
# MaskCLIP+ labels the pixels itself from the third iteration on; IRNet's boundaries get a small backbone
CASES = {
    'maskclip/maskclip-plus_toyworld.py': {'model.self_train_from': 2},
    'clip_dinoiser/clip_dinoiser_toyworld.py': {},
    'tris/tris_toyworld.py': {},
    'tris/tris-stage2_toyworld.py': {},
    'tris/tris-irn_r50_1xb32-4k_refcoco.py': {
        'model.backbone': TINY_RESNET, 'model.heads.in_channels': (8, 8, 16, 32, 64),
        'model.data_preprocessor.size': (64, 64)},
}


def _small(path: str, work_dir: Path, resume: bool = False) -> Config:
    """A config's run of four iterations of two images of ToyWorld, without validation."""
    config = Config.fromfile(str(CONFIGS / path))
    config.merge_from_dict(CASES[path])
    loader = config.train_dataloader
    data = loader.dataset.dataset
    for step in data.pipeline:
        if step.type == 'RandomCrop':
            step.crop_size = config.model.data_preprocessor.size
    if data.type == 'ReferringDataset':  # masks that refer-label would have written
        data = dict(type='ToyWorldReferring', split='train', with_masks=True, pipeline=data.pipeline)
    loader.dataset.dataset = dict(data, num_images=6)
    loader.batch_size = loader.sampler.batch_size = 2
    loader.num_workers, loader.persistent_workers = 0, False
    config.train_cfg.update(max_iters=ITERS, val_interval=ITERS + 1)
    for scheduler in config.param_scheduler:
        scheduler.end = ITERS
    for part in ('val', 'test'):
        config[f'{part}_dataloader'] = config[f'{part}_cfg'] = config[f'{part}_evaluator'] = None
    config.default_hooks.checkpoint.update(interval=ITERS // 2, max_keep_ckpts=-1)
    config.update(work_dir=str(work_dir), launcher='none', resume=resume,
                  experiment_name=f'{Path(path).stem}_{work_dir.name}')
    return config


def _same(left: Any, right: Any, where: str) -> None:
    """Two parts of checkpoints are equal, bit for bit."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key, value in left.items():
            _same(value, right[key], f'{where}.{key}')
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for number, (one, other) in enumerate(zip(left, right)):
            _same(one, other, f'{where}.{number}')
    else:
        assert left == right, where


@pytest.mark.slow
@pytest.mark.parametrize('path', CASES)
def test_resumed_run_ends_as_the_whole_one(path, tmp_path, unformatted_configs):
    RUNNERS.build(_small(path, tmp_path / 'whole')).train()
    (tmp_path / 'parts').mkdir()
    shutil.copy(tmp_path / f'whole/iter_{ITERS // 2}.pth', tmp_path / 'parts')
    torch.rand(17)  # what happens in between must not matter
    RUNNERS.build(_small(path, tmp_path / 'parts', resume=True)).train()
    middle, whole, parts = (load_checkpoint_file(tmp_path / name) for name in (
        f'whole/iter_{ITERS // 2}.pth', f'whole/iter_{ITERS}.pth', f'parts/iter_{ITERS}.pth'))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        _same(whole[part], parts[part], part)
    assert any(not torch.equal(value, middle['state_dict'][key]) for key, value in whole['state_dict'].items())
