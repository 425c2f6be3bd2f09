"""FolderSegDataset and UnlabeledDataset: pairing, mask formats, faults told in one sentence."""
import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weak.datasets import FolderSegDataset, UnlabeledDataset
from mmseg_weak.datasets.pairs import pair_folders, take_subset
from mmseg_weak.errors import ConfigError, DataError, MissingFileError

CLASSES = ('a', 'b', 'c')
LOAD = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]


def folder(root, **kwargs):
    kwargs = {'classes': CLASSES, 'pipeline': LOAD, **kwargs}
    return FolderSegDataset(images='images', masks='masks', data_root=str(root), **kwargs)


def rgb(root, name, colour=(255, 0, 0), size=(20, 24)):
    cv2.imwrite(str(root / 'masks' / name), np.full((*size, 3), colour[::-1], np.uint8))


def test_pairs_by_stem_below_folders_and_with_an_ending(tmp_path):
    for name in (
        'images/x/1.jpg',
        'images/x/2.jpg',
        'masks/x/1_mask.png',
        'masks/x/2_mask.png',
        'masks/x/3_mask.png',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    pairs = pair_folders(str(tmp_path / 'images'), str(tmp_path / 'masks'))
    assert [(p.image[-7:], p.mask[-12:]) for p in pairs] == [
        ('x/1.jpg', 'x/1_mask.png'),
        ('x/2.jpg', 'x/2_mask.png'),
    ]


def test_a_palette_mask_gives_its_indices(make_folders):
    root = make_folders(1)
    indices = np.zeros((20, 24), np.uint8)
    indices[5:10] = 2
    image = Image.frombytes('P', (24, 20), indices.tobytes())
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(root / 'masks' / '00.png')
    loaded = folder(root)[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert (loaded == indices).all()


def test_rgb_masks_are_refused_with_the_remedy(make_folders):
    root = make_folders(5)
    for name in ('01.png', '03.png'):
        rgb(root, name)
    with pytest.raises(DataError) as error:
        folder(root)
    assert str(error.value) == (
        f'2 of 5 masks are RGB (first: {root}/masks/01.png); a mask is one channel of class indices. Save '
        'class indices instead of colours; docs/data.md shows how.'
    )


def test_rgb_masks_are_read_with_a_colour_map(make_folders):
    root = make_folders(2)
    rgb(root, '00.png', (255, 0, 0))
    rgb(root, '01.png', (0, 0, 255))
    colours = {'#ff0000': 1, (0, 0, 255): 2}
    dataset = folder(root, color_map=colours)
    assert [int(dataset[i]['data_samples'].gt_sem_seg.data.unique()) for i in range(2)] == [1, 2]
    rgb(root, '01.png', (0, 9, 255))
    with pytest.raises(DataError, match=r'has the colour #0009ff, which is not in dataset\.color_map'):
        folder(root, color_map=colours)


def test_a_missing_mask_is_named(make_folders):
    root = make_folders(3)
    (root / 'masks' / '02.png').unlink()
    with pytest.raises(DataError, match=r'1 of 3 images in images have no mask \(first: .*02\.jpg\)'):
        folder(root)


def test_masks_of_a_list_that_are_not_there_are_counted(make_folders):
    root = make_folders(3)
    (root / 'list.txt').write_text('images/00.jpg masks/00.png\nimages/01.jpg masks/none.png')
    with pytest.raises(MissingFileError, match=r'1 of 2 masks do not exist \(first: .*none\.png\)'):
        FolderSegDataset(list_file=str(root / 'list.txt'), data_root=str(root), classes=CLASSES)


def test_another_size_is_refused(make_folders):
    root = make_folders(3)
    cv2.imwrite(str(root / 'masks' / '01.png'), np.zeros((10, 12), np.uint8))
    with pytest.raises(
        DataError,
        match=r'1 of 3 masks differ in size from their image \(first: .*01\.png\): 12x10 '
        r'where its image .*01\.jpg has 24x20',
    ):
        folder(root)


def test_a_value_outside_the_classes_is_refused_at_the_start_or_when_loaded(make_folders):
    root = make_folders(3)
    mask = np.zeros((20, 24), np.uint8)
    mask[3, 3] = 7
    cv2.imwrite(str(root / 'masks' / '01.png'), mask)
    sentence = r'01\.png holds the class index 7, but there are 3 classes \(0 to 2, 255 for unknown\)'
    with pytest.raises(DataError, match=sentence):
        folder(root)
    lazy = folder(root, check='headers')
    lazy[0]
    with pytest.raises(DataError, match=sentence):
        lazy[1]


def test_a_truncated_labelled_image_is_found_before_training(make_folders):
    root = make_folders(3)
    data = (root / 'images' / '02.jpg').read_bytes()
    (root / 'images' / '02.jpg').write_bytes(data[:-20])
    with pytest.raises(DataError, match=r'1 of 3 images cannot be read .*02\.jpg is truncated'):
        folder(root)


def test_reduce_zero_label_makes_zero_unknown(make_folders):
    root = make_folders(1)
    cv2.imwrite(str(root / 'masks' / '00.png'), np.tile(np.uint8([0, 1, 3, 255]), (20, 6)))
    loaded = folder(root, reduce_zero_label=True)[0]['data_samples'].gt_sem_seg.data[0, 0, :4]
    assert loaded.tolist() == [255, 0, 2, 255]


def test_test_mode_opens_no_mask(make_folders):
    root = make_folders(2)
    (root / 'masks' / '00.png').write_bytes(b'not a mask')
    assert len(folder(root, test_mode=True)) == 2


def test_large_sets_are_looked_at_in_part_but_missing_files_are_all_found(make_folders, monkeypatch):
    monkeypatch.setattr('mmseg_weak.datasets.folder._MOST_HEADERS', 100)
    root = make_folders(2)
    lines = ['images/00.jpg masks/00.png'] * 250
    (root / 'list.txt').write_text('\n'.join(lines))
    files = dict(list_file=str(root / 'list.txt'), data_root=str(root), classes=CLASSES)
    assert len(FolderSegDataset(**files)) == 250
    (root / 'list.txt').write_text('\n'.join([*lines, 'images/00.jpg masks/none.png']))
    with pytest.raises(MissingFileError, match=r'1 of 251 masks do not exist'):
        FolderSegDataset(**files)


def test_unlabelled_images_need_no_masks(make_folders):
    root = make_folders(3)
    for path in (root / 'masks').iterdir():
        path.unlink()
    dataset = UnlabeledDataset(images='images', data_root=str(root), pipeline=LOAD)
    assert len(dataset) == 3
    assert list(dataset[0]['data_samples'].keys()) == []


def test_empty_and_missing_folders(tmp_path):
    (tmp_path / 'images').mkdir()
    with pytest.raises(DataError, match='holds no image'):
        UnlabeledDataset(images=str(tmp_path / 'images'))
    with pytest.raises(MissingFileError, match='does not exist'):
        UnlabeledDataset(images=str(tmp_path / 'nothing'))


def test_an_exif_turn_moves_neither_image_nor_mask(make_folders):
    root = make_folders(1)
    image = Image.open(root / 'images' / '00.jpg')
    exif = image.getexif()
    exif[274] = 6
    image.save(root / 'images' / '00.jpg', exif=exif)
    sample = folder(root)[0]
    assert sample['inputs'].shape[1:] == sample['data_samples'].gt_sem_seg.shape == (20, 24)
    turned = [dict(type='LoadImage', exif=True), dict(type='PackSemiInputs')]
    assert UnlabeledDataset(images='images', data_root=str(root), pipeline=turned)[0]['inputs'].shape[1:] == (
        24,
        20,
    )


def test_masks_over_the_turned_view_are_told_the_remedy_and_it_works(make_folders):
    root = make_folders(1)
    image = Image.open(root / 'images' / '00.jpg')
    exif = image.getexif()
    exif[274] = 6
    image.save(root / 'images' / '00.jpg', exif=exif)
    cv2.imwrite(str(root / 'masks' / '00.png'), np.zeros((24, 20), np.uint8))
    with pytest.raises(DataError, match=r'its EXIF tag turns it: set exif=True in LoadImage'):
        folder(root)
    sample = folder(root, pipeline=[dict(type='LoadImage', exif=True), *LOAD[1:]])[0]
    assert sample['inputs'].shape[1:] == sample['data_samples'].gt_sem_seg.shape == (24, 20)


@pytest.mark.parametrize('rule, expected', [
    (dict(every=3), [0, 3, 6]), (dict(every=3, complement=True), [1, 2, 4, 5, 7]), (dict(first=2), [0, 1]),
    ([4, 1], [4, 1]), (dict(indices=[2]), [2]), (None, list(range(8))),
])
def test_subsets(rule, expected):
    assert take_subset(list(range(8)), rule) == expected


def test_a_seeded_subset_and_its_complement_divide_the_images():
    rule = dict(count=3, seed=1)
    chosen, rest = (
        take_subset(list(range(8)), rule),
        take_subset(list(range(8)), {**rule, 'complement': True}),
    )
    assert sorted(chosen + rest) == list(range(8))
    assert len(chosen) == 3


def test_an_unknown_subset_rule_is_named():
    with pytest.raises(ConfigError, match=r"dataset\.subset=\{'evry': 8\} is not understood"):
        take_subset([1, 2], dict(evry=8))


def test_classes_by_dataset_name(make_folders):
    dataset = folder(make_folders(1), classes='voc')
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 21
    with pytest.raises(
        ConfigError, match=r"classes='cityscape' is no dataset that mmseg knows\. Did you mean cityscapes"
    ):
        folder(make_folders(1), classes='cityscape')
