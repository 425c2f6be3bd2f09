"""The demo, for a handful of iterations."""
import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weak.apis.demo import DemoResult, demo


@pytest.mark.slow
def test_demo_trains_compares_and_skips_what_is_there(tmp_path):
    result = demo(tmp_path / 'demo', iters=4, quiet=True)
    summary = json.loads((tmp_path / 'demo/summary.json').read_text())
    assert set(summary) == {'supervised', 'unimatch'}
    record = json.loads((tmp_path / 'demo/unimatch/eval/iter_4.json').read_text())
    expected = 100 * np.mean([value for value in record['iou'] if value is not None])
    assert summary['unimatch'] == dict(mIoU=pytest.approx(expected, abs=0.006))
    assert '<section id="answer">' in (tmp_path / 'demo/report.html').read_text()
    assert Image.open(tmp_path / 'demo/pictures.png').size[0] == 4 * 166 + 6
    log = tmp_path / 'demo/unimatch/train.log'
    before = log.stat().st_mtime_ns
    again = demo(tmp_path / 'demo', iters=4, quiet=True)
    assert again.miou == result.miou and again.seconds < 3 and log.stat().st_mtime_ns == before


def test_table():
    result = DemoResult('x', dict(supervised=10.0, unimatch=12.5), dict(a=(10.0, 12.5), longer=(None, 3.0)))
    assert result.text().splitlines() == [
        'IoU, % masks only  UniMatch    gain', '-' * 35, 'a            10.0      12.5    +2.5',
        'longer       none       3.0', '-' * 35, 'mIoU         10.0      12.5    +2.5']
