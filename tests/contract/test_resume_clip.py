"""Methods with names and sentences: a run that went on from its middle ends as one that was never stopped."""
from pathlib import Path

import pytest
from mmengine.config import Config

from .runs import check_resume, shorten

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
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


def _small(path: str, work_dir: Path) -> Config:
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
    shorten(config, work_dir)
    return config


@pytest.mark.slow
@pytest.mark.parametrize('path', CASES)
def test_resumed_run_ends_as_the_whole_one(path, tmp_path, unformatted_configs):
    check_resume(lambda work_dir: _small(path, work_dir), tmp_path)
