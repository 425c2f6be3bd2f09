"""check_data and make_split on folders with and without faults."""
import cv2
import numpy as np
import pytest

from mmseg_weak.apis.check_data import check_data, format_findings
from mmseg_weak.apis.split import make_split
from mmseg_weak.datasets import FolderSegDataset, UnlabeledDataset


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks', 'more'):
        (tmp_path / folder).mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / 'images' / f'{i}.jpg'), rng.integers(0, 256, (16, 20, 3), dtype=np.uint8))
        mask = np.zeros((16, 20), np.uint8)
        mask[:4] = 1
        mask[0] = 2 if i == 5 else 0
        cv2.imwrite(str(tmp_path / 'masks' / f'{i}.png'), mask)
        cv2.imwrite(str(tmp_path / 'more' / f'u{i}.jpg'), rng.integers(0, 256, (16, 20, 3), dtype=np.uint8))
    return tmp_path


def kinds(report):
    return [(finding.kind, finding.fatal) for finding in report.findings]


def check(root, **kwargs):
    return check_data(str(root / 'images'), str(root / 'masks'), unlabeled=str(root / 'more'), **kwargs)


def test_good_folders_are_described(root):
    report = check(root)
    assert report.ok
    assert report.findings == []
    assert (len(report.pairs), len(report.unlabeled), report.num_classes) == (8, 8, 3)
    assert report.median_size == (20, 16)
    assert report.values[2] == (1, 20 / (8 * 320))
    assert 'training can start' in format_findings(report)


def test_every_kind_of_fault_is_listed_at_once(root):
    cv2.imwrite(str(root / 'masks' / '0.png'), np.full((16, 20, 3), 9, np.uint8))
    cv2.imwrite(str(root / 'masks' / '1.png'), np.zeros((8, 8), np.uint8))
    cv2.imwrite(str(root / 'masks' / '2.png'), np.full((16, 20), 99, np.uint8))
    data = (root / 'images' / '3.jpg').read_bytes()
    (root / 'images' / '3.jpg').write_bytes(data[:100])
    (root / 'masks' / '4.png').unlink()
    (root / 'more' / 'u2.jpg').write_bytes(b'no image')
    cv2.imwrite(str(root / 'masks' / 'spare.png'), np.zeros((8, 8), np.uint8))
    report = check(root, classes=('a', 'b', 'c'))
    assert not report.ok
    assert sorted(kinds(report)) == sorted([
        ('broken', True), ('rgb_mask', True), ('size', True), ('values', True), ('no_mask', False),
        ('unused_mask', False), ('broken', False)])
    assert [fatal for _, fatal in kinds(report)] == sorted(
        (fatal for _, fatal in kinds(report)), reverse=True
    )
    text = format_findings(report)
    assert '1 of 7 masks are RGB' in text
    assert '2.png holds the class index 99, but there are 3 classes' in text
    assert '1 of 8 unlabelled images cannot be read' in text
    assert len(report.unlabeled) == 7


def test_grey_levels_are_not_taken_for_classes(root):
    for path in (root / 'masks').iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), mask * 120)
    assert ('sparse_values', True) in kinds(check(root))


def test_a_missing_folder_is_a_finding(tmp_path):
    report = check_data(str(tmp_path / 'none'), str(tmp_path / 'none'))
    assert not report.ok
    assert 'does not exist' in format_findings(report)


def test_lists_are_written_in_the_form_the_datasets_read(root, tmp_path):
    result = make_split(str(tmp_path / 'out'), images='images', masks='masks', data_root=str(root),
                        denominators=[4, 2], seed=3)
    assert [row[:3] for row in result.written] == [('1_4', 2, 6), ('1_2', 4, 4)]
    assert result.num_classes == 3
    assert result.written[0][3] == []  # the one image with class 2 is among the two
    small, large = (FolderSegDataset(list_file=f'{tmp_path}/out/{name}/labeled.txt', data_root=str(root),
                                     classes=('a', 'b', 'c')) for name in ('1_4', '1_2'))
    names = [{d.get_data_info(i)['img_path'] for i in range(len(d))} for d in (small, large)]
    assert names[0] < names[1]
    assert str(root / 'images' / '5.jpg') in names[0]
    rest = UnlabeledDataset(list_file=f'{tmp_path}/out/1_4/unlabeled.txt', data_root=str(root))
    assert len(rest) == 6
    assert '2 labelled, 6 unlabelled' in result.text()
