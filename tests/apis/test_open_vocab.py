"""Names in, masks out: from Python and from the command line, with random towers of ToyWorld's size."""
import json

import numpy as np
import pytest
import torch
from PIL import Image

import mmseg_weak.apis.open_vocab as module
from mmseg_weak.apis import OpenVocabInferencer
from mmseg_weak.apis.inferencer import SegInferencer
from mmseg_weak.apis.open_vocab import as_names, open_vocab_methods
from mmseg_weak.apis.predict import predict_text
from mmseg_weak.errors import CheckpointError, ConfigError, DataError, MissingFileError

TINY = {'model.clip.name': 'toyworld_clip', 'model.clip.cache_dir': None, 'model.test_cfg.short_side_px': 32,
        'model.test_cfg.long_side_px': 64, 'model.test_cfg.crop_px': 24, 'model.test_cfg.stride_px': 16,
        'model.test_cfg.scale': 300.0}


@pytest.fixture(scope='module')
def inferencer():
    torch.manual_seed(0)
    return OpenVocabInferencer('clearclip', 'random', 'cpu', keep=2, templates='name', options=TINY)


def noise(height=40, width=56, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)


def test_other_names_cost_no_look_at_the_image(inferencer, monkeypatch):
    image, looks = noise(), []
    encode = inferencer.model.encode
    monkeypatch.setattr(inferencer.model, 'encode', lambda windows: looks.append(len(windows)) or encode(windows))
    first = inferencer(image, 'ball; drum; box')
    assert len(looks) == 1
    swapped = inferencer(image.copy(), 'box; drum; ball')  # an equal array is the same image
    assert len(looks) == 1
    assert (swapped.mask == 2 - first.mask.astype(int)).mean() > 0.999
    assert first.classes == ('ball', 'drum', 'box') and abs(sum(first.shares.values()) - 1) < 1e-9
    inferencer(noise(seed=1), 'ball; box')
    inferencer(noise(seed=2), 'ball; box')  # two images are remembered: the first is forgotten
    assert len(looks) == 3
    inferencer(image, 'ball; box')
    assert len(looks) == 4


def test_a_file_that_was_written_anew_is_another_image(inferencer, tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(noise()).save(path)
    first = inferencer(path, 'ball; box').confidence
    assert (inferencer(path, 'ball; box').confidence == first).all()
    Image.fromarray(noise(seed=3)).save(path)
    assert (inferencer(path, 'ball; box').confidence != first).any()


def test_threshold_and_background(inferencer):
    image = noise()
    plain = inferencer(image, 'ball; box')
    cut = float(np.median(plain.confidence))
    unsure = inferencer(image, 'ball; box', threshold=cut)
    assert unsure.classes == ('background', 'ball', 'box')
    assert (unsure.mask == np.where(plain.confidence < cut, 0, plain.mask + 1)).all()
    known = inferencer(image, 'ball; box', background='sand; water', threshold=0.9)
    assert known.classes == ('background', 'ball', 'box')
    scores, classes = inferencer.scores(image, 'ball; box', background='sand; water')
    assert classes == known.classes and scores.shape == (3, 40, 56)
    best = scores.max(0)
    assert np.allclose(best, known.confidence, atol=1e-6)
    assert (known.mask[best < 0.9] == 0).all()


def test_names_as_people_give_them(tmp_path):
    (tmp_path / 'names.txt').write_text('person; child\n\nsky\n# no name\n')
    for given in (tmp_path / 'names.txt', f'{tmp_path}/names.txt', ['person; child', 'sky']):
        assert as_names(given)[:] == (('person', 'sky'), ('person', 'child', 'sky'), (0, 0, 1))
    assert as_names('a; b', background='c; d').owner == (0, 0, 1, 2)
    alone = as_names('Wall')  # one name is compared with 25 others
    assert alone.classes == ('background', 'Wall') and len(alone.names) == 26
    assert as_names('wall', background='').classes == ('wall', )


@pytest.mark.parametrize('names, sentence', [
    ('', r'^No class names were given; name at least one thing to look for\.$'),
    ('  ', r'^No class names were given'),
    ([], r'^No class names were given'),
    ('cat;;dog', r"^class 2 \(''\) has an empty name; remove the stray ';' or the empty line\.$"),
    ('cat; dog; Cat', r"^The name 'Cat' is given twice: in class 1 \('cat'\) and in class 3 \(' Cat'\); a name stands"),
    (['cat', 'dog; '], r"^class 2 \('dog; '\) has an empty name")])
def test_names_that_are_none(inferencer, names, sentence):
    with pytest.raises(DataError, match=sentence):
        inferencer(noise(), names)


def test_a_name_longer_than_the_tower_reads_is_told(inferencer, caplog, monkeypatch):
    told = []
    monkeypatch.setattr('mmseg_weak.models.clip.text.print_log', lambda text, *args: told.append(text))
    inferencer(noise(), ['ball ' * 40, 'box'])
    assert len(told) == 1 and '1 name is longer than the 32 tokens that toyworld_clip reads' in told[0]


def test_hundreds_of_names_make_a_16_bit_mask(inferencer):
    result = inferencer(noise(), [f'thing {i}' for i in range(300)])
    assert result.mask.dtype == np.uint16 and len(result.classes) == 300


@pytest.mark.parametrize('kind', ['L', 'RGBA', 'P', 'I;16'])
def test_images_of_other_kinds(inferencer, tmp_path, kind):
    values = noise(channels=4)
    picture = Image.fromarray(values[..., 0].astype(np.uint16) * 257) if kind == 'I;16' else \
        Image.fromarray(values, 'RGBA').convert(kind) if kind != 'L' else Image.fromarray(values[..., 0])
    picture.save(tmp_path / 'a.png')
    assert inferencer(tmp_path / 'a.png', 'ball; box').mask.shape == (40, 56)


def test_a_photograph_is_turned_as_its_tag_says(inferencer, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise()).save(tmp_path / 'a.jpg', exif=exif)
    assert inferencer(tmp_path / 'a.jpg', 'ball; box').mask.shape == (56, 40)


@pytest.mark.parametrize('size', [(1, 300), (300, 1), (1, 1), (60, 20_000)])
def test_extreme_sides(inferencer, size):
    result = inferencer(noise(*size), 'ball; box; drum')
    assert result.mask.shape == size and np.isfinite(result.confidence).all()


def test_every_method_is_ready(tmp_path):
    assert {'clip', 'maskclip', 'sclip', 'clearclip', 'naclip', 'gem', 'proxyclip'} <= set(open_vocab_methods())
    for method in open_vocab_methods():
        options = {**TINY, 'model.test_cfg.multiple_px': 8}
        if method in ('proxyclip', 'trident'):
            options.update({'model.proxy.model_name': 'toyworld_vit', 'model.proxy.out_indices': (5, )})
        if method == 'trident':
            arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32, global_attn_indexes=[1])
            options.update({'model.sam.arch': dict(arch, _delete_=True), 'model.sam.img_size': 64,
                            'model.sam.window_size': 2, 'model.sam.out_channels': 32})
        found = OpenVocabInferencer(method, 'random', 'cpu', templates='name', options=options)(noise(), 'ball; box')
        assert found.mask.shape == (40, 56), method


def test_methods_and_weights_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(ConfigError, match=r"^there is no open-vocabulary method 'naclp'\. Did you mean naclip"):
        OpenVocabInferencer('naclp')
    with pytest.raises(MissingFileError, match='`mmseg-weak fetch clip:ViT-B-16:openai` brings them'):
        OpenVocabInferencer('sclip')
    with pytest.raises(MissingFileError, match='`mmseg-weak fetch clip:ViT-B-32:laion2b_e16` brings them'):
        OpenVocabInferencer('sclip', 'ViT-B-32:laion2b_e16')
    torch.save({'conv1.weight': torch.zeros(2)}, tmp_path / 'other.pt')
    with pytest.raises(CheckpointError, match='other.pt does not hold weights of toyworld_clip'):
        OpenVocabInferencer('sclip', str(tmp_path / 'other.pt'), options=TINY)
    with pytest.raises(ConfigError, match='which finds no names; take one of'):
        OpenVocabInferencer('unimatch_toyworld')
    with pytest.raises(ConfigError, match='finds names and is not trained: use `mmseg-weak predict --text`'):
        SegInferencer('sclip_toyworld', 'none.pth')


def test_a_head_that_is_not_trained_is_told(tmp_path):
    with pytest.raises(ConfigError, match='^CLIPDINOiser learns its head first: train clip_dinoiser_toyworld, then gi'):
        OpenVocabInferencer('clip_dinoiser', 'toyworld')
    with pytest.raises(ConfigError, match='describes MaskCLIPPlus, which finds no names; take one of cl'):
        OpenVocabInferencer('maskclip-plus_toyworld')


@pytest.fixture
def tiny_predict(monkeypatch):
    """The real thing behind :func:`predict_text`, on tiny towers."""
    built = []

    def build(method, weights, device, keep):
        built.append((method, weights))
        return OpenVocabInferencer(method, 'random', device, keep, templates='name', options=TINY)
    monkeypatch.setattr(module, 'OpenVocabInferencer', build)
    return built


def test_folder_by_text(tmp_path, tiny_predict):
    for number in range(2):
        Image.fromarray(noise(seed=number)).save(tmp_path / f'{number}.png')
    (tmp_path / 'bad.jpg').write_bytes(b'no')
    out = tmp_path / 'out'
    settings = dict(method='sclip', weights='toyworld', device='cpu', quiet=True)
    result = predict_text(tmp_path, 'ball; box', out, threshold=0.6, **settings)
    assert len(result.written) == 2 and len(result.broken) == 1 and tiny_predict == [('sclip', 'toyworld')]
    assert json.loads((out / 'classes.json').read_text())['classes'] == ['background', 'ball', 'box']
    mask = np.asarray(Image.open(out / 'masks/0.png'))
    confidence = np.asarray(Image.open(out / 'confidence/0.png')) / 255
    assert mask.shape == (40, 56) and (mask[confidence < 0.59] == 0).all() and (mask[confidence > 0.61] > 0).all()
    (tmp_path / 'bad.jpg').unlink()
    again = predict_text(tmp_path, 'ball; box', out, threshold=0.6, **settings)
    assert len(again.skipped) == 2 and len(tiny_predict) == 1  # no network is built for nothing
    with pytest.raises(DataError, match='out holds masks of background, ball, box; name another folder for these'):
        predict_text(tmp_path, 'ball; drum', out, **settings)


def test_command_line(tmp_path, tiny_predict, capsys, monkeypatch):
    from mmseg_weak.cli import main
    monkeypatch.chdir(tmp_path)

    def run(*args):
        with pytest.raises(SystemExit) as stopped:
            main(['predict', *args])
        return stopped.value.code, capsys.readouterr()
    Image.fromarray(noise()).save('a.png')
    code, said = run('a.png', '--text', 'horse; rider; grass', '--method', 'sclip', '--device', 'cpu')
    assert code == 0 and 'Written: work_dirs/predict' in said.out
    assert np.asarray(Image.open('work_dirs/predict/masks/a.png')).max() <= 2
    assert run('a.png')[0] == 2
    assert run('a.png', '--text', 'a', '--config', 'b')[0] == 2
    code, said = run('a.png', '--text', 'horse; horse', '--overwrite')
    assert code == 2 and "The name 'horse' is given twice" in said.err
