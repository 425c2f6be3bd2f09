"""Labelling a folder."""
import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weak.apis.inferencer import SegInferencer
from mmseg_weak.apis.predict import predict
from mmseg_weak.errors import ConfigError, DataError


def photo(path, size=(20, 30), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def test_folder_with_a_broken_file(make_model, tmp_path):
    config, checkpoint = make_model()
    photos = tmp_path / 'photos'
    photo(photos / 'a.png')
    photo(photos / 'deep/a.png', seed=1)
    photo(photos / 'deep/b.png', seed=2)
    photo(photos / 'deep/b.jpg', seed=3)
    (photos / 'bad.jpg').write_bytes(b'no')
    out = photos / 'labels'  # inside the folder that is read
    result = predict(photos, out, config, checkpoint, device='cpu', quiet=True)
    assert sorted(str(path.relative_to(out)) for path in result.written) == [
        'masks/a.png', 'masks/deep/a.png', 'masks/deep/b_jpg.png', 'masks/deep/b_png.png']
    assert result.broken == [(photos / 'bad.jpg', f'{photos}/bad.jpg is no readable image (not a known image format); '
                                                  f'copy '
                                                  f'it again or leave it out')]
    expected = SegInferencer(config, checkpoint, device='cpu')(photos / 'deep/a.png')
    with Image.open(out / 'masks/deep/a.png') as mask:
        assert mask.mode == 'P' and mask.getpalette()[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        assert (np.asarray(mask) == expected.mask).all()
    with Image.open(out / 'confidence/deep/a.png') as confidence:
        assert np.abs(np.asarray(confidence) / 255 - expected.confidence).max() < 0.002 + 1e-6
    assert Image.open(out / 'overlays/deep/a.jpg').size == (30, 20)
    assert json.loads((out / 'classes.json').read_text())['classes'] == ['sky', 'road', 'car']
    assert not list(out.rglob('*.part'))

    again = predict(photos, out, config, checkpoint, device='cpu', quiet=True)
    assert not again.written and len(again.skipped) == 4 and len(again.broken) == 1
    (out / 'masks/a.png').unlink()  # as if interrupted
    assert [p.name for p in predict(photos, out, config, checkpoint, device='cpu', quiet=True).written] == ['a.png']
    assert len(predict(photos, out, config, checkpoint, device='cpu', overwrite=True, quiet=True).written) == 4


def test_without_confidence_and_overlays(make_model, tmp_path):
    photo(tmp_path / 'a.png')
    predict(tmp_path / 'a.png',
            tmp_path / 'out',
            *make_model(),
            device='cpu',
            confidence=False,
            overlays=False,
            quiet=True)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['classes.json', 'masks']


def test_errors(make_model, tmp_path):
    config, checkpoint = make_model()
    (tmp_path / 'bad.jpg').write_bytes(b'no')
    with pytest.raises(DataError) as error:
        predict(tmp_path / 'bad.jpg', tmp_path / 'out', config, checkpoint, device='cpu', quiet=True)
    assert str(error.value) == (f'none of 1 images could be read; the first: {tmp_path}/bad.jpg is no readable image '
                                f'(not a '
                                f'known image format); copy it again or leave it out')
    with pytest.raises(ConfigError) as error:
        predict(tmp_path / 'bad.jpg', tmp_path / 'out', config, checkpoint, opacity=2)
    assert str(error.value) == 'opacity is 2; give a share in [0, 1]'
