"""ResNet-38d: layout, what is frozen, and the published file's names and bytes."""
import struct

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import CheckpointError, MissingFileError
from mmseg_weak.models.backbones.mxnet_params import read_mxnet_params
from mmseg_weak.models.backbones.resnet38d import published_names


def build(**kwargs):
    return MODELS.build(dict(type='ResNet38d', **{'base_channels': 2, **kwargs}))


def write_params(path, arrays, form='oldest'):
    """The bytes of mxnet's format, by hand."""
    with open(path, 'wb') as f:
        f.write(struct.pack('<QQQ', 0x112, 0, len(arrays)))
        for value in arrays.values():
            shape = value.shape
            if form == 'oldest':
                f.write(struct.pack(f'<I{len(shape)}I', len(shape), *shape))
            else:
                f.write(struct.pack(f'<IiI{len(shape)}q', 0xF993FAC9, 0, len(shape), *shape))
            f.write(struct.pack('<iii', 1, 0, 0) + value.astype('<f4').tobytes())
        f.write(struct.pack('<Q', len(arrays)))
        for name in arrays:
            f.write(struct.pack('<Q', len(name)) + name.encode())


def mxnet_name(key):
    """The published name of one of our arrays, the other way round than the code under test."""
    module, kind = key.rsplit('.', 1)
    statistic = dict(bias='beta', weight='gamma', running_mean='moving_mean', running_var='moving_var')
    group = 'aux' if 'running' in kind else 'arg'
    if module == 'conv1a':
        return 'arg:conv1a_weight'
    if module == 'bn7':
        return f'{group}:bn7_{statistic[kind]}'
    block, layer = module.split('.')
    stage, _, number = block[1:].partition('_')
    block = stage + ('b' + number if number else 'a')
    if layer.startswith('conv'):
        return f'arg:res{block}_{layer[5:]}_weight'
    return f'{group}:bn{block}_{layer[3:]}_{statistic[kind]}'


def test_maps_have_stride_eight_and_published_widths():
    maps = build()(torch.randn(1, 3, 40, 56))
    assert [tuple(m.shape) for m in maps] == [(1, 16, 5, 7), (1, 32, 5, 7), (1, 128, 5, 7)]
    assert all(float(m.detach().min()) >= 0 for m in maps)
    full = {k: tuple(v.shape) for k, v in MODELS.build(dict(type='ResNet38d')).state_dict().items()}
    assert full['b4_5.conv_branch2b1.weight'] == (512, 512, 3, 3)
    assert full['b5.conv_branch2b1.weight'] == (1024, 512, 3, 3)
    assert full['b6.conv_branch2b1.weight'] == (1024, 512, 3, 3)
    assert full['b7.conv_branch1.weight'] == (4096, 2048, 1, 1)
    assert 'b3_2.bn_branch2b1.running_var' in full and 'b4_6.bn_branch2a.weight' not in full


def test_norms_and_first_layers_are_fixed():
    net = build().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    torch.manual_seed(0)
    out = net(torch.randn(2, 3, 32, 32))
    out[-1].sum().backward()
    trained = {k for k, p in net.named_parameters() if p.grad is not None}
    assert trained == {k for k, p in net.named_parameters() if p.requires_grad}
    assert not any('bn' in k or k.startswith(('conv1a', 'b2')) for k in trained)
    assert 'b3.conv_branch2a.weight' in trained
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    free = build(frozen=False).train()
    free(torch.randn(2, 3, 32, 32))
    assert not torch.equal(free.state_dict()['bn7.running_mean'], before['bn7.running_mean'])


@pytest.mark.parametrize('form', ['oldest', 'dense'])
def test_published_file_loads_without_mxnet(tmp_path, form):
    source = {k: v for k, v in build().state_dict().items() if not k.endswith('tracked')}
    arrays = {mxnet_name(k): np.random.default_rng(0).standard_normal(v.shape).astype(np.float32)
              for k, v in source.items()}
    arrays['arg:linear1000_weight'] = np.zeros((3, 4), np.float32)
    path = str(tmp_path / 'x.params')
    write_params(path, arrays, form)
    net = build(checkpoint=path)
    net.init_weights()
    for key, value in net.state_dict().items():
        if not key.endswith('tracked'):
            assert np.array_equal(value.numpy(), arrays[mxnet_name(key)]), key
    assert published_names('arg:linear1000_bias') is None


def test_torch_file_of_a_whole_model_loads(tmp_path):
    source = build()
    path = str(tmp_path / 'x.pth')
    torch.save({f'module.{k}': v for k, v in source.state_dict().items()} | {'module.fc8.weight': torch.ones(1)}, path)
    net = build(checkpoint=path)
    net.init_weights()
    assert torch.equal(net.b7.conv_branch1.weight, source.b7.conv_branch1.weight)


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match='nowhere.params does not exist'):
        build(checkpoint='nowhere.params').init_weights()
    path = str(tmp_path / 'x.params')
    write_params(path, {'arg:conv1a_weight': np.zeros((2, 3, 3, 3), np.float32)})
    with pytest.raises(CheckpointError, match='lacks .* arrays of ResNet38d'):
        build(checkpoint=path).init_weights()
    for data, text in ((b'abc', 'ends early'), (struct.pack('<QQQ', 5, 0, 0), 'starts with 0x5'),
                       (open(path, 'rb').read()[:60], 'ends early')):
        (tmp_path / 'bad.params').write_bytes(data)
        with pytest.raises(CheckpointError, match=text):
            read_mxnet_params(str(tmp_path / 'bad.params'))
