"""The localiser through a whole run: CUB's files, crops, box metrics, a checkpoint that predicts the same."""
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import RUNNERS

from mmseg_weak.datasets import ToyWorldDataset
from mmseg_weak.datasets.toyworld import senses

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


@pytest.fixture
def cub(tmp_path):
    """Eight scenes as a small CUB-200-2011 of three classes."""
    world = ToyWorldDataset(num_images=40, size=64)
    names = ('images', 'image_class_labels', 'train_test_split', 'bounding_boxes', 'classes')
    tables = {name: [] for name in names}
    tables['classes'] = [f'{c} {c:03d}.Bird_{c}' for c in (1, 2, 3)]
    number = 0
    for i in range(40):
        boxes, labels = senses.boxes(world.draw(i))
        if number == 8 or labels[0] > 3:
            continue
        number += 1
        (tmp_path / 'images').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / f'{number}.png'), world.draw(i).render())
        x0, y0, x1, y1 = boxes[0]
        for name, row in zip(names, (f'{number}.png', labels[0], number % 2, f'{x0} {y0} {x1 - x0} {y1 - y0}')):
            tables[name].append(f'{number} {row}')
    for name, lines in tables.items():
        (tmp_path / f'{name}.txt').write_text('\n'.join(lines))
    return tmp_path


@pytest.mark.slow
def test_localiser_through_the_runner(cub, tmp_path):
    cfg = Config.fromfile(CONFIGS / 'bas' / 'bas-loc_resnet50_1xb32-22.5k_cub200.py')
    cfg.model.update(num_classes=4, feature_channels=16, in_channels=32, mid_channels=8,
                     test_cfg=dict(topk=3, box_thr=0.3, crop=48, ten_crop=True))
    cfg.model.backbone.update(depth=18, base_channels=4, init_cfg=None)
    cfg.model.data_preprocessor.size = (48, 48)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        data = loader.dataset.get('dataset', loader.dataset)
        data.data_root = str(cub)
        data.pipeline[1].scale = (64, 64)
        if 'sampler' in loader and 'batch_size' in loader.sampler:
            loader.sampler.batch_size = 2
            data.pipeline[2].crop_size = (48, 48)
    cfg.train_cfg.update(max_iters=4, val_interval=4)
    cfg.param_scheduler[0].update(milestones=[3], end=4)
    cfg.default_hooks.checkpoint.interval = 4
    cfg.update(work_dir=str(tmp_path / 'run'), launcher='none', experiment_name=tmp_path.name)
    runner = RUNNERS.build(cfg)
    runner.train()
    rates = sorted({round(group['lr'], 8) for group in runner.optim_wrapper.optimizer.param_groups})
    assert rates == [1e-4, 2e-4, 1e-3, 2e-3]
    first = runner.test()
    assert {'loc/GT-known', 'loc/Top-1 Loc', 'loc/Top-5 Cls', 'loc/MaxBoxAcc', 'loc/MaxBoxAccV2'} <= set(first)
    assert first['loc/Top-5 Cls'] == 100  # of three classes

    state = torch.load(tmp_path / 'run' / 'iter_4.pth', weights_only=True)['state_dict']
    torch.nn.init.zeros_(runner.model.generator.weight)
    runner.model.load_state_dict(state)
    assert runner.test() == first
