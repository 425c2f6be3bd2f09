"""Palettes and pictures."""
import io

import numpy as np
import pytest
from PIL import Image

from mmseg_weak.visualization import colorize, confidence_picture, grid, mask_png, overlay, shrink, voc_palette


def test_voc_palette_is_voc_and_never_repeats():
    palette = voc_palette(1000)
    assert palette[:6] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]]
    assert palette[255] == [224, 224, 192]  # VOC's own void colour
    assert len({tuple(colour) for colour in palette[:256]}) == 256


def test_colorize_paints_unknown_white():
    mask = np.array([[0, 1], [255, 7]], np.uint8)
    assert colorize(mask, [[1, 2, 3], [4, 5, 6]]).tolist() == [[[1, 2, 3], [4, 5, 6]], [[255] * 3, [255] * 3]]


def test_overlay_leaves_unlabelled_pixels_bare():
    image = np.full((1, 2, 3), 100, np.uint8)
    mixed = overlay(image, np.array([[0, 255]], np.uint8), [[200, 0, 100]], opacity=0.25)
    assert mixed.tolist() == [[[125, 75, 100], [100, 100, 100]]]


def test_overlay_of_another_size_is_refused():
    with pytest.raises(ValueError, match='^the image is 3x2 and its mask 2x2; an overlay needs both of one size$'):
        overlay(np.zeros((2, 3, 3), np.uint8), np.zeros((2, 2), np.uint8))


def test_confidence_grows_brighter():
    ramp = confidence_picture(np.linspace(0, 1, 50)[None])[0].astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(ramp) > 0).all()
    assert confidence_picture(np.array([[np.nan, -1.0, 2.0]]))[0].tolist() == [[26, 5, 51], [26, 5, 51], [250, 230, 40]]


@pytest.mark.parametrize('highest', [3, 255, 300])
def test_mask_png_keeps_every_value(highest):
    mask = np.array([[0, 1, highest]], np.uint16 if highest > 255 else np.uint8)
    with Image.open(io.BytesIO(mask_png(mask, [[9, 8, 7]]))) as picture:
        assert np.asarray(picture).tolist() == [[0, 1, highest]]
        if highest < 256:
            assert picture.mode == 'P' and picture.getpalette()[:6] == [9, 8, 7, 255, 255, 255]


def test_shrink_keeps_values_of_masks_and_small_pictures():
    mask = np.repeat(np.repeat(np.array([[0, 9], [5, 255]], np.uint8), 4, 0), 4, 1)
    assert shrink(mask, 2, nearest=True).tolist() == [[0, 9], [5, 255]]
    assert shrink(mask, 100) is mask
    assert shrink(np.zeros((1, 1000), np.uint8), 10).shape == (1, 10)


def test_grid_places_pictures():
    red, blue = np.zeros((2, 2, 3), np.uint8), np.zeros((4, 2, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    sheet = grid([[red, blue], [blue]], cell_px=8, gap_px=2)
    assert sheet.shape == (22, 22, 3)
    assert sheet[6, 6].tolist() == [255, 0, 0] and sheet[6, 16].tolist() == [0, 0, 255]
    assert sheet[6, 12].tolist() == [255] * 3  # blue is narrow and centred
    with pytest.raises(ValueError, match='^grid\\(\\) got no picture; give at least one row with one picture$'):
        grid([])
