"""What docs/lift.md shows is what configs expect."""
import json
import statistics

import pytest
from mmengine.config import Config

from .conftest import CONFIGS, all_configs

RECORDS = json.loads((CONFIGS.parent / 'docs/lift.json').read_text(encoding='utf-8'))


@pytest.mark.parametrize('path', [path for path in all_configs() if 'toyworld' in path])
def test_expected_lift_is_the_measured_one(path):
    lift = Config.fromfile(str(CONFIGS / path)).get('lift')
    if lift is None:
        return
    runs = {name: {r['seed']: r[lift.measure] for r in RECORDS if r['config'] == name}
            for name in (path, lift.baseline)}
    pairs = [runs[path][seed] - runs[lift.baseline][seed] for seed in runs[path] if seed in runs[lift.baseline]]
    if lift.expected is None:
        assert not pairs, f'{path} was measured: expected={statistics.mean(pairs):.1f}'
    else:
        assert pairs, f'{path} expects {lift.expected} and no run of docs/lift.json says so'
        assert lift.expected == pytest.approx(statistics.mean(pairs), abs=0.06)
