"""The numbers of the authors' own code, case by case, and the small runner itself."""
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get('MMSEG_WEAK_SHARED', HERE.parents[1].parent / 'shared'))
GOLDEN = SHARED / 'parity'
pytestmark = pytest.mark.smoke
SLUGS = sorted(p.stem for p in (HERE / 'adapters').glob('*.py'))


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f'parity_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = [p for slug in SLUGS for p in sorted((GOLDEN / slug).glob('*.json'))]


@pytest.mark.skipif(not CASES, reason=f'no golden vectors at {GOLDEN} (set MMSEG_WEAK_SHARED)')
@pytest.mark.parametrize('path', CASES or [None], ids=lambda p: f'{p.parent.name}/{p.stem}' if p else 'none')
def test_golden(path):
    runner = load(GOLDEN / 'runner.py')
    meta, arrays = runner.load_case(path)
    adapter = runner.load_adapter(HERE / 'adapters', path.parent.name)
    assert runner.run_case(meta, arrays, adapter) == []


@pytest.fixture
def case(tmp_path):
    """A case of the consistency loss whose value anyone can check: one pixel, p_s = (1/2, 1/2), p_t = (1, 0)."""
    folder = tmp_path / 'cutmix_seg'
    folder.mkdir()
    names = ['student_logits', 'teacher_logits_0', 'teacher_logits_1', 'mix_mask', 'valid_0', 'valid_1', 'conf_thresh']
    one = np.ones((1, 1, 1, 1), np.float32)
    arrays = dict(student_logits=np.zeros((1, 2, 1, 1), np.float32), mix_mask=one, valid_0=0 * one, valid_1=one,
                  teacher_logits_0=np.zeros((1, 2, 1, 1), np.float32), conf_thresh=np.float64(0.9),
                  teacher_logits_1=np.array([50., -50.], np.float32).reshape(1, 2, 1, 1),
                  loss=np.float32(0.5), gradient=np.array([-0.5, 0.5], np.float32).reshape(1, 2, 1, 1))
    meta = dict(function='consistency_loss', inputs=names, outputs=dict(loss=dict(rtol=1e-6, atol=1e-7)),
                settings=dict(runs=dict(loss=dict(kind='var', conf_per_pixel=True))),
                gradients=dict(gradient=dict(of='loss', wrt='student_logits', rtol=1e-6, atol=1e-7)))

    def write(**changed):
        np.savez(folder / 'case.npz', **(arrays | changed))
        (folder / 'case.json').write_text(json.dumps(meta))
        return tmp_path
    return write


def test_runner_agrees(case, capsys):
    assert load(HERE / 'run.py').main(['--root', str(case())]) == 0
    assert capsys.readouterr().out.splitlines() == ['ok      cutmix_seg/case', '1 ok, 0 FAIL, 0 missing']


@pytest.mark.parametrize('changed', [dict(loss=np.float32(0.6)), dict(gradient=np.zeros((1, 2, 1, 1), np.float32))])
def test_runner_sees_a_wrong_number(case, capsys, changed):
    assert load(HERE / 'run.py').main(['--root', str(case(**changed))]) == 1
    assert f'{next(iter(changed))}: off by up to' in capsys.readouterr().out


def test_runner_counts_missing_adapters(case, tmp_path):
    root = case()
    (root / 'cutmix_seg').rename(root / 'unheard_of')
    run = load(HERE / 'run.py')
    assert run.main(['--root', str(root)]) == 0
    assert run.main(['--root', str(root), '--strict']) == 1


def test_runner_without_cases(tmp_path, capsys):
    assert load(HERE / 'run.py').main(['--root', str(tmp_path)]) == 2
    assert 'holds no case' in capsys.readouterr().err
