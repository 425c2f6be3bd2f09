"""Every config stands in its folder's metafile, names what it needs, and its numbers agree with each other."""
import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmseg.registry import DATASETS, HOOKS, TRANSFORMS
from mmseg.utils import get_classes

from mmseg_weak.models.clip import named_classes

from .conftest import CONFIGS, all_configs

FOLDERS = sorted(p for p in CONFIGS.iterdir() if p.is_dir() and not p.name.startswith('_'))
ROOT = CONFIGS.parent


def _metafile(folder: Path) -> dict:
    return yaml.safe_load((folder / 'metafile.yml').read_text(encoding='utf-8'))


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda p: p.name)
def test_folder_has_readme_and_metafile_with_every_config(folder):
    assert (folder / 'README.md').is_file() and (folder / 'metafile.yml').is_file()
    named = {m['Config'] for m in _metafile(folder)['Models']}
    assert named == {str(p.relative_to(ROOT)) for p in folder.glob('*.py')}
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))
    assert str((folder / 'metafile.yml').relative_to(ROOT)) in index['Import']


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda p: p.name)
def test_metafile_says_where_figures_come_from(folder):
    for model in _metafile(folder)['Models']:
        assert {'Supervision', 'Weights', 'Data'} <= set(model['Metadata']), model['Name']
        for result in model.get('Results') or []:
            assert result['Source'] in ('paper', 'here'), model['Name']


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda p: p.name)
def test_readme_names_only_configs_that_exist(folder):
    text = (folder / 'README.md').read_text(encoding='utf-8')
    for name in set(re.findall(r'configs/[\w./+-]+\.py', text)):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda p: p.name)
def test_readme_commands_take_the_last_checkpoint(folder):
    text = (folder / 'README.md').read_text(encoding='utf-8')
    for name, iteration in re.findall(r'(configs/[\w./+-]+\.py) [\w./$-]+/iter_(\d+)\.pth', text):
        assert Config.fromfile(str(ROOT / name)).train_cfg.max_iters == int(iteration), name


def test_recipes_of_irn_have_its_optimizer():
    """Its PolyOptimizer, which these share, gives the weight decay to SGD in the place of the momentum."""
    for path in ('cam/cam_resnet50-d16_1xb16-3.3k_voc12aug.py', 'irn/irn_resnet50_1xb32-1k_voc12aug.py',
                 'affinitynet/affinitynet_resnet38d_1xb8-10.6k_voc12aug.py',
                 'seam/seam_resnet38d_1xb8-10.6k_voc12aug.py', 'bas/bas_resnet50-d16_4xb4-6.6k_voc12aug.py'):
        optimizer = Config.fromfile(str(CONFIGS / path)).optim_wrapper.optimizer
        assert optimizer.momentum == optimizer.weight_decay < 1e-3, path


@pytest.mark.smoke
def test_every_config_loads_and_imports_nothing():
    # mmengine 0.10.7 takes a config with `import os` for one of its lazy kind where Python has frozen that module
    for path in all_configs():
        Config.fromfile(str(CONFIGS / path))
    for path in CONFIGS.glob('**/*.py'):
        assert not re.search(r'^(import|from) ', path.read_text(encoding='utf-8'), re.MULTILINE), path


def test_numbers_agree(config):
    loader = config.train_dataloader
    sampler = loader.sampler
    if sampler.type == 'MultiSourceSampler':
        assert sampler.batch_size == loader.batch_size
        partner = config.model.data_preprocessor.get('partner', False)
        assert bool(sampler.get('partner')) == partner
    assert config.param_scheduler[-1].end == config.train_cfg.max_iters
    size = config.model.data_preprocessor.size
    crops = [t.crop_size for t in config.train_pipeline if t.type == 'RandomCrop']
    crops = crops or [t.scale for t in config.train_pipeline if t.type == 'Resize' and not t.get('keep_ratio')]
    assert tuple(size) == tuple(crops[-1])
    text = config.pretty_text
    declared = {int(n) for n in re.findall(r'num_classes=(\d+)', text)}
    assert declared <= {config.num_classes}, declared
    if 'classes' in config:
        classes = get_classes(config.classes) if isinstance(config.classes, str) else config.classes
        assert len(classes) == config.num_classes


def test_types_are_registered(config):
    for hook in config.get('custom_hooks', []):
        assert HOOKS.get(hook.type) is not None, hook.type
    for step in (*config.train_pipeline, *config.test_pipeline):
        assert TRANSFORMS.get(step.type) is not None, step.type
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert DATASETS.get(loader.dataset.type) is not None


def test_configs_that_make_seeds_alone_score_them(tags_only_config):
    config = tags_only_config
    assert not {'train_cfg', 'optim_wrapper', 'val_cfg'} & set(config)
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    assert evaluators[0].type == 'SeedMetric'
    for loader in (config.test_dataloader, config.train_eval_dataloader):
        meta = DATASETS.get(loader.dataset.type).METAINFO
        assert len(meta['classes']) == config.model.num_classes == config.num_classes


@pytest.mark.parametrize('path', [path for path in all_configs() if 'toyworld' in path])
def test_toyworld_configs_say_what_they_are_compared_with(path):
    config = Config.fromfile(str(CONFIGS / path))
    if 'lift' not in config:  # baselines, teachers, and configs of real data sets have none
        first = Path(config.filename).name
        assert 'toyworld' not in first or first.startswith((
            'supervised', 'teacher', 'cam_', 'clip_toyworld', 'cased-image', 'clip-refer'))
        return
    assert (CONFIGS / config.lift.baseline).is_file()
    assert config.lift.measure in ('mIoU', 'seed_mIoU', 'nearest_mIoU', 'refer_mIoU')


def test_names_stand_for_the_classes_of_the_benchmark(test_only_config):
    config = test_only_config
    assert not {'train_dataloader', 'train_cfg', 'optim_wrapper'} & set(config)
    for step in config.test_pipeline:
        assert TRANSFORMS.get(step.type) is not None, step.type
    dataset = DATASETS.get(config.test_dataloader.dataset.type)
    words = config.test_evaluator if config.model.type == 'CaSED' else config.model  # which nobody names anything
    names = named_classes(words.names, words.get('background'))
    classes = dataset.METAINFO['classes']
    assert len(names.classes) == len(classes)
    if 'members' in dataset.METAINFO:  # coarse classes, found by the names of their fine ones
        groups = [[n for n, owner in zip(names.names, names.owner) if owner == k] for k in range(len(classes))]
        assert [tuple(group) for group in groups] == list(dataset.METAINFO['members'])
        return
    assert (names.classes[0] == 'background') == (classes[0] == 'background')
    renamed = dict(boat=('ship', ), diningtable=('table', ), tvmonitor=('televisionmonitor', 'monitor'),
                   aeroplane=('airplane', ))
    for ours, theirs in zip(names.classes, classes):
        ours, theirs = (''.join(name.split()) for name in (ours, theirs))
        assert ours in (theirs, *renamed.get(theirs, ())), (ours, theirs)
