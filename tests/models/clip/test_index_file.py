"""Index files: what goes in comes out, other files are refused with the command that makes the right one."""
import json
import re

import pytest
import torch

from mmseg_weak.errors import CheckpointError, ConfigError, DataError, MissingFileError
from mmseg_weak.models.clip.index_file import (
    check_same_network,
    need_index,
    probe_picture,
    read_index,
    write_index,
)

COMMAND = 'mmseg-weak index reco CONFIG'


def write(path):
    tensors = dict(half=torch.rand(2, 3).half(), order=torch.tensor([2, 0]), none=torch.zeros(0, 4))
    texts = dict(names=['a dog', 'Fähre', ''], empty=[], one=[''])
    return tensors, texts, write_index(path, 'reco', tensors, texts, dict(k=50))


def test_round_trip(tmp_path):
    tensors, texts, path = write(tmp_path / 'folder' / 'a.safetensors')
    index = read_index(path, 'reco', COMMAND)
    assert index.texts == texts and index.meta == dict(k=50) and set(index.tensors) == set(tensors)
    for name, value in tensors.items():
        assert index.tensors[name].dtype == value.dtype and torch.equal(index.tensors[name], value)
    assert [p.name for p in path.parent.iterdir()] == ['a.safetensors']


def test_other_files_are_refused(tmp_path):
    path = write(tmp_path / 'a.safetensors')[2]
    say = re.escape(f'The index {tmp_path}/b does not exist; `{COMMAND}` makes it.')
    with pytest.raises(MissingFileError, match=f'^{say}$'):
        read_index(tmp_path / 'b', 'reco', COMMAND)
    with pytest.raises(DataError, match='a.safetensors is an index of reco, and an index of cased is needed; '):
        read_index(path, 'cased', COMMAND)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r'a.safetensors is not a readable index \(.*\); `mmseg-weak index reco'):
        read_index(path, 'reco', COMMAND)
    path.write_text(json.dumps(dict(a=1)))
    with pytest.raises(DataError, match='not a readable index'):
        read_index(path, 'reco', COMMAND)
    with pytest.raises(DataError, match='holds a NUL character'):
        write_index(path, 'reco', {}, dict(names=['a\0b']), {})
    with pytest.raises(ConfigError, match='model.index is None, and this method looks things up in an index; '):
        need_index(None, 'model.index', COMMAND)


def test_foreign_safetensors_are_no_index(tmp_path):
    from safetensors.torch import save_file
    save_file(dict(a=torch.zeros(2)), tmp_path / 'weights.safetensors')
    with pytest.raises(DataError, match='weights.safetensors is no index, and an index of reco is needed'):
        read_index(tmp_path / 'weights.safetensors', 'reco', COMMAND)


def test_networks_are_told_apart_and_precision_is_not():
    said = torch.randn(64)
    check_same_network(said, said.half(), 'a', 'CLIP', COMMAND)
    for other in (torch.randn(64), said[:32]):
        with pytest.raises(CheckpointError, match='^a was made with another CLIP .or other weights of it. than'):
            check_same_network(said, other, 'a', 'CLIP', COMMAND)


def test_probe_is_a_picture():
    picture = probe_picture(32)
    assert picture.shape == (1, 3, 32, 32) and 0 <= picture.min() < 40 and 215 < picture.max() <= 255
    assert torch.equal(picture, probe_picture(32)) and picture.std() > 30
