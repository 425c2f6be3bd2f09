"""Every config of the project, small enough for a step."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.models.clip.index_file import write_index
from mmseg_weak.models.segmentors import Localizer, TagSegmentor

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def all_configs() -> list[str]:
    """Paths of the configs that a person runs, relative to configs/."""
    return sorted(str(p.relative_to(CONFIGS)) for p in CONFIGS.glob('*/*.py') if not p.parent.name.startswith('_'))


def test_only(path: str) -> bool:
    """Whether nothing is trained: the config evaluates class names."""
    text = (CONFIGS / path).read_text(encoding='utf-8')
    base = re.search(r"_base_ = '\./([^']+)'", text)  # of a variant, in the same folder
    return '_base_/datasets/open_vocab/' in text or bool(base and test_only(str(Path(path).parent / base.group(1))))


def tags_only(path: str) -> bool:
    """Whether nothing is trained and seeds are made from tags."""
    return 'train_dataloader = None' in (CONFIGS / path).read_text(encoding='utf-8')


test_only.__test__ = False


@pytest.fixture(autouse=True)
def _middle_of_a_run():
    """Let the models think that they are half through a run, past every warm-up."""
    from mmengine.logging import MessageHub
    hub = MessageHub.get_current_instance()
    before = dict(hub.runtime_info)
    for key, value in dict(iter=500, max_iters=1000, iters_per_epoch=50).items():
        hub.update_info(key, value)
    yield
    hub.runtime_info.clear()
    hub.runtime_info.update(before)


@pytest.fixture(params=[path for path in all_configs() if not test_only(path) and not tags_only(path)])
def config(request) -> Config:
    """One config that trains after another; its file name is ``config.filename``."""
    return Config.fromfile(str(CONFIGS / request.param))


@pytest.fixture(params=[path for path in all_configs() if test_only(path)])
def test_only_config(request) -> Config:
    """One config without training after another."""
    return Config.fromfile(str(CONFIGS / request.param))


@pytest.fixture(params=[path for path in all_configs() if tags_only(path)])
def tags_only_config(request) -> Config:
    """One config without training that wants tags after another."""
    return Config.fromfile(str(CONFIGS / request.param))


def random_index(model, path: Path) -> Path:
    """The file in which a model looks things up, with random entries for its names."""
    generator = torch.Generator().manual_seed(0)
    kind = type(model).__name__.lower()

    def rows(count: int, width: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(count, width, generator=generator), dim=1)
    if path.is_file():
        return path
    if kind == 'reco':
        names = [*model.names.names, *model.same_as.values()]
        write_index(path, kind, dict(references=rows(len(names), 96), **model.probes()), dict(names=names),
                    dict(settings=model.settings()))
    elif kind == 'ovdiff':
        names, tensors = list(model.names.names), model.probes()
        for space in [key.removesuffix('.probe') for key in tensors]:
            for part in (f'{space}.fg', f'{space}.bg'):
                tensors[part] = rows(2 * len(names), 96)
                tensors[f'{part}_counts'] = torch.full((len(names), ), 2)
        write_index(path, kind, tensors, dict(names=names), {})
    else:
        captions = ['a ball on sand', 'two balls', 'a drum in a meadow', 'a drum']
        write_index(path, kind, dict(embeddings=rows(4, 64), clip=model.probe()), dict(captions=captions), {})
    return path


@pytest.fixture
def small_open_vocab(tmp_path):
    """Function: build an open-vocabulary config's model on random towers of ToyWorld's size, windows of 32 pixels."""
    def build(config: Config, seed: int = 0):
        torch.manual_seed(seed)
        model = config.model.copy()
        forget_files(model)
        model.clip.update(name='toyworld_clip', cache_dir=None, templates='name')
        for part, size in dict(short_side_px=48, crop_px=32, stride_px=16, multiple_px=8).items():
            if model.test_cfg.get(part):
                model.test_cfg[part] = size
        _shrink_vits(model)
        if model.get('picture_px'):
            model.picture_px = 32
        if model.get('extractors'):
            _shrink_extractors(model)
        built = MODELS.build(model)
        if model.get('index'):
            built.index = random_index(built, tmp_path / 'index')
        return built
    return build


def _shrink_extractors(model) -> None:
    """OVDiff's feature spaces on pictures of 32 pixels; a diffusion model is no part of a test."""
    model.extractors = [one for one in model.extractors if one.type != 'DiffusionQueries']
    for one in model.extractors:
        one.update(dict(size_px=32) if one.type == 'CLIPKeys' else dict(short_side_px=32, long_side_px=64))
        if one.get('backbone'):
            one.backbone.update(model_name='toyworld_vit', out_indices=(5, ))
    model.windows, model.clip_px = ((32, 16), ), 32


def build_small(config: Config):
    """A config's model for crops of 64 pixels (70 where patches are 14 pixels), and that size."""
    torch.manual_seed(0)
    model = config.model.copy()
    side = 70 if 'patch_size=14' in config.pretty_text.replace("'", '').replace(' ', '') else 64
    if model.get('data_preprocessor'):
        model.data_preprocessor = dict(model.data_preprocessor, size=(side, side))
    forget_files(model)
    if isinstance(model.get('clip'), dict):  # ESOL has a number of that name
        for part in filter(None, (model.clip, model.get('judge'))):
            part.update(name='toyworld_clip', cache_dir=None, templates='name')
        _shrink_vits(model)
    return revert_sync_batchnorm(MODELS.build(model)), side


@pytest.fixture
def small_model():
    """The function :func:`build_small`."""
    return build_small


def _shrink_vits(model) -> None:
    """Networks beside CLIP get the patches of ToyWorld's towers."""
    inner = [(model.get(part) or {}).get('backbone') for part in ('found', 'sam')]
    for part in (model.get('proxy'), model.get('encoder'), model.get('dino'), *inner):
        if part and part.type == 'TimmViT':
            part.update(model_name='toyworld_vit', out_indices=(5, ))
    if model.get('sam') and model.sam.type == 'SAM':
        arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32, global_attn_indexes=[1])
        model.sam.update(arch=arch, img_size=64, window_size=2, out_channels=32)


def forget_files(node) -> None:
    """Take out the pretrained files, which a test must not need."""
    if isinstance(node, dict):
        for key in ('init_cfg', 'pretrained', 'checkpoint', 'attributes'):
            if key in node:
                node[key] = None
        for value in node.values():
            forget_files(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            forget_files(value)


def random_batch(model, side: int, seed: int = 0) -> dict:
    """A random training batch of the branches that a model's preprocessor splits."""
    generator = torch.Generator().manual_seed(seed)
    plain, tagged = not hasattr(model, 'semi_loss'), isinstance(model, TagSegmentor)
    ahead = getattr(model, 'ahead', None)
    labelled = 2 * (1 + ahead.steps if ahead is not None and ahead.mode == 'wide' else 1)
    unlabelled = 0 if plain else labelled * (2 if getattr(model.data_preprocessor, 'partner', False) else 1)
    classes = model.num_classes
    inputs, samples = [], []
    for i in range(labelled + unlabelled):
        meta = dict(img_shape=(side, side), ori_shape=(side, side), img_path=f'{i}.png')
        if not plain:
            meta['source'] = 'sup' if i < labelled else 'unsup'
        sample = SegDataSample(metainfo=meta)
        if tagged:
            tags = torch.randint(2, (classes - 1,), dtype=torch.uint8, generator=generator)
            sample.set_data(dict(gt_image_label=tags * (i > 0)))  # the first image shows the background alone
        elif isinstance(model, Localizer):
            label = torch.randint(classes - 1, (), generator=generator)
            sample.set_data(dict(gt_image_label=torch.eye(classes - 1, dtype=torch.uint8)[label]))
        if i < labelled and (not tagged or model.learns_from_masks) and not isinstance(model, Localizer):
            sample.gt_sem_seg = PixelData(data=torch.randint(classes, (1, side, side), generator=generator))
        if getattr(model, 'refers', False):
            said = ['the red ball', 'a ball', 'a striped drum'][i % 3]
            sample.set_data(dict(expression=said, image_expressions=[said, 'a ball'], negatives=['a kite', 'a drum']))
        inputs.append(torch.randint(256, (3, side, side), dtype=torch.uint8, generator=generator))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.fixture
def small_batch():
    """The function :func:`random_batch`."""
    return random_batch
