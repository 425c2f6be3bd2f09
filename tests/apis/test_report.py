"""The report: what it says, what it survives, what it looks like in a browser."""
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from mmseg_weak.apis.report import report
from mmseg_weak.apis.report_answer import compare, words
from mmseg_weak.apis.report_data import read_run
from mmseg_weak.errors import ConfigError, DataError, MissingFileError
from mmseg_weak.visualization.svg import Series, line_chart

BROWSER = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


class _Balance(HTMLParser):
    """Checks that every element is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.links = [], set(), []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get('id'))
        if tag == 'a':
            self.links.append(attrs['href'])
        if tag not in ('meta', 'img', 'line', 'path', 'circle'):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag in ('line', 'path', 'circle'):
            return
        assert self.stack.pop() == tag, tag


def read(path):
    text = path.read_text(encoding='utf-8')
    parser = _Balance()
    parser.feed(text)
    assert not parser.stack
    assert all(link.startswith('#') and link[1:] in parser.ids for link in parser.links)
    return text


def test_whole_page_is_self_contained_and_escaped(make_run):
    run, base, top = make_run('unimatch'), make_run('supervised', 0.45, semi=False), make_run('all', 0.7, semi=False)
    text = read(report(run, against=base, upper=top))
    assert '<script' not in text and not re.search(r'(?:src|href)="(?!data:|#)', text) and '@import' not in text
    assert '<b>Bicyclist' not in text and '&lt;b&gt;Bicyclist&lt;/b&gt;' in text
    for anchor in ('answer', 'curves', 'pseudo', 'growth', 'classes', 'confusion', 'pictures', 'worst', 'balance',
                   'settings'):
        assert f'<section id="{anchor}">' in text
    assert 'mIoU with all labels (all), %' in text
    assert 'The class balance of the labelled images is left out: ' in text  # the data of this run are gone
    assert len(text) < 2_000_000


def _verdict(make_run, ours, theirs):
    """Two runs whose last validations have exactly these IoUs."""
    runs = []
    for name, values in (('ours', ours), ('theirs', theirs)):
        folder = make_run(name, steps=(800,))
        file = folder / 'eval/iter_800.json'
        record = json.loads(file.read_text())
        record['iou'] = values
        file.write_text(json.dumps(record))
        runs.append(read_run(folder))
    return compare(*runs), runs[0].classes


def test_answer_in_words_by_hand(make_run):
    verdict, classes = _verdict(make_run, [0.8, 0.4, None] + [0.5] * 8, [0.6, 0.45, None] + [0.4] * 8)
    assert verdict.gain == pytest.approx((20 - 5 + 80) / 10)
    said = words(verdict, classes, 'supervised')
    assert said[0] == 'Yes. With the unlabelled images mIoU is 9.5 points higher than supervised without them.'
    assert said[1] == ('It helps 9 of 10 classes: Sky (+20.0), Road (+10.0), Pavement (+10.0), Tree (+10.0), '
                       'SignSymbol '
                       '(+10.0), Fence (+10.0) and 3 more.')
    assert said[2] == 'It hurts 1 of 10 classes: Building (-5.0).'


def test_small_difference_is_no_answer(make_run):
    verdict, classes = _verdict(make_run, [0.5] * 11, [0.495] * 11)
    assert words(verdict, classes, 'base')[:2] == [
        'Not measurably. mIoU differs by +0.5 points from base, which is within what another seed would change.',
        'No class changes by more than 2 points.']
    verdict, classes = _verdict(make_run, [0.4] * 11, [0.5] * 11)
    assert words(verdict, classes, 'base')[0] == (
        'No. With the unlabelled images mIoU is 10.0 points lower than base without them.')


def test_a_run_that_has_just_begun(tmp_path):
    log = tmp_path / 'run/20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 2.0, "lr": 0.1, "step": 1}\n{"loss": NaN, "step": 2}\n{"loss": 1.0, "st')
    text = read(report(tmp_path / 'run'))
    assert 'No evaluation yet.' in text and 'No config lies in the work_dir.' in text
    assert f'1 lines of {log} are no JSON (the run was stopped while writing) and are left out.' in text


def test_resumed_run_replaces_what_it_repeats(tmp_path):
    for name, steps in (('20260101_000000', (1, 2, 3)), ('20260102_000000', (2, 3, 4))):
        log = tmp_path / name / 'vis_data/scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text('\n'.join(json.dumps(dict(loss=step + 10 * (name[7] == '2'), step=step)) for step in steps))
    assert read_run(tmp_path).curve('loss') == ([1, 2, 3, 4], [1, 12, 13, 14])


def test_damaged_record_is_named_and_left_out(make_run):
    folder = make_run('run')
    (folder / 'eval/iter_300.json').write_text('{"iter": 3')
    assert f'{folder}/eval/iter_300.json cannot be read (' in read(report(folder))


def test_missing_pictures_do_not_end_the_report(make_run):
    folder = make_run('run')
    for file in folder.glob('eval/*_pictures/*_pred.png'):
        file.unlink()
    assert '00_pred.png is missing' in read(report(folder))


def test_errors(make_run, tmp_path):
    with pytest.raises(MissingFileError) as error:
        report(tmp_path / 'nowhere')
    assert str(error.value) == f'there is no folder {tmp_path}/nowhere; give the work_dir of a training run'
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError) as error:
        report(tmp_path / 'empty')
    assert str(error.value) == (f'{tmp_path}/empty holds no training run: neither */vis_data/scalars.json nor '
                                f'eval/*.json '
                                f'is there; give the work_dir of a run that has logged something')
    run, other = make_run('run'), make_run('other')
    for file in (other / 'eval').glob('*.json'):
        record = json.loads(file.read_text())
        record['images'] = record['images'][:7]
        file.write_text(json.dumps(record))
    with pytest.raises(ConfigError) as error:
        report(run, against=other)
    assert str(error.value) == (f'--against {other} was evaluated on 7 other images than {run} (30); compare runs on '
                                f'the '
                                f'same data')


def test_other_length_is_warned_of(make_run):
    run, base = make_run('run'), make_run('base', 0.4, semi=False)
    config = base / 'config.py'
    config.write_text(config.read_text().replace('max_iters=800', 'max_iters=400'))
    assert ('The two runs are of different length (800 and 400 iterations), so part of the difference may come from '
            'there.') in read(report(run, against=base))


def test_chart_survives_constants_gaps_and_single_points():
    for ys in ([5.0, 5.0], [None, 3.0], [float('nan'), 0.0], [1e-9, 1e9]):
        svg = line_chart([Series('x', [1, 2], ys)], 'x')
        assert svg.startswith('<figure') and 'nan' not in svg.lower().split('<svg')[1]
    assert line_chart([Series('x', [1], [None])], 'x') == ''


@pytest.mark.skipif(BROWSER is None, reason='no Chromium or Chrome is installed')
def test_in_a_browser(make_run, tmp_path):
    run, base = make_run('unimatch'), make_run('supervised', 0.45, semi=False)
    page = report(run, against=base)
    flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
             '--disable-background-networking', f'--user-data-dir={tmp_path / "profile"}']
    done = subprocess.run([BROWSER, *flags, '--dump-dom', page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.count('<section') == page.read_text().count('<section')
    assert 'Refused to' not in done.stderr  # the page keeps its own content policy
    shot = tmp_path / 'shot.png'
    subprocess.run([BROWSER, *flags, f'--screenshot={shot}', '--window-size=1200,1600', page.as_uri()],
                   capture_output=True, timeout=120, check=True)
    import numpy as np
    from PIL import Image
    pixels = np.asarray(Image.open(shot).convert('RGB'))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200  # it has drawn something
