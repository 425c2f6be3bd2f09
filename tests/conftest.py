"""What tests share: tiny networks and batches, the scope of mmseg's registries, where real data may lie."""
import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _scope(request):
    """A seed for every test, and registries in mmseg's scope; but what users call has to set the scope itself."""
    from mmengine.logging import MessageHub
    from mmengine.registry import DefaultScope

    import mmseg_weak  # noqa: F401  (registers)
    torch.manual_seed(0)
    hub = MessageHub.get_current_instance()
    for key in ('iter', 'max_iters', 'iters_per_epoch', 'loop_stage'):  # a test that ran before may have left them
        hub.runtime_info.pop(key, None)
    place = request.path.relative_to(ROOT / 'tests').parts[0]
    if place == 'apis' or place.startswith('test_cli'):
        before = DefaultScope._instance_dict
        DefaultScope._instance_dict = type(before)()
        yield
        DefaultScope._instance_dict = before
    else:
        with DefaultScope.overwrite_default_scope('mmseg'):
            yield


@pytest.fixture
def unformatted_configs(monkeypatch):
    """mmengine formats the config with yapf at every checkpoint, a second each: leave the text as it is."""
    import mmengine.config.config as module
    import yapf.yapflib.yapf_api as yapf
    monkeypatch.setattr(yapf, 'FormatCode', lambda text, **kwargs: (text, False))
    monkeypatch.setattr(module, 'FormatCode', yapf.FormatCode, raising=False)


@pytest.fixture(scope='session')
def shared() -> Path:
    """Folder of golden vectors and real photographs; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get('MMSEG_WEAK_SHARED', ROOT.parent / 'shared'))
    if not path.is_dir():
        pytest.skip(f'no shared development data at {path} (set MMSEG_WEAK_SHARED)')
    return path


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of real photographs, see :func:`shared`."""
    path = Path(os.environ.get('MMSEG_WEAK_DATA', ROOT.parent / 'shared' / 'data'))
    if not path.is_dir():
        pytest.skip(f'no real photographs at {path} (set MMSEG_WEAK_DATA)')
    return path


@pytest.fixture
def tiny_segmentor():
    """Function that returns the config of an encoder-decoder of 16 thousand parameters."""
    def make(num_classes: int = 3, auxiliary: bool = False) -> dict:
        norm = dict(type='BN')
        config = dict(
            type='EncoderDecoder',
            backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
                          out_indices=(0, 1, 2, 3), strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=norm),
            decode_head=dict(type='DepthwiseSeparableASPPHead', in_channels=32, in_index=3, channels=8,
                             dilations=(1, 2), c1_in_channels=4, c1_channels=4, num_classes=num_classes,
                             dropout_ratio=0.0, norm_cfg=norm, align_corners=True,
                             loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
            train_cfg=dict(), test_cfg=dict(mode='whole'))
        if auxiliary:
            config['auxiliary_head'] = dict(
                type='FCNHead', in_channels=16, in_index=2, channels=4, num_convs=1, num_classes=num_classes,
                norm_cfg=norm, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4))
        return config
    return make


@pytest.fixture
def tiny_batch():
    """Function that returns a collated batch of random uint8 images with ``source`` set, masks on labelled ones."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    def make(labelled: int = 2, unlabelled: int = 4, size: int = 32, num_classes: int = 3, seed: int = 0) -> dict:
        generator = torch.Generator().manual_seed(seed)
        inputs, samples = [], []
        for i in range(labelled + unlabelled):
            sample = SegDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size), img_path=f'{i}.png',
                                                 source='sup' if i < labelled else 'unsup'))
            if i < labelled:
                mask = torch.randint(num_classes, (1, size, size), generator=generator)
                sample.gt_sem_seg = PixelData(data=mask)
            samples.append(sample)
            inputs.append(torch.randint(256, (3, size, size), dtype=torch.uint8, generator=generator))
        return dict(inputs=inputs, data_samples=samples)
    return make
