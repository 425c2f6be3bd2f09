"""The verb index: what it says, where it writes, how it refuses."""
import cv2
import numpy as np
import pytest
import torch

from mmseg_weak import cli

CONFIG = """
default_scope = 'mmseg'
archive = dict(type='ToyWorldDataset', num_images=4, size=32, supervision=('caption', ))
model = dict(
    type='ReCo', names=['ball', 'drum'], contexts=('sand', ), count=2, picture_px=32,
    clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value'),
    encoder=dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, )),
    test_cfg=dict(short_side_px=32, crop_px=0, multiple_px=8))
"""


def run(capsys, *args, verb='index'):
    """Exit code, stdout, stderr of a call in this process."""
    with pytest.raises(SystemExit) as done:
        cli.main([verb, *map(str, args)])
    streams = capsys.readouterr()
    return done.value.code, streams.out, streams.err


@pytest.mark.parametrize('verb', list(cli.cli.commands['index'].commands))
def test_help_of_each_kind(capsys, verb):
    code, out, _ = run(capsys, verb, '--help')
    assert code == 0 and f'Usage: mmseg-weak index {verb} [OPTIONS] CONFIG' in out
    last = ' '.join(out[out.index('Example'):].split())
    assert f'mmseg-weak index {verb} {verb}_toyworld' in last


def test_reco(capsys, tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG)
    code, out, _ = run(capsys, 'reco', config, 'model.count=3', '--out', tmp_path / 'index', '--device', 'cpu')
    assert code == 0
    assert out.splitlines() == [
        '7 pictures and references made, 0 were there already, 0 images cannot be read; it knows sand, ball, drum.',
        f'Written: {tmp_path}/index', f'Next: mmseg-weak test {config} model.index={tmp_path}/index']


def test_captions_and_the_words_in_them(capsys, tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text("""
default_scope = 'mmseg'
model = dict(type='CaSED', count=2, clip=dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None),
             test_cfg=dict(grids=(2, ), crop_px=32, cells=4, image_px=32))
""")
    (tmp_path / 'captions.txt').write_text('a red ball\ntwo red drums\n')
    index, photo, out = tmp_path / 'index', tmp_path / 'a.png', tmp_path / 'out'
    torch.manual_seed(0)
    code, text, _ = run(capsys, 'cased', config, '--captions', tmp_path / 'captions.txt', '--out', index)
    assert code == 0
    assert text.splitlines() == ['2 captions embedded, 0 were there already.', f'Written: {index}',
                                 f'Next: mmseg-weak words IMAGES --index {index} --config {config}']
    cv2.imwrite(str(photo), np.zeros((32, 32, 3), np.uint8))
    torch.manual_seed(0)
    code, text, _ = run(capsys, photo, '--index', index, '--config', config, '--out', out, '--top', 1, verb='words')
    lines = text.splitlines()
    assert code == 0 and lines[0] == 'a.png: red 100 %'  # the one word of both captions
    assert lines[1:] == ['1 images named, 0 cannot be read.', f'Written: {out}',
                         f'Next: look at {out}/overlays, or train on the tags: mmseg-weak new DIR --images IMAGES '
                         f'--tags {out}/tags.csv']
    code, text, err = run(capsys, 'cased', config, '--captions', tmp_path / 'none.txt', '--out', index)
    assert (code, text) == (2, '') and err.startswith(f'Error: There is no file of captions {tmp_path}/none.txt; ')


def test_what_is_wrong_in_a_sentence(capsys, tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG)
    assert run(capsys, 'reco', config) == (2, '', f'Error: {config} names no model.index and no --out was given; say '
                                                  'where to write.\n')
    (tmp_path / 'void').mkdir()
    code, out, err = run(capsys, 'reco', config, '--images', tmp_path / 'void', '--out', tmp_path / 'a')
    assert (code, out) == (2, '') and err.startswith(f'Error: {tmp_path}/void holds no image; images end in .jpg')
