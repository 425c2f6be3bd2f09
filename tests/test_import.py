"""Importing the package: fast, quiet, light, and it changes nothing for its host."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MEASURE = '''
import importlib.util, json, os, random, sys, time, types, warnings
from importlib.machinery import ModuleSpec
import numpy as np, torch

class Ops(types.ModuleType):  # mmseg alone cannot be imported where mmcv has no ops: the same stub as ours
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return lambda *args: None

ops = Ops('mmcv._ext')
ops.__spec__ = ModuleSpec('mmcv._ext', None)
sys.modules['mmcv._ext'] = ops
import mmengine.runner, mmseg.models, mmseg.datasets
HEAVY = ('open_clip', 'timm', 'torchvision', 'plotly', 'rich', 'mmpretrain', 'pkg_resources', 'matplotlib.pyplot',
         'numba', 'transformers', 'kornia')
modules = {name for name in HEAVY if name in sys.modules}
state = (dict(os.environ), list(sys.path), torch.get_num_threads(), random.getstate(),
         np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), list(warnings.filters))
start = time.process_time()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('default')
    import mmseg_weak
seconds = time.process_time() - start
after = (dict(os.environ), list(sys.path), torch.get_num_threads(), random.getstate(),
         np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), list(warnings.filters))
print('RESULT', json.dumps(dict(
    seconds=seconds, warnings=[str(w.message) for w in caught],
    heavy=sorted(name for name in HEAVY if name in sys.modules and name not in modules),
    changed=[i for i, (a, b) in enumerate(zip(state, after)) if a != b])))
'''


@pytest.fixture(scope='module')
def result(request):
    done = subprocess.run([sys.executable, '-c', MEASURE], env=dict(os.environ, PYTHONPATH=str(ROOT)),
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith('RESULT'))[7:])


def test_costs_less_than_a_second(result):
    assert result['seconds'] < 1.0  # processor time, so that a busy machine does not matter


def test_brings_no_heavy_module(result):
    assert result['heavy'] == []


def test_says_nothing(result):
    assert result['warnings'] == []


def test_changes_nothing_for_its_host(result):
    assert result['changed'] == []  # environment, path, threads, random states, warning filters


def test_everything_promised_is_there():
    import mmseg_weak
    for name in mmseg_weak.__all__:
        assert hasattr(mmseg_weak, name), name


def test_prints_nothing_on_stdout():
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', 'import mmseg_weak'],
                         env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=True,
                         timeout=300)
    assert out.stdout == ''
