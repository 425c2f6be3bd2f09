"""List files in every published form."""
import os

import pytest

from mmseg_weak.datasets.lists import read_pairs, split_columns
from mmseg_weak.errors import DataError, MissingFileError


def write(tmp_path, text, *files):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    path = tmp_path / 'list.txt'
    path.write_bytes(text.encode())
    return str(path)


def relative(pairs, root):
    return [tuple(os.path.relpath(p, root) if p else None for p in pair) for pair in pairs]


@pytest.mark.parametrize('text', [
    'JPEGImages/a.jpg Seg/a.png\nJPEGImages/b.jpg Seg/b.png\n',
    'JPEGImages/a.jpg Seg/a.png\nJPEGImages/b.jpg Seg/b.png',  # no final newline
    'JPEGImages/a.jpg\tSeg/a.png\nJPEGImages/b.jpg\tSeg/b.png',
    'JPEGImages/a.jpg Seg/a.png\r\nJPEGImages/b.jpg Seg/b.png\r\n',
    '\ufeffJPEGImages/a.jpg  Seg/a.png \n\n/JPEGImages/b.jpg /Seg/b.png\n',
])
def test_two_columns(tmp_path, text):
    pairs = read_pairs(write(tmp_path, text), str(tmp_path))
    assert relative(pairs, tmp_path) == [('JPEGImages/a.jpg', 'Seg/a.png'), ('JPEGImages/b.jpg', 'Seg/b.png')]


def test_bare_ids_take_folders_and_the_suffix_that_exists(tmp_path):
    path = write(tmp_path, '2007_000032\n2007_000039', 'img/2007_000032.jpg', 'img/2007_000039.png')
    pairs = read_pairs(path, str(tmp_path), images=str(tmp_path / 'img'), masks=str(tmp_path / 'seg'))
    assert relative(pairs, tmp_path) == [('img/2007_000032.jpg', 'seg/2007_000032.png'),
                                         ('img/2007_000039.png', 'seg/2007_000039.png')]


def test_image_paths_with_a_derived_mask(tmp_path):
    line = 'leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png'
    pairs = read_pairs(write(tmp_path, line), str(tmp_path), mask_replace=[
        ('leftImg8bit/', 'gtFine/'), ('_leftImg8bit.png', '_gtFine_labelTrainIds.png')])
    assert relative(pairs, tmp_path) == [
        (line, 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png')
    ]


def test_one_column_of_images_has_no_mask(tmp_path):
    assert relative(read_pairs(write(tmp_path, 'x/a.jpg\nx/b.jpg'), str(tmp_path)), tmp_path) == [
        ('x/a.jpg', None), ('x/b.jpg', None)]


@pytest.mark.parametrize('line, files, expected', [
    ('my img/a.jpg my seg/a.png', (), ('my img/a.jpg', 'my seg/a.png')),
    ('img/a b.jpg seg/a b.png', (), ('img/a b.jpg', 'seg/a b.png')),
    ('img/a.jpg b.jpg seg/a.png', ('img/a.jpg b.jpg', ), ('img/a.jpg b.jpg', 'seg/a.png')),
    ('img/a.jpg b.jpg', ('img/a.jpg b.jpg', ), ('img/a.jpg b.jpg', None)),
    ('img/a.jpg b.jpg', ('img/a.jpg', ), ('img/a.jpg', 'b.jpg')),
    ('img/holiday photo.jpg', (), ('img/holiday photo.jpg', None)),
])
def test_spaces_in_paths(line, files, expected):
    assert split_columns(line, lambda path: path in files) == expected


def test_missing_and_empty_lists(tmp_path):
    with pytest.raises(MissingFileError, match=r'none\.txt does not exist'):
        read_pairs(str(tmp_path / 'none.txt'))
    with pytest.raises(DataError, match='is empty; it needs at least one line'):
        read_pairs(write(tmp_path, '\n \r\n'))
