"""Image files as people have them."""
import numpy as np
import pytest
from PIL import Image

from mmseg_weak.apis.images import find_images, read_image, to_bgr
from mmseg_weak.errors import DataError, MissingFileError

COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8)


def test_every_kind_becomes_8_bit_bgr(tmp_path):
    grey = np.array([[0, 128, 255], [1, 2, 3]], np.uint8)
    rgb = Image.fromarray(COLOURS)
    palette = Image.fromarray(np.array([[0, 1, 2], [0, 1, 2]], np.uint8)).convert('P')
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    files = dict(rgb=(rgb, COLOURS), grey=(Image.fromarray(grey), np.repeat(grey[..., None], 3, 2)),
                 rgba=(Image.fromarray(np.dstack([COLOURS, np.full((2, 3), 7, np.uint8)])), COLOURS),
                 deep=(Image.fromarray(grey.astype(np.uint16) * 257), np.repeat(grey[..., None], 3, 2)),
                 palette=(palette, np.repeat(COLOURS[:1], 2, 0)),
                 bit=(Image.fromarray(grey > 100), np.repeat(np.where(grey > 100, 255, 0)[..., None], 3, 2)))
    for name, (picture, expected) in files.items():
        picture.save(tmp_path / f'{name}.png')
        image = read_image(tmp_path / f'{name}.png')
        assert image.dtype == np.uint8, name
        assert image[..., ::-1].tolist() == expected.tolist(), name
    rgb.save(tmp_path / 'frames.gif')
    assert read_image(tmp_path / 'frames.gif').shape == (2, 3, 3)


def test_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(np.zeros((8, 16, 3), np.uint8)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').shape == (16, 8, 3)
    assert read_image(tmp_path / 'a.jpg', exif=False).shape == (8, 16, 3)


def test_broken_files_have_one_sentence(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / 'whole.jpg')
    (tmp_path / 'cut.jpg').write_bytes((tmp_path / 'whole.jpg').read_bytes()[:1500])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_text('no image')
    said = {}
    for name in ('cut', 'empty', 'text'):
        with pytest.raises(DataError) as error:
            read_image(tmp_path / f'{name}.jpg')
        said[name] = str(error.value)
    assert said['empty'] == f'{tmp_path}/empty.jpg is empty (0 bytes); copy it again'
    assert said['text'] == (f'{tmp_path}/text.jpg is no readable image (not a known image format); copy it again or '
                            f'leave '
                            f'it out')
    assert said['cut'].startswith(f'{tmp_path}/cut.jpg is no readable image (image file is truncated')
    with pytest.raises(MissingFileError) as error:
        read_image(tmp_path / 'none.jpg')
    assert str(error.value) == f'there is no image {tmp_path}/none.jpg; check the path'


def test_arrays():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (to_bgr(grey) == grey[..., None]).all() and to_bgr(grey).shape == (2, 3, 3)
    assert to_bgr(np.full((2, 2, 4), 0x1234, np.uint16)).tolist() == np.full((2, 2, 3), 0x12).tolist()
    with pytest.raises(DataError) as error:
        to_bgr(np.zeros((2, 2, 3), np.float32))
    assert str(error.value) == 'an image array has type float32; give uint8 (0-255) or uint16'
    with pytest.raises(DataError) as error:
        to_bgr(np.zeros((2, 0, 3), np.uint8))
    assert str(error.value) == ('an image array has shape (2, 0, 3); give (H, W), (H, W, 3) in BGR order or (H, W, 4)')


def test_files_folders_and_globs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('in/a.jpg', 'in/deep/b.PNG', 'in/.hidden/c.jpg', 'in/note.txt', 'out/masks/a.png', 'x.bin'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'x')
    def names(*what, **kwargs):
        return [(str(file), str(name)) for file, name in find_images(*what, **kwargs)]
    assert names('in') == [('in/a.jpg', 'a.jpg'), ('in/deep/b.PNG', 'deep/b.PNG')]
    assert names(['in/a.jpg', 'in', 'x.bin'])[0::2] == [('in/a.jpg', 'a.jpg'), ('x.bin', 'x.bin')]
    assert names('in/**/*') == [('in/a.jpg', 'a.jpg'), ('in/deep/b.PNG', 'b.PNG')]
    assert names('.', leave_out=tmp_path / 'out') == [('in/a.jpg', 'in/a.jpg'), ('in/deep/b.PNG', 'in/deep/b.PNG')]
    with pytest.raises(MissingFileError) as error:
        find_images('nowhere')
    assert str(error.value) == 'there is no image, folder or pattern nowhere; check the path'
    with pytest.raises(DataError) as error:
        find_images(['*.tif', 'in/.hidden/no*'])
    assert str(error.value) == ('*.tif, in/.hidden/no* holds no image; images end in .jpg, .jpeg, .png, .bmp, .tif, '
                                '.tiff, '
                                '.webp, .ppm, .pgm')
