"""Every method that learns from tags: a run that went on from its middle ends as one that was never stopped."""
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import TRANSFORMS

from .conftest import CONFIGS, forget_files, tags_only
from .runs import check_resume, shorten

SIDE = 64


def _learns_from_tags(path: Path) -> bool:
    text = path.read_text(encoding='utf-8')
    if 'datasets/toyworld_tags.py' in text or "type='MARS'" in text:
        return not tags_only(str(path.relative_to(CONFIGS)))
    return any(_learns_from_tags((path.parent / base).resolve()) for base in re.findall(r"'(\.[./\w+-]+_toyworld\.py)'",
                                                                                       text))


METHODS = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.glob('*/*_toyworld.py')
                 if not path.name.endswith('-tags_toyworld.py') and path.name != 'supervised-pseudo_toyworld.py'
                 and _learns_from_tags(path))


@TRANSFORMS.register_module(force=True)
class BiasTheLeft:
    """Mark the left half of a mask as biased, as ``LoadDebiasedMask`` does with a folder of ``debias``."""

    def __call__(self, results: dict) -> dict:
        biased = np.zeros_like(results['gt_seg_map'])
        biased[:, :biased.shape[1] // 2] = 1
        results['gt_biased_map'] = biased
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_biased_map']
        return results


def _small(path: str, work_dir: Path) -> Config:
    """A config's run of four iterations that comes through all stages of its method, on eight images of ToyWorld."""
    config = Config.fromfile(str(CONFIGS / path))
    forget_files(config.model)
    model, data = config.model, config.train_dataloader.dataset.dataset
    pipeline = [step for step in data.pipeline if step.type not in ('LoadImage', 'LoadDebiasedMask')]
    if model.type == 'MARS':
        pipeline.insert(0, dict(type='BiasTheLeft'))
    for step in pipeline:
        if step['type'] == 'RandomCrop':
            step['crop_size'] = (SIDE, SIDE)
    config.train_dataloader.dataset.dataset = dict(
        type='ToyWorldDataset', num_images=8, split='train', pipeline=pipeline,
        supervision=('tags', 'mask') if model.type == 'MARS' else ('tags', ))
    model.data_preprocessor.size = (SIDE, SIDE)
    if 'cam_checkpoint' in model:
        model.cam_checkpoint = None
    if 'begin' in model:  # stages begin after iterations 0, 1, ...
        later = sorted({start for start in model.begin.values() if start > 0})
        model.begin = {key: later.index(start) if start > 0 else start for key, start in model.begin.items()}
    if 'refine_begin' in model:
        model.refine_begin = 1
    if model.type == 'PatchLearningClassifier':
        model.restart_classifier, model.stage_starts = True, (0, 0.25, 1.0)  # before the middle, and not again
    if model.type == 'ESOLClassifier':
        model.phases = (0.25, 0.75)
    shorten(config, work_dir)
    return config


@pytest.mark.slow
@pytest.mark.parametrize('path', METHODS)
def test_resumed_run_ends_as_the_whole_one(path, tmp_path, unformatted_configs):
    check_resume(lambda work_dir: _small(path, work_dir), tmp_path)


def test_every_room_of_tags_is_resumed():
    rooms = {Path(path).parent.name for path in METHODS}
    assert rooms >= {'afa', 'affinitynet', 'bas', 'cam', 'doei', 'esol', 'excel', 'irn', 'mars', 'mctformer', 'ppl',
                     'sat', 'seam', 'toco', 'usage', 'weclip'}, sorted(rooms)
