"""What the wheel and its requirements promise."""
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_model_index_names_every_metafile():
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    there = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob('configs/*/metafile.yml'))
    assert sorted(listed) == there


@pytest.mark.parametrize('path', sorted((ROOT / 'requirements').glob('*.txt')), ids=lambda path: path.stem)
def test_every_bound_has_its_reason(path):
    for line in path.read_text().splitlines():
        if line and not line.startswith('#'):
            assert re.fullmatch(r'[\w.-]+[<>=!~]?[^#]*  # \S.{8,}', line) or line.startswith('wheel  # '), line


def test_neither_stack_is_pulled_in_by_the_wheel():
    lines = (ROOT / 'requirements/runtime.txt').read_text().splitlines()
    names = {re.split(r'[<>=; ]', line)[0].lower() for line in lines}
    assert not names & {'mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'onedl-mmengine', 'onedl-mmcv', 'kornia'}
    assert {'torch', 'torchvision'} <= names
