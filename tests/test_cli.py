"""The command line: exit codes, sentences, streams."""
import os
import subprocess
import sys

import pytest

from mmseg_weak import cli

VERBS = ['demo', 'list', 'new', 'check-data', 'split', 'train', 'test', 'predict', 'refine', 'serve', 'pseudo-label',
         'debias', 'eval-pseudo', 'index', 'words', 'refer', 'refer-label', 'fetch', 'export-student', 'report']


def run(capsys, *args):
    """Exit code, stdout, stderr of a call in this process."""
    with pytest.raises(SystemExit) as done:
        cli.main(args)
    streams = capsys.readouterr()
    return done.value.code, streams.out, streams.err


def test_verbs_and_their_help(capsys):
    code, out, _ = run(capsys, '--help')
    assert code == 0 and list(cli.cli.commands) == VERBS
    assert all(f'\n  {verb} ' in out for verb in VERBS)
    for verb in VERBS:
        code, out, _ = run(capsys, verb, '--help')
        assert code == 0
        last = ' '.join(out[out.index('Example'):].split())
        assert f'mmseg-weak {verb}' in last
        assert 'toyworld' in last.lower() or verb in ('demo', 'list')  # these two need no data at all


def test_version(capsys):
    from mmseg_weak import __version__
    assert run(capsys, '--version') == (0, f'mmseg-weak {__version__}\n', '')


def test_mistyped_verb(capsys):
    code, out, err = run(capsys, 'trian', 'x')
    assert code == 2 and out == ''
    assert err.splitlines()[-1] == ("Error: there is no verb 'trian'. Did you mean train, refine? `mmseg-weak --help` "
                                    "shows all")


def test_sentence_alone_and_traceback_with_debug(capsys, tmp_path):
    args = ('report', str(tmp_path / 'none'))
    sentence = f'there is no folder {tmp_path}/none; give the work_dir of a training run'
    assert run(capsys, *args) == (2, '', f'Error: {sentence}\n')
    for debug in (('--debug', *args), (*args, '--debug')):
        code, out, err = run(capsys, *debug)
        assert (code, out) == (2, '') and err.startswith('Traceback') and err.endswith(f'MissingFileError: '
                                                                                       f'{sentence}\n')


def test_our_bug_exits_with_1(capsys, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError('division by zero')

    monkeypatch.setattr('mmseg_weak.apis.report.report', broken)
    assert run(capsys, 'report', 'x') == (1, '', 'This is a bug in mmseg_weak (ZeroDivisionError: division by zero). '
                                                 'Run it '
                                                 'again with --debug and report what it prints.\n')


def test_logs_go_to_stderr(capsys, monkeypatch):
    def noisy(work_dir, **kwargs):
        print('a log line')
        return 'page.html'

    monkeypatch.setattr('mmseg_weak.apis.report.report', noisy)
    assert run(capsys, 'report', 'x') == (0, 'Written: page.html\nNext: open it in a browser\n', 'a log line\n')


def test_config_options(capsys, monkeypatch):
    seen = {}

    class Runner:
        work_dir = 'w'

    def train(config, **kwargs):
        seen.update(kwargs, config=config)
        return Runner

    monkeypatch.setattr('mmseg_weak.apis.train.train', train)
    code, out, _ = run(capsys, 'train', 'c.py', '--cfg-options', 'a.b=1', 'c=[1,2]', '--resume')
    assert code == 0 and out == 'Written: w\nNext: mmseg-weak report w\n'
    assert seen == dict(config='c.py', cfg_options={'a.b': 1, 'c': [1, 2]}, resume=True, amp=False, work_dir=None,
                        launcher='none')
    code, _, err = run(capsys, 'train', 'c.py', 'nonsense')
    assert code == 2 and err.splitlines()[-1] == ("Error: 'nonsense' is no key=value; give for example "
                                                  "train_cfg.max_iters=100")


@pytest.mark.parametrize('text,value', [
    ("[{'type': 'A', 'x': True}, {'type': 'B'}]", [dict(type='A', x=True), dict(type='B')]),
    ("{'a': 1}", dict(a=1)), ('[a,b]', ['a', 'b']), ('1e-3', 1e-3), ('a,b', ['a', 'b']), ('work/x', 'work/x')])
def test_values_of_config_options(text, value):
    from mmseg_weak.cli_tools import options_of
    assert options_of([f'model.key={text}']) == {'model.key': value}


def test_unreadable_config_option():
    import click

    from mmseg_weak.cli_tools import options_of
    with pytest.raises(click.UsageError, match="model.loss=.*cannot be read; write lists and dicts in Python's"):
        options_of(["model.loss=[dict(type='A',x=1),dict(type='B',y=2)]"])


def test_check_data_and_split(capsys, tmp_path):
    import numpy as np
    from PIL import Image
    for folder, mode in (('images', 'RGB'), ('masks', 'L')):
        (tmp_path / folder).mkdir()
        for number in range(8):
            values = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2
            Image.fromarray(values).convert(mode).save(tmp_path / folder / f'{number}.png')
    where = ['--images', str(tmp_path / 'images'), '--masks', str(tmp_path / 'masks')]
    code, out, _ = run(capsys, 'check-data', *where)
    assert code == 0 and 'Everything fits; training can start.' in out
    code, out, _ = run(capsys, 'split', *where, '--out', str(tmp_path / 'splits'), '--denominators', '4,2')
    assert code == 0 and (tmp_path / 'splits').is_dir() and f'Written: {tmp_path}/splits' in out
    (tmp_path / 'masks/3.png').write_bytes(b'')
    assert run(capsys, 'check-data', *where)[0] == 2
    code, _, err = run(capsys, 'check-data')
    assert code == 2 and err.splitlines()[-1] == ('Error: nothing to check; give --images, --list-file, --unlabeled or '
                                                  '--unlabeled-list')
    code, _, err = run(capsys, 'split', *where, '--out', 'x', '--counts', 'a')
    assert code == 2 and err.splitlines()[-1] == "Error: --counts is 'a'; give whole numbers with commas, as 16,8,4"


def test_interrupt(capsys, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmseg_weak.apis.report.report', stopped)
    assert run(capsys, 'report', 'x') == (130, '', '\nInterrupted.\n')


@pytest.mark.parametrize('args, code, said', [
    (['report', 'none'], 2, 'Error: there is no folder none; give the work_dir of a training run'),
    (['predict', 'none.jpg', '--out', 'o', '--config', 'unimatch_toyworld', '--checkpoint', 'k'], 2,
     'Error: there is no image, folder or pattern none.jpg; check the path')])
def test_as_a_process(tmp_path, args, code, said):
    from pathlib import Path

    import mmseg_weak
    env = {**os.environ, 'PYTHONPATH': str(Path(mmseg_weak.__file__).parent.parent)}
    done = subprocess.run([sys.executable, '-m', 'mmseg_weak.cli', *args], cwd=tmp_path, env=env, capture_output=True,
                          text=True, timeout=120)
    assert (done.returncode, done.stderr.strip().splitlines()[-1]) == (code, said)
    assert 'Traceback' not in done.stderr


