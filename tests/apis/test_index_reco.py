"""ReCo's index: what is embedded, what is kept, what is made again, what is refused."""
import cv2
import numpy as np
import pytest
import torch

from mmseg_weak.apis.index_reco import index_reco
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.methods.openvocab.reco import retrieve
from mmseg_weak.models.clip.index_file import read_index

CONFIG = """
default_scope = 'mmseg'
archive = dict(type='ToyWorldDataset', num_images=5, size=32, supervision=())
model = dict(
    type='ReCo', names=['ball', 'drum'], contexts=('sand', ), count=2, picture_px=32, index={index!r},
    clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value'),
    encoder=dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, )),
    test_cfg=dict(short_side_px=32, crop_px=0, multiple_px=8))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(index=str(tmp_path / 'index')))
    return path


@pytest.fixture
def run(config):
    """index_reco of the config, with the same random networks at every call."""
    def call(**kwargs):
        torch.manual_seed(0)
        return index_reco(config, quiet=True, device='cpu', **kwargs)
    return call


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos' / 'deep'
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, size in enumerate(((40, 60), (70, 33), (32, 32))):
        cv2.imwrite(str(folder / f'{i}.png'), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    return folder.parent


def read(result):
    return read_index(result.out, 'reco', 'the command')


def test_archive_of_the_config(run, tmp_path):
    result = run()
    assert (result.written, result.skipped, result.broken) == (5 + 3, 0, [])
    assert result.names == ['sand', 'ball', 'drum'] and result.out == tmp_path / 'index'
    index = read(result)
    assert index.texts['pictures'][0] == 'toyworld://0-32/train/00000.png' and len(index.texts['pictures']) == 5
    torch.testing.assert_close(index.tensors['references'].norm(dim=1), torch.ones(3))
    torch.testing.assert_close(index.tensors['embeddings'].float().norm(dim=1), torch.ones(5), atol=1e-3, rtol=0)
    before = result.out.stat().st_mtime_ns
    again = run()
    assert (again.written, again.skipped) == (0, 8) and result.out.stat().st_mtime_ns == before
    more = run(text='kite; ball')
    assert more.written == 1 and more.names == ['sand', 'ball', 'drum', 'kite']
    assert torch.equal(read(more).tensors['references'][:3], index.tensors['references'])


def test_retrieved_pictures_are_the_nearest(run):
    from mmengine.config import Config
    from mmseg.registry import MODELS
    result = run()
    index = read(result)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromstring(CONFIG.format(index=None), '.py').model)
    text = model.clip.encode_names(['drum'])[0]
    assert index.tensors['found'][2].tolist() == retrieve(index.tensors['embeddings'].float(), text, 2).tolist()


def test_own_pictures_and_broken_ones(run, photos):
    (photos / 'cut.jpg').write_bytes(b'\xff\xd8\xff\xe0 no')
    (photos / 'empty.png').touch()
    result = run(images=photos, text='horse')
    assert (result.written, len(result.broken)) == (3 + 2, 2)
    assert [path.split('/')[-1] for path in read(result).texts['pictures']] == ['0.png', '1.png', '2.png']
    assert 'empty.png is empty (0 bytes); copy it again' in [s for _, s in result.broken][1]
    references = read(result).tensors['references']
    again = run(images=photos, text='horse')
    assert (again.written, again.skipped, len(again.broken)) == (0, 3 + 2, 2)  # broken ones change nothing
    cv2.imwrite(str(photos / 'new.png'), np.full((32, 32, 3), 200, np.uint8))
    grown = run(images=photos, text='horse')
    assert (grown.written, grown.skipped) == (1 + 2, 3)  # one picture, and both references anew
    assert not torch.equal(read(grown).tensors['references'], references)
    (photos / 'deep' / '0.png').unlink()
    (photos / 'deep' / '1.png').unlink()
    few = run(text='wheel')  # of what can still be read
    assert few.names[-1] == 'wheel' and few.written == 1


def test_what_is_refused(run, config, photos, tmp_path):
    with pytest.raises(MissingFileError, match='there is no image, folder or pattern nowhere; check the path'):
        run(images='nowhere')
    (tmp_path / 'void').mkdir()
    with pytest.raises(DataError, match='void holds no image'):
        run(images=tmp_path / 'void')
    (tmp_path / 'void' / 'a.png').touch()
    with pytest.raises(DataError, match='none of 1 images could be read; the first: .*a.png is empty'):
        run(images=tmp_path / 'void')
    with pytest.raises(ConfigError, match='is a folder; --out is the file of the index, for example'):
        run(out=tmp_path / 'void')
    (tmp_path / 'index').write_text('no index')
    with pytest.raises(DataError, match='is not a readable index'):
        run()
    assert run(overwrite=True).written == 8
    config.write_text(CONFIG.format(index='x').replace('archive', 'other'))
    with pytest.raises(ConfigError, match='config.py has no `archive`, and none was given: name a folder of images '
                                          'with --images.'):
        run()
    config.write_text("model = dict(type='EncoderDecoder')")
    with pytest.raises(ConfigError, match='describes EncoderDecoder, and the index is one of ReCo; `mmseg-weak list '
                                          'reco` shows its configs.'):
        run()


def test_a_file_that_was_killed_goes_on(run, photos, monkeypatch):
    import mmseg_weak.apis.index_reco as module
    monkeypatch.setattr(module, '_BATCH', 1)
    monkeypatch.setattr(module, '_LEAST_NEW', 1)
    embed, calls = module._Retriever.embed, []

    def dies(self, pictures):
        calls.append(len(pictures))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, pictures)
    monkeypatch.setattr(module._Retriever, 'embed', dies)
    with pytest.raises(KeyboardInterrupt):
        run(images=photos)
    monkeypatch.setattr(module._Retriever, 'embed', embed)
    result = run(images=photos)
    assert (result.skipped, result.written) == (2, 1 + 3)
