"""The local page: answers are the inferencer's, limits hold, other sites and paths are refused; in Chromium."""
import http.client
import io
import json
import os
import re
import shutil
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weak.apis.open_vocab import OpenVocabInferencer
from mmseg_weak.apis.page.desk import Limits, decode_upload, page_names, page_palette
from mmseg_weak.errors import ConfigError, DataError

pytest.importorskip('starlette', reason='starlette is an optional requirement')
pytest.importorskip('uvicorn', reason='uvicorn is an optional requirement')
from mmseg_weak.apis import page

SMALL = Limits(upload_bytes=60_000, pixels=20_000, shown_px=3000, pictures=2, names=5, text=200)
NAMES = 'ball; drum; box'


@pytest.fixture(scope='module')
def inferencer():
    import mmseg_weak  # noqa: F401  (registers)
    options = {'model.clip.cache_dir': None, 'model.clip.templates': 'name', 'model.test_cfg.scale': 400.0}
    return OpenVocabInferencer('maskclip_toyworld', 'random', device='cpu', options=options)


@pytest.fixture(scope='module')
def server(inferencer):
    with page.PageServer(inferencer, limits=SMALL) as running:
        yield running


@pytest.fixture
def send(server):
    """Function: status, headers and body of a request to the page."""
    def make(path, body=None, method=None, **headers):
        connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=60)
        headers = {key.replace('_', '-'): value for key, value in headers.items()}
        if isinstance(body, dict):
            body, headers = json.dumps(body), {'Content-Type': 'application/json'} | headers
        connection.request(method or ('GET' if body is None else 'POST'), path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        kind = answer.headers.get_content_type()
        return answer.status, answer.headers, json.loads(data) if kind == 'application/json' else data
    return make


def picture(size=(40, 50), kind='PNG', seed=0, **options) -> tuple[bytes, np.ndarray]:
    """A file and its pixels, BGR."""
    low = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    rgb = cv2.resize(low, size[::-1], interpolation=cv2.INTER_NEAREST)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, kind, **options)
    return stream.getvalue(), rgb[..., ::-1]


def unpack(data: bytes) -> tuple[dict, np.ndarray, np.ndarray]:
    length, = struct.unpack('<I', data[:4])
    head = json.loads(data[4:4 + length])
    count, shape = head['width'] * head['height'], (head['height'], head['width'])
    labels = np.frombuffer(data, '<u2', count, 4 + length).reshape(shape)
    return head, labels, np.frombuffer(data, np.uint8, count, 4 + length + 2 * count).reshape(shape)


def test_answers_are_the_inferencers(send, inferencer):
    file, bgr = picture()
    status, _, added = send('/images', file, Content_Type='image/png')
    assert status == 200 and added['shown'] == [50, 40] == [added['width'], added['height']]
    asked = dict(image=added['image'], names=NAMES)
    want = inferencer(bgr, NAMES)
    head, labels, sure = unpack(send('/labels', asked)[2])
    assert [one['name'] for one in head['classes']] == ['ball', 'drum', 'box'] and [0, 0, 0] not in [
        one['colour'] for one in head['classes']]
    assert np.array_equal(labels, want.mask) and np.array_equal(sure, np.floor(want.confidence * 255))
    scores, _ = inferencer.scores(bgr, NAMES)
    found = send('/scores', asked | dict(number=2))[2]
    assert np.array_equal(np.frombuffer(found, np.uint8).reshape(40, 50), np.floor(scores[2] * 255))
    threshold = float(np.median(want.confidence))
    status, headers, png = send('/mask.png', asked | dict(threshold=threshold))
    mask = Image.open(io.BytesIO(png))
    assert mask.mode == 'P' and headers['Content-Disposition'] == 'attachment; filename="mask.png"'
    assert np.array_equal(np.asarray(mask), inferencer(bgr, NAMES, threshold=threshold).mask)


def test_names_change_without_looking_again(send, inferencer, monkeypatch):
    added = send('/images', picture(seed=1)[0], Content_Type='image/png')[2]
    monkeypatch.setattr(inferencer.model, 'encode', None)
    for names, background, classes in ((NAMES, '', 3), ('star', '', 2), ('star\nkite; box', 'sand; water', 3)):
        status, _, data = send('/labels', dict(image=added['image'], names=names, background=background))
        assert status == 200 and len(unpack(data)[0]['classes']) == classes


def test_a_large_picture_is_reduced_and_its_mask_is_not(send, inferencer):
    file, bgr = picture((90, 120), 'JPEG', seed=2)
    added = send('/images', file, Content_Type='image/jpeg')[2]
    assert (added['width'], added['height']) == (120, 90) and added['shown'] == [63, 47]
    asked = dict(image=added['image'], names=NAMES)
    assert unpack(send('/labels', asked)[2])[1].shape == (47, 63)
    mask = np.asarray(Image.open(io.BytesIO(send('/mask.png', asked)[2])))
    assert np.array_equal(mask, inferencer(decode_upload(file), NAMES).mask) and mask.shape == (90, 120)


def test_limits_of_uploads(send):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, 'PNG')
    status, _, answer = send('/images', stream.getvalue(), Content_Type='image/png')
    assert status == 413 and answer['error'] == '0.1 MB were sent; this page takes up to 0.1 MB.'
    parts = (stream.getvalue()[i:i + 1000] for i in range(0, 10**5, 1000))  # says no length
    status, _, answer = send('/images', parts, Content_Type='image/png')
    assert status == 413 and answer['error'].startswith('More than 0.1 MB were sent')
    status, _, answer = send('/images', picture((200, 200))[0], Content_Type='image/png')
    assert status == 400 and answer['error'].startswith('The picture has 200x200 pixels; this page takes up to 0 mi')


@pytest.mark.parametrize('kind, file, status, say', [
    ('image/gif', picture(kind='GIF')[0], 415, 'image/gif was sent; this page takes PNG, JPEG and WebP pictures.'),
    ('text/plain', b'/etc/passwd', 415, 'text/plain was sent; this page takes PNG, JPEG and WebP pictures.'),
    ('image/png', b'/etc/passwd', 400, 'The picture cannot be read: it is no PNG, JPEG or WebP file.'),
    ('image/png', picture(kind='GIF')[0], 400, 'The picture cannot be read: it is no PNG, JPEG or WebP file.'),
    ('image/png', b'', 400, 'The picture cannot be read: it is no PNG, JPEG or WebP file.'),
    ('image/jpeg', picture(kind='JPEG')[0][:400], 400, 'The picture cannot be read: '),
])
def test_what_is_no_picture(send, kind, file, status, say):
    got, _, answer = send('/images', file, Content_Type=kind)
    assert got == status and answer['error'].startswith(say)


def test_paths_are_never_read(send, tmp_path, monkeypatch):
    """A name that ends in .txt is a name; a key of a picture is no path; there are no other files to have."""
    secret = tmp_path / 'secret.txt'
    secret.write_text('ball\ndrum\n')
    monkeypatch.chdir(tmp_path)
    added = send('/images', picture()[0], Content_Type='image/png')[2]
    for text in (str(secret), 'secret.txt'):
        head, _, _ = unpack(send('/labels', dict(image=added['image'], names=f'{text}; ball'))[2])
        assert [one['name'] for one in head['classes']] == [text, 'ball']
    for key in (str(secret), '../secret.txt', ''):
        status, _, answer = send('/labels', dict(image=key, names='ball'))
        assert (status, answer['error']) == (404, 'This picture is not kept any more (the last 2 are); drop it again.')
    for path in ('/page.py', '/../server.py', '/%2e%2e/server.py', '/desk.py', '//etc/passwd'):
        assert send(path)[0] == 404


def test_other_sites_are_refused(send, server):
    assert server._socket.getsockname()[0] == '127.0.0.1'
    for host in ('evil.example', f'evil.example:{server.port}', '127.0.0.1:1', f'0.0.0.0:{server.port}'):
        assert send('/about', Host=host)[0] == 421
    body = dict(image='x', names='ball')
    assert send('/labels', body, Origin='http://evil.example')[0] == 403
    assert send('/labels', body, Origin=server.url)[0] == 404
    assert send('/labels', json.dumps(body), Content_Type='text/plain')[0] == 415  # as a form of another site
    assert send('/labels', method='OPTIONS')[0] == 405


def test_the_page_asks_nobody_else(send):
    status, headers, html = send('/')
    assert status == 200 and "default-src 'none'; script-src 'self'" in headers['Content-Security-Policy']
    files = [html, *(send(path)[2] for path in re.findall(r'(?:src|href)="([^"]+)"', html.decode()))]
    assert len(files) == 3 and not any(re.search(rb'https?://|//cdn|@import', file) for file in files)


@pytest.mark.parametrize('fields, status, say', [
    (dict(names=''), 400, 'No names were typed; name at least one thing to look for.'),
    (dict(names='ball; ball'), 400, "The name 'ball' is given twice: in class 1 ('ball') and in class 2 (' ball'); a "
                                    'name stands for one class.'),
    (dict(names='a;b;c;d;e;f'), 400, '6 names were typed; this page takes 5 at once. `mmseg-weak predict --text '
                                     'FILE.txt` has no limit.'),
    (dict(names='x' * 201), 400, '201 characters were typed; this page takes 200. `mmseg-weak predict --text FILE.txt` '
                                 'has no limit.'),
    (dict(names=['ball']), 400, 'names is a list; a str is expected.'),
    (dict(), 400, 'names is missing from the request.'),
])
def test_bad_requests(send, fields, status, say):
    added = send('/images', picture()[0], Content_Type='image/png')[2]
    got, _, answer = send('/labels', dict(image=added['image']) | fields)
    assert (got, answer['error']) == (status, say)


def test_more_bad_requests(send):
    added = send('/images', picture()[0], Content_Type='image/png')[2]['image']
    assert send('/labels', '[1', Content_Type='application/json')[2] == dict(error='The request is no JSON object.')
    assert send('/labels', 'x' * 100_001, Content_Type='application/json')[0] == 413
    assert send('/scores', dict(image=added, names=NAMES, number=3))[2]['error'] == 'There is no class 3 among 3.'
    assert send('/mask.png', dict(image=added, names=NAMES, threshold=2))[0] == 400
    for seed in (3, 4):  # two others, which are all that is kept
        send('/images', picture(seed=seed)[0], Content_Type='image/png')
    assert send('/labels', dict(image=added, names=NAMES))[0] == 404


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGBA', 'P', 'I;16', '1'])
def test_pictures_of_any_mode_stand_upright(mode):
    grey = np.repeat(np.arange(0, 240, 40, dtype=np.uint8)[None], 4, 0)
    file, stream = Image.fromarray(grey), io.BytesIO()
    file = Image.fromarray(grey.astype(np.uint16) << 8) if mode == 'I;16' else file.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    file.save(stream, 'PNG', **({} if mode == 'I;16' else dict(exif=exif)))
    got = decode_upload(stream.getvalue())
    want = grey if mode == 'I;16' else np.rot90(grey, -1)
    assert got.shape == (*want.shape, 3) and got.dtype == np.uint8
    if mode not in ('1', 'P'):
        assert np.abs(got[..., 0].astype(int) - want).max() <= 1


def test_typed_names():
    assert page_names('person; child\n\nsky').owner == (0, 0, 1)
    assert page_names('horse; rider;').classes == ('horse', 'rider')
    assert page_names('horse').classes == ('background', 'horse') and page_names('a', 'b; c').owner == (0, 0, 1)


def test_colours():
    names = [f'c{i}' for i in range(300)]
    for classes in (names[:1], names, ['background', *names]):
        colours = page_palette(classes)
        assert len(colours) == len(classes) == len({tuple(colour) for colour in colours})
        assert ([0, 0, 0] in colours) == (classes[0] == 'background') and all(len(colour) == 3 for colour in colours)


def test_what_is_missing_is_said(inferencer, server, monkeypatch):
    with pytest.raises(ConfigError, match=rf'^Port {server.port} of this machine cannot be had \(.*\); give another, '
                                          r'or 0 for any free one\.$'):
        page.PageServer(inferencer, server.port)
    monkeypatch.setitem(sys.modules, 'uvicorn', None)
    with pytest.raises(ConfigError, match='^The page needs two packages that are not here: pip install starlette uv'):
        page.serve()


def test_a_broken_answer_does_not_end_the_page(send, server, monkeypatch):
    monkeypatch.setattr(server.desk, 'about', lambda: 1 / 0)
    assert send('/about')[::2] == (500, dict(error='This is a bug of mmseg_weak; the terminal says more.'))
    with pytest.raises(DataError):
        server.desk.label(server.desk.add(picture()[0])['image'], '')


CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine')
def test_in_a_browser(server, inferencer, tmp_path):
    """Drop, type, move the threshold, show a map, download: as a person does, and nothing leaves the machine."""
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    file, bgr = picture((90, 120), seed=5)
    (tmp_path / 'photo.png').write_bytes(file)
    with api.sync_playwright() as play:
        context = play.chromium.launch_persistent_context(
            str(tmp_path / 'profile'), executable_path=CHROMIUM, args=FLAGS, viewport=dict(width=1200, height=800))
        tab, asked, faults = context.new_page(), [], []
        tab.on('request', lambda request: asked.append(request.url))
        tab.on('pageerror', lambda error: faults.append(str(error)))
        tab.on('console', lambda line: faults.append(line.text) if line.type == 'error' else None)
        tab.goto(server.url)
        tab.set_input_files('#file', tmp_path / 'photo.png')
        tab.fill('#names', NAMES)
        tab.locator('#status', has_text='Found in').wait_for()
        rows = tab.locator('#classes tbody tr')
        assert rows.count() == 3

        def areas():
            return [float(cell.rstrip(' %')) for cell in tab.locator('#classes td:nth-child(2)').all_inner_texts()]
        small = cv2.resize(bgr, (63, 47), interpolation=cv2.INTER_AREA)
        want = inferencer(small, NAMES)
        shares = [100 * want.shares[name] for name in ('ball', 'drum', 'box')]
        assert np.allclose(areas(), shares, atol=0.06)
        before = len(asked)
        threshold = round(float(np.quantile(want.confidence, 0.7)), 2)
        tab.evaluate("""value => { const slider = document.getElementById('threshold'); slider.value = value;
                                   slider.dispatchEvent(new Event('input')); }""", threshold)
        assert sum(areas()) < 60 and len(asked) == before  # live: nobody was asked
        tab.locator('#classes button').nth(1).click()
        tab.wait_for_selector('#classes button[aria-pressed=true]')
        with tab.expect_download() as caught:
            tab.click('#save-mask')
        mask = np.asarray(Image.open(caught.value.path()))
        assert np.array_equal(mask, inferencer(decode_upload(file), NAMES, threshold=threshold).mask)
        tab.fill('#names', 'ball; ball')
        tab.wait_for_selector('#status.bad')
        assert 'given twice' in tab.inner_text('#status') and tab.is_hidden('#classes')
        (tmp_path / 'notes.txt').write_text('no picture')
        tab.set_input_files('#file', tmp_path / 'notes.txt')
        tab.locator('#status', has_text='notes.txt is text/plain; this page takes PNG, JPEG and WebP').wait_for()
        if os.environ.get('MMSEG_WEAK_SCREENSHOT'):
            tab.fill('#names', NAMES)
            tab.locator('#status', has_text='Found in').wait_for()
            tab.screenshot(path=os.environ['MMSEG_WEAK_SCREENSHOT'])
        context.close()
    assert all(url.startswith((server.url, 'blob:', 'data:')) for url in asked), asked
    assert [fault for fault in faults if '400' not in fault] == []
    assert not Path('mask.png').exists()
