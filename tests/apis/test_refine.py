"""Improving a folder of masks."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_weak.apis.refine import build_refiner, refine, refine_mask
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.models.refine import DenseCRF, labels_to_probs
from mmseg_weak.visualization import mask_png

PALETTE = [[9, 8, 7], [60, 50, 40], [1, 2, 3], [200, 0, 0]]


def scene(seed=0, shift=3, size=(40, 48)):
    """(image BGR, true mask, mask that is shifted and has a rim of 255)."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(size, np.uint8)
    truth[12:30, 12:32] = 3
    image = (truth[..., None] * 40 + np.array([20, 60, 90]) + rng.integers(0, 20, (*size, 3))).astype(np.uint8)
    mask = np.roll(truth, shift, 1)
    mask[:2] = 255
    return image, truth, mask


def write(folder, name, image, mask):
    for part in ('images', 'masks'):
        (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[..., ::-1]).save(folder / f'images/{name}.png')
    (folder / f'masks/{name}.png').write_bytes(mask_png(mask, PALETTE))


@pytest.mark.parametrize('using', ['crf', 'par', 'pamr'])
def test_a_shifted_mask_moves_back(using):
    image, truth, mask = scene()
    found, conf = refine_mask(image, mask, build_refiner(using))
    known = mask != 255
    assert set(np.unique(found[known])) == {0, 3} and (found[~known] == 255).all() and (conf[~known] == 0).all()
    before, after = (mask != truth)[known].mean(), (found != truth)[known].mean()
    assert after < before / (10 if using == 'crf' else 1.5)
    assert 0.3 < conf[known].min() and conf.max() <= 1
    filled, _ = refine_mask(image, mask, build_refiner(using), unknown='fill')
    assert (filled[~known] == 0).all() and (filled[known] == found[known]).all()


def test_mask_is_the_argmax_of_the_crf():
    image, _, mask = scene()
    labels = torch.from_numpy(np.where(mask == 3, 1, mask))[None]
    picture = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None]
    scores = DenseCRF('deeplab')(labels_to_probs(labels, 2, 0.9), picture)[0]
    found, _ = refine_mask(image, mask, build_refiner('crf'), gt_prob=0.9, unknown='fill')
    assert (found == np.array([0, 3])[scores.argmax(0).numpy()]).all()


def test_large_images_are_refined_smaller():
    image, truth, mask = (np.repeat(np.repeat(x, 4, 0), 4, 1) for x in scene())
    found, conf = refine_mask(image, mask, build_refiner('crf'), max_side_px=48)
    known = mask != 255
    assert found.shape == conf.shape == (160, 192)
    assert (found != truth)[known].mean() < 0.02 < 0.05 < (mask != truth)[known].mean()


def test_one_class_and_none_stay():
    image = scene()[0]
    for value in (2, 255):
        mask = np.full(image.shape[:2], value, np.uint8)
        assert (refine_mask(image, mask, build_refiner('crf'))[0] == value).all()


def test_folder(tmp_path):
    for k, name in enumerate(('a', 'deep/b')):
        image, truth, mask = scene(k)
        write(tmp_path, name, image, mask)
    Image.fromarray(image).save(tmp_path / 'images/lonely.png')
    write(tmp_path, 'small', image, mask[:20])
    write(tmp_path, 'colours', image, mask)
    Image.fromarray(image).save(tmp_path / 'masks/colours.png')
    args = tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out'
    result = refine(*args, confidence=True, overlays=True, device='cpu', quiet=True)
    assert sorted(str(p.relative_to(tmp_path)) for p in result.written) == ['out/a.png', 'out/deep/b.png']
    assert [p.name for p in result.without_mask] == ['lonely.png'] and 0.02 < result.changed_ratio < 0.2
    assert [text for _, text in result.broken] == [
        f'{tmp_path}/masks/colours.png is RGB; a mask is one channel of class indices. Save class indices instead of '
        f'colours; docs/data.md shows how.',
        f'{tmp_path}/masks/small.png: the mask is 48x20 pixels and its image 48x40; give masks of the size of their '
        f'images.']
    with Image.open(tmp_path / 'out/deep/b.png') as picture:
        assert picture.mode == 'P' and picture.getpalette()[:12] == np.ravel(PALETTE).tolist()
        found = np.asarray(picture)
    assert (found != truth)[mask != 255].mean() < 0.01
    assert np.asarray(Image.open(tmp_path / 'out_confidence/a.png')).max() == 255
    assert Image.open(tmp_path / 'out_overlays/deep/b.jpg').size == (48, 40)

    again = refine(*args, device='cpu', quiet=True)
    assert not again.written and len(again.skipped) == 2 and again.changed_ratio == 0
    (tmp_path / 'out/a.png').unlink()
    assert [p.name for p in refine(*args, device='cpu', quiet=True).written] == ['a.png']
    assert len(refine(*args, device='cpu', overwrite=True, quiet=True).written) == 2
    assert not list(tmp_path.rglob('*.part'))


def test_errors(tmp_path):
    image, _, mask = scene()
    write(tmp_path, 'a', image, mask)
    args = tmp_path / 'images', tmp_path / 'masks'
    for options, sentence in (
            (dict(using='crff'), "there is no refinement 'crff'; choose one of crf, par, pamr. Did you mean crf?"),
            (dict(using='par', preset='psa'), "preset 'psa' goes with the CRF; par has none, leave it out."),
            (dict(gt_prob=1), 'gt_prob is 1; trust in the masks lies between 0 and 1.'),
            (dict(max_side_px=0), 'max_side_px is 0; give a size in pixels, such as 2048.'),
            (dict(unknown='x'), "unknown is 'x'; choose one of keep, fill.")):
        with pytest.raises(ConfigError) as error:
            refine(*args, tmp_path / 'out', quiet=True, **options)
        assert str(error.value) == sentence
    with pytest.raises(ConfigError) as error:
        refine(*args, args[1])
    assert str(error.value) == (f'out is {args[1]}, a folder that is read; give another one, so that nothing is '
                                f'overwritten.')
    with pytest.raises(MissingFileError):
        refine(tmp_path / 'none', args[1], tmp_path / 'out')
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError) as error:
        refine(*args, tmp_path / 'file')
    assert str(error.value) == f'{tmp_path}/file cannot be made (File exists); give another --out.'
    (args[1] / 'a.png').rename(args[1] / 'z.png')
    with pytest.raises(DataError) as error:
        refine(*args, tmp_path / 'out')
    assert str(error.value) == (f'none of the 1 images in {args[0]} has a mask in {args[1]}; a mask is named as its '
                                f'image, for example a.jpg and a.png.')
    (args[1] / 'a.png').write_bytes(b'no')
    with pytest.raises(DataError) as error:
        refine(*args, tmp_path / 'out')
    assert str(error.value).startswith(f'none of 1 masks could be used; the first: {args[1]}/a.png is not a readable')


def test_folder_that_is_not_writable(tmp_path, monkeypatch):
    image, _, mask = scene()
    write(tmp_path, 'a', image, mask)
    monkeypatch.setattr('os.access', lambda place, mode: False)  # root may write everywhere
    with pytest.raises(ConfigError) as error:
        refine(tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out')
    assert str(error.value) == f'{tmp_path}/out is not writable; change its rights or give another --out.'


def test_command_line(tmp_path, capsys):
    from mmseg_weak.cli import main
    image, _, mask = scene()
    write(tmp_path, 'a', image, mask)
    with pytest.raises(SystemExit) as done:
        main(['refine', '--with', 'par', '--iters', '5', str(tmp_path / 'images'), str(tmp_path / 'masks'), '--out',
              str(tmp_path / 'out'), '--device', 'cpu'])
    out = capsys.readouterr().out.splitlines()
    assert done.value.code == 0 and out[0].startswith('1 masks refined (') and out[1] == f'Written: {tmp_path}/out'
    assert out[2] == f'Next: mmseg-weak new DIR --images {tmp_path}/images --masks {tmp_path}/out'
    assert (tmp_path / 'out/a.png').is_file()
