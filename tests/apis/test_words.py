"""A caption index from files and ToyWorld, and what images show by it."""
import csv
import json

import cv2
import numpy as np
import pytest
import torch

from mmseg_weak.apis.index_cased import index_cased
from mmseg_weak.apis.words import FreeWords, find_words
from mmseg_weak.datasets.tags import load_tag_file
from mmseg_weak.errors import CheckpointError, ConfigError, DataError, MissingFileError
from mmseg_weak.models.clip.index_file import read_index

CONFIG = """
default_scope = 'mmseg'
archive = dict(type='ToyWorldDataset', num_images=5, size=32, supervision=('caption', ))
model = dict(
    type='CaSED', index={index!r}, count=3,
    clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None),
    test_cfg=dict(grids=(2, ), crop_px=32, cells=4, image_px=32))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(index=str(tmp_path / 'index')))
    return path


@pytest.fixture
def run(config):
    """index_cased of the config, with the same random networks at every call."""
    def call(**kwargs):
        torch.manual_seed(0)
        return index_cased(config, quiet=True, device='cpu', **kwargs)
    return call


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos' / 'deep'
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, size in enumerate(((40, 60), (70, 33))):
        cv2.imwrite(str(folder / f'{i}.png'), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    (folder / 'broken.jpg').write_bytes(b'no picture')
    return folder.parent


def captions_of(result):
    return read_index(result.out, 'cased', 'the command')


def test_captions_of_toyworld_and_of_a_file(run, tmp_path, monkeypatch):
    first = run()
    index = captions_of(first)
    assert first.written == len(index.texts['captions']) == len(set(index.texts['captions'])) > 5
    torch.testing.assert_close(index.tensors['embeddings'].float().norm(dim=1), torch.ones(first.written), atol=1e-3,
                               rtol=0)
    again = run()
    assert (again.written, again.skipped) == (0, first.written)
    file = tmp_path / 'more.txt'
    file.write_text(f'a purple horse\n{index.texts["captions"][0]}\n')
    more = run(captions=file)
    assert (more.written, more.skipped) == (1, 1)
    grown = captions_of(more)
    assert grown.texts['captions'] == [*index.texts['captions'], 'a purple horse']
    assert torch.equal(grown.tensors['embeddings'][:-1], index.tensors['embeddings'])
    alone = run(captions=['one thing'], overwrite=True)
    assert captions_of(alone).texts['captions'] == ['one thing']


def test_a_killed_call_goes_on(run, monkeypatch):
    import mmseg_weak.apis.index_cased as module
    monkeypatch.setattr(module, '_BATCH', 2)
    monkeypatch.setattr(module, '_LEAST_NEW', 1)
    texts = [f'thing {i}' for i in range(7)]

    def dies(items, *args, **kwargs):
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            yield item
    monkeypatch.setattr(module, 'progress', dies)
    with pytest.raises(KeyboardInterrupt):
        run(captions=texts)
    monkeypatch.undo()
    result = run(captions=texts)
    assert (result.skipped, result.written) == (4, 3) and captions_of(result).texts['captions'] == texts


def test_other_networks_and_configs_are_refused(run, config, tmp_path):
    run()
    torch.manual_seed(1)
    with pytest.raises(CheckpointError, match='index was made with another CLIP'):
        index_cased(config, quiet=True, device='cpu')
    config.write_text(CONFIG.format(index='x').replace("('caption', )", "('tags', )"))
    with pytest.raises(ConfigError, match="the dataset of `archive` gives no captions; for ToyWorld say supervision="):
        run()
    config.write_text(CONFIG.format(index='x').replace('archive', 'other'))
    with pytest.raises(ConfigError, match='none was given: name a file of captions with --captions.'):
        run()


def test_words_of_a_folder(run, config, photos, tmp_path):
    run()
    torch.manual_seed(0)
    result = find_words(photos, out=tmp_path / 'out', config=config, top=2, device='cpu', quiet=True)
    assert list(result.tags) == ['deep/0.png', 'deep/1.png'] and len(result.broken) == 1
    rows = list(csv.reader((result.out / 'tags.csv').open()))
    assert rows[0] == ['image', 'tags'] and [row[0] for row in rows[1:]] == list(result.tags)
    words = [word for word, _ in result.tags['deep/0.png']]
    assert load_tag_file(str(result.out / 'tags.csv'))['deep/0.png'] == words and 1 <= len(words) <= 2
    told = json.loads((result.out / 'words' / 'deep' / '0.json').read_text())
    mask = cv2.imread(str(result.out / 'masks' / 'deep' / '0.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape[:2] == (40, 60) and abs(sum(told['shares'].values()) - 1) < 1e-6
    assert (result.out / 'overlays' / 'deep' / '0.jpg').is_file()
    torch.manual_seed(0)
    plain = find_words(photos, out=tmp_path / 'tags', config=config, masks=False, device='cpu', quiet=True)
    assert sorted(p.name for p in plain.out.iterdir()) == ['tags.csv']


def test_one_image_in_python(run, config):
    run()
    torch.manual_seed(0)
    free = FreeWords(config=config, device='cpu')
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    seen = free(image)
    assert seen.mask.shape == seen.confidence.shape == (40, 50) and seen.mask.max() < len(seen.words)
    assert list(seen.shares) == sorted(seen.shares, key=seen.shares.get, reverse=True)
    tags = free.tags(image, 2)
    assert len(tags) <= 2 and tags[0][1] >= tags[-1][1]


def test_bad_calls(config, photos, tmp_path):
    with pytest.raises(MissingFileError, match='The index .*gone does not exist; `mmseg-weak index cased .* --captions '
                                               'FILE --out .*gone` makes it.'):
        find_words(photos, tmp_path / 'gone', config=config)
    with pytest.raises(ConfigError, match='top is 0; an image gets at least one tag'):
        find_words(photos, config=config, top=0)
    (photos / 'deep' / '0.png').unlink()
    (photos / 'deep' / '1.png').unlink()
    torch.manual_seed(0)
    index_cased(config, quiet=True, device='cpu')
    torch.manual_seed(0)
    with pytest.raises(DataError, match='none of 1 images could be read; the first: .*broken.jpg is no readable image'):
        find_words(photos, config=config, out=tmp_path / 'out', quiet=True)
