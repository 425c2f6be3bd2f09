"""The list of methods, and downloads from a server on this machine."""
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmseg_weak.apis.fetch import fetch
from mmseg_weak.apis.list_methods import format_methods, list_methods
from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError

METAFILE = """
Collections:
  - Name: UniMatch
    License: Apache-2.0
    Paper: {Title: Revisiting Weak-to-Strong Consistency, URL: https://arxiv.org/abs/2208.09910}
Models:
  - Name: unimatch_free
    In Collection: UniMatch
    Config: configs/unimatch/unimatch_free.py
    Metadata:
      Supervision: some masks, unlabelled images
      Weights: {name: none, licence: none}
      Data: {name: ToyWorld, licence: Apache-2.0, commercial: true}
    Weights: URL
  - Name: unimatch_voc
    Config: configs/unimatch/unimatch_voc.py
    Metadata:
      Supervision: some masks, unlabelled images
      Weights: {name: ResNet-101, licence: ImageNet (research only)}
      Data: {name: VOC 2012, licence: Flickr terms, commercial: false}
"""


@pytest.fixture
def configs(tmp_path):
    folder = tmp_path / 'configs/unimatch'
    folder.mkdir(parents=True)
    (folder / 'metafile.yml').write_text(METAFILE)
    return tmp_path / 'configs'


def test_list(configs):
    method, = list_methods(configs=configs)
    assert (method.slug, method.name, method.paper) == ('unimatch', 'UniMatch', 'Revisiting Weak-to-Strong Consistency')
    assert method.supervision == 'some masks, unlabelled images'
    assert [(model.name, model.commercial) for model in method.models] == [('unimatch_free', True),
                                                                           ('unimatch_voc', False)]
    assert method.models[0].config == configs / 'unimatch/unimatch_free.py'
    only, = list_methods(commercial_only=True, configs=configs)
    assert [model.name for model in only.models] == ['unimatch_free']
    assert format_methods([method]).splitlines() == [
        'unimatch  (UniMatch)', '  learns from: some masks, unlabelled images',
        '  paper: Revisiting Weak-to-Strong Consistency, https://arxiv.org/abs/2208.09910', '  our code: Apache-2.0',
        '  configs: 2, for example unimatch_free',
        '  weights: ResNet-101 (ImageNet (research only)); trained on VOC 2012 (Flickr terms)',
        '  weights: none (none); trained on ToyWorld (Apache-2.0)']
    assert '    weights: none (none); data: ToyWorld (Apache-2.0); commercial use allowed' in format_methods([method],
                                                                                                             True)


@pytest.mark.parametrize('licence, allowed', [('Apache-2.0', True), ('CC BY 4.0', True), ('CC BY-NC 4.0', False),
                                              ('CC-BY-NC-SA', False), ('research only', False), ('BSD-3-Clause', True),
                                              ('unknown', False), ('non-commercial', False)])
def test_commercial_by_the_licence_name(configs, licence, allowed):
    file = configs / 'unimatch/metafile.yml'
    file.write_text(METAFILE.replace('licence: Apache-2.0, commercial: true', f'licence: {licence}'))
    assert list_methods(configs=configs)[0].models[0].commercial is allowed


def test_unknown_names(configs):
    with pytest.raises(ConfigError) as error:
        list_methods('unimach', configs=configs)
    assert str(error.value) == "there is no method 'unimach'. Did you mean unimatch? `mmseg-weak list` shows all"
    with pytest.raises(ConfigError) as error:
        fetch('unimatch_fre', configs=configs)
    assert str(error.value) == ("there is no config 'unimatch_fre'. Did you mean unimatch_free, unimatch_voc? "
                                '`mmseg-weak list` shows all')
    with pytest.raises(ConfigError) as error:
        fetch('unimatch_voc', configs=configs)
    assert str(error.value) == ('no trained checkpoint of unimatch_voc is published (there is one for unimatch_free); '
                                'train '
                                'it with `mmseg-weak train unimatch_voc`')
    (configs / 'unimatch/metafile.yml').write_text('Models: [\n  - x: {')
    with pytest.raises(ConfigError, match='unimatch/metafile.yml is no valid YAML'):
        list_methods(configs=configs)


@pytest.fixture
def server(tmp_path):
    """An HTTP server on 127.0.0.1 over a folder."""
    folder = tmp_path / 'served'
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        cut = False

        def log_message(self, *args):
            pass

        def copyfile(self, source, outputfile):
            outputfile.write(source.read()[:-10] if Quiet.cut else source.read())

    http = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield folder, f'http://127.0.0.1:{http.server_port}', Quiet
    http.shutdown()
    http.server_close()


def test_fetch(configs, server, tmp_path):
    folder, address, handler = server
    data = b'weights' * 1000
    good = f'free-{hashlib.sha256(data).hexdigest()[:8]}.pth'
    (folder / good).write_bytes(data)
    (folder / 'free-00000000.pth').write_bytes(data)
    metafile = configs / 'unimatch/metafile.yml'

    def say(name):
        metafile.write_text(METAFILE.replace('Weights: URL', f'Weights: {address}/{name}'))

    out = tmp_path / 'out'
    say(good)
    path = fetch('unimatch_free', out, configs=configs, quiet=True)
    assert path == out / good and path.read_bytes() == data
    (folder / good).unlink()
    assert fetch('unimatch_free', out, configs=configs, quiet=True) == path  # there already, nothing is asked for
    path.write_bytes(b'damaged')
    with pytest.raises(CheckpointError) as error:
        fetch('unimatch_free', out, configs=configs, quiet=True)
    assert str(error.value) == (f'{path} is there, but its SHA-256 does not start with {good[5:13]} as its name says; '
                                f'delete '
                                f'it, or say overwrite')
    path.unlink()
    with pytest.raises(MissingFileError) as error:
        fetch('unimatch_free', out, configs=configs, quiet=True)
    assert str(error.value) == f'{address}/{good} answers 404 (File not found); check the address in the metafile'
    say('free-00000000.pth')
    with pytest.raises(CheckpointError) as error:
        fetch('unimatch_free', out, configs=configs, quiet=True)
    assert str(error.value) == (f'{address}/free-00000000.pth gave a file whose SHA-256 starts with {good[5:13]}, not '
                                f'with '
                                f'00000000 as its name says; it was not kept, try again or tell its owner')
    handler.cut = True
    (folder / good).write_bytes(data)
    say(good)
    with pytest.raises(CheckpointError) as error:
        fetch('unimatch_free', out, configs=configs, quiet=True)
    assert str(error.value) == f'{address}/{good} broke off after 6990 of 7000 bytes; try again'
    say('free.pth')
    with pytest.raises(ConfigError) as error:
        fetch('unimatch_free', out, configs=configs, quiet=True)
    assert str(error.value) == (f'the checkpoint of unimatch_free is given as {address}/free.pth; an http(s) address '
                                f'is needed '
                                f'whose file name ends in -<first 8 digits of its SHA-256>.pth')
    assert list(out.iterdir()) == []


def test_server_that_is_not_there(configs):
    metafile = configs / 'unimatch/metafile.yml'
    metafile.write_text(METAFILE.replace('Weights: URL', 'Weights: http://127.0.0.1:9/x-00000000.pth'))
    with pytest.raises(MissingFileError) as error:
        fetch('unimatch_free', configs.parent / 'out', configs=configs, quiet=True)
    assert str(error.value).startswith('http://127.0.0.1:9/x-00000000.pth cannot be reached (')
