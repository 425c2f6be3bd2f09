"""OVDiff's index: pictures of folders and of ToyWorld, what lies beside them, what is kept and refused."""
import cv2
import numpy as np
import pytest
import torch

from mmseg_weak.apis.index_ovdiff import class_folder, index_ovdiff
from mmseg_weak.errors import CheckpointError, ConfigError, DataError, MissingFileError
from mmseg_weak.models.clip.index_file import read_index

CONFIG = """
default_scope = 'mmseg'
archive = dict(type='ToyWorldDataset', num_images=12, size=32, supervision=('tags', ))
model = dict(
    type='OVDiff', index={index!r}, names=['ball', 'drum'], background='word', count=3, num_parts=2, clip_px=32,
    support_px=32, windows=((24, 16), ),
    clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value'),
    extractors=[dict(type='CLIPKeys', size_px=32)], test_cfg=dict(short_side_px=32))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(index=str(tmp_path / 'index')))
    return path


@pytest.fixture
def run(config):
    """index_ovdiff of the config, with the same random networks at every call."""
    def call(**kwargs):
        torch.manual_seed(0)
        return index_ovdiff(config, quiet=True, device='cpu', **kwargs)
    return call


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('Ball', 'traffic_light'):
        folder = tmp_path / 'pictures' / name
        folder.mkdir(parents=True)
        for i, size in enumerate(((40, 60), (32, 32), (50, 30))):
            cv2.imwrite(str(folder / f'{i}.jpg'), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    return tmp_path / 'pictures'


def rows(result, name, kind='fg'):
    """Prototypes of a name."""
    index = read_index(result.out, 'ovdiff', 'the command')
    parts = index.tensors[f'clip.{kind}'].split(index.tensors[f'clip.{kind}_counts'].tolist())
    return parts[index.texts['names'].index(name)]


def test_tags_of_toyworld(run):
    result = run()
    assert (result.written, result.skipped, result.names) == (2, 0, ['ball', 'drum'])
    assert rows(result, 'ball').shape[1] == 96 and len(rows(result, 'ball')) == 1 + 3 + 2
    again = run(text='drum; kite')
    assert (again.written, again.skipped, again.names) == (1, 1, ['ball', 'drum', 'kite'])
    with pytest.raises(DataError, match="The data set of `archive` has no tag 'kites'. Did you mean kite. Known: ball"):
        run(text='kites')


def test_pictures_of_a_folder(run, pictures):
    (pictures / 'Ball' / 'cut.png').write_bytes(b'no')
    result = run(images=pictures, text='ball; traffic light')
    assert (result.written, len(result.broken)) == (2, 0)  # the first three are enough
    (pictures / 'Ball' / '0.jpg').unlink()
    fewer = run(images=pictures, text='ball', overwrite=True)
    assert len(fewer.broken) == 1 and 'cut.png' in fewer.broken[0][0] and len(rows(fewer, 'ball')) == 1 + 2 + 2


def test_what_lies_beside_a_picture(run, pictures):
    """Masks make the rows; heat with proposals of somebody else chooses them."""
    plain = rows(run(images=pictures, text='ball'), 'ball')
    half = np.zeros((32, 32), np.uint8)
    half[:, :16] = 1
    for i, size in enumerate(((60, 40), (32, 32), (30, 50))):
        cv2.imwrite(str(pictures / 'Ball' / f'{i}_mask.png'), cv2.resize(half, size, interpolation=cv2.INTER_NEAREST))
    masked = run(images=pictures, text='ball', overwrite=True)
    assert masked.broken == [] and not torch.allclose(rows(masked, 'ball')[:1], plain[:1])
    for i, size in enumerate(((60, 40), (32, 32), (30, 50))):
        (pictures / 'Ball' / f'{i}_mask.png').unlink()
        left = cv2.resize(half, size, interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(pictures / 'Ball' / f'{i}_heat.png'), left * 200)
        cv2.imwrite(str(pictures / 'Ball' / f'{i}_proposals.png'), left)
    warm = run(images=pictures, text='ball', overwrite=True)
    torch.testing.assert_close(rows(warm, 'ball')[:4], rows(masked, 'ball')[:4], atol=1e-4, rtol=1e-3)
    cv2.imwrite(str(pictures / 'Ball' / '1_heat.png'), np.zeros((4, 4, 3), np.uint8))
    assert '1_heat.png is no grey PNG; save it with one channel.' in run(
        images=pictures, text='ball', overwrite=True).broken[0][1]


def test_folders_are_found_by_name(pictures):
    assert class_folder(pictures, 'traffic light').name == 'traffic_light'
    assert class_folder(pictures, 'ball').name == 'Ball'
    with pytest.raises(MissingFileError, match="has no folder of pictures of 'balls'. Did you mean Ball. Every"):
        class_folder(pictures, 'balls')


def test_what_is_refused(run, config, pictures, tmp_path):
    with pytest.raises(ConfigError, match='give --images, pictures that you have, or --draw, a folder to draw'):
        run(images=pictures, draw=pictures)
    with pytest.raises(MissingFileError, match='There is no folder nowhere; --images is a folder with one folder of'):
        run(images='nowhere')
    with pytest.raises(MissingFileError, match="has no folder of pictures of 'drum'"):
        run(images=pictures)
    for file in (pictures / 'Ball').iterdir():
        file.write_bytes(b'no')
    with pytest.raises(DataError, match="Ball holds no readable picture of 'ball'; give at least one."):
        run(images=pictures, text='ball')
    with pytest.raises(ConfigError, match='has no `sampler`; give for example sampler.model=FOLDER of Stable'):
        run(draw=tmp_path / 'drawn')
    run()
    torch.manual_seed(1)
    with pytest.raises(CheckpointError, match="made with another feature extractor 'clip'"):
        index_ovdiff(config, quiet=True, device='cpu')
    config.write_text(CONFIG.format(index='x').replace("('tags', )", '()'))
    with pytest.raises(ConfigError, match='The data set of `archive` has no tags; for ToyWorld say supervision='):
        run(out=tmp_path / 'other')
    config.write_text(CONFIG.format(index='x').replace('archive', 'other'))
    with pytest.raises(ConfigError, match='none was given: give --images, a folder with one folder of pictures a name'):
        run(out=tmp_path / 'other')


def test_a_file_of_other_settings_is_refused(run, config):
    run(text='ball')
    with pytest.raises(DataError, match=r'index was made with num_parts=2 \(now 3\), count=3 \(now 4\); make it anew '
                                        'with `mmseg-weak index ovdiff CONFIG --overwrite`, or set model back.'):
        run(text='drum', cfg_options={'model.num_parts': 3, 'model.count': 4})


def test_drawing_goes_on_where_it_stopped(run, config, tmp_path, monkeypatch):
    """A sampler that draws the left half warm; the second call draws only what is missing."""
    import mmseg_weak.methods.openvocab.ovdiff.sampler as module
    drawn = []

    class Fake:
        def __init__(self, model, device):
            assert model == 'sd' and device == 'cpu'

        def draw(self, name, count):
            for number in range(count):
                drawn.append(name)
                heat = torch.zeros(32, 32)
                heat[:, :16] = 1
                yield torch.full((3, 32, 32), 40 * number, dtype=torch.uint8), heat
    monkeypatch.setattr(module, 'Sampler', Fake)
    config.write_text(config.read_text() + "\nsampler = dict(model='sd')\n")
    folder = tmp_path / 'drawn'
    result = run(draw=folder, text='ball')
    assert drawn == ['ball'] * 3 and result.names == ['ball']
    assert sorted(p.name for p in (folder / 'ball').iterdir())[:2] == ['00000.png', '00000_heat.png']
    run(draw=folder, text='ball; traffic light')
    assert drawn == ['ball'] * 3 + ['traffic light'] * 3
    run(draw=folder, text='ball', overwrite=True)
    assert len(drawn) == 6
