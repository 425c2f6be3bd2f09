"""The main job on ToyWorld: the same labelled images, with and without the unlabelled ones."""
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mmseg_weak.errors import WeakError
from mmseg_weak.files import write_bytes, write_json
from mmseg_weak.visualization import grid, png_bytes

from .config import load_config
from .report import report
from .report_data import Run, miou, read_run

__all__ = ['DemoResult', 'demo']

RUNS = dict(supervised='supervised/supervised_toyworld', unimatch='unimatch/unimatch_toyworld')


@dataclass
class DemoResult:
    """What the demo found.

    Attributes:
        out: its folder, with ``supervised/``, ``unimatch/``, ``pictures.png``, ``report.html``, ``summary.json``.
        miou: run to mIoU in percent.
        iou: class to (supervised, unimatch) IoU in percent; None for a class without pixels.
        seconds: time that training took now.
    """
    out: Path
    miou: dict[str, float] = field(default_factory=dict)
    iou: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    seconds: float = 0.0

    def text(self) -> str:
        """The table."""
        wide = max([len(name) for name in self.iou] + [7])

        def line(name: str, one: float | None, two: float | None) -> str:
            cells = ''.join('      none' if value is None else f'{value:10.1f}' for value in (one, two))
            gain = '' if one is None or two is None else f'{two - one:+8.1f}'
            return f'{name:<{wide}}{cells}{gain}'

        head = f'{"IoU, %":<{wide}}{"masks only":>10}{"UniMatch":>10}{"gain":>8}'
        rows = [line(name, *values) for name, values in self.iou.items()]
        rule = '-' * len(head)
        return '\n'.join([head, rule, *rows, rule, line('mIoU', self.miou['supervised'], self.miou['unimatch'])])


def demo(out: str | Path = 'work_dirs/demo', iters: int | None = None, overwrite: bool = False,
         quiet: bool = False) -> DemoResult:
    """Train supervised-only and UniMatch on ToyWorld, compare them, write pictures and the report.

    Both runs see the same labelled images for the same number of iterations; UniMatch sees unlabelled ones besides.
    Nothing is downloaded. The two train side by side where there are two cores or more. A run that is complete is
    not repeated, one that was interrupted goes on.

    Args:
        out: folder of everything.
        iters: another length than the configs'.
        overwrite: train again what is there.
        quiet: no progress bars.

    Returns:
        The figures.

    Raises:
        WeakError: a training failed for a cause that its log names.
    """
    out = Path(out)
    result = DemoResult(out)
    lengths = {name: iters or load_config(config).train_cfg.max_iters for name, config in RUNS.items()}
    todo = [name for name in RUNS if overwrite or not (out / name / f'eval/iter_{lengths[name]}.json').is_file()]
    started = time.monotonic()
    _train(out, todo, lengths, iters, overwrite, quiet)
    result.seconds = time.monotonic() - started
    runs = {name: read_run(out / name) for name in RUNS}
    records = {name: run.evals[lengths[name]] for name, run in runs.items()}
    result.miou = {name: miou(record) for name, record in records.items()}
    both = zip(records['supervised']['classes'], records['supervised']['iou'], records['unimatch']['iou'])
    result.iou = {name: tuple(None if value is None else 100 * value for value in pair) for name, *pair in both}
    write_bytes(out / 'pictures.png', png_bytes(_pictures(runs)))
    report(out / 'unimatch', against=out / 'supervised', out=out / 'report.html')
    write_json(out / 'summary.json', {name: dict(mIoU=round(value, 2)) for name, value in result.miou.items()})
    return result


def _train(out: Path, names: list[str], lengths: dict[str, int], iters: int | None, overwrite: bool,
           quiet: bool) -> None:
    """Run trainings, each in a process of its own: mmengine keeps one visualizer and one log a process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    together = cores >= 2
    env = os.environ | dict(OMP_NUM_THREADS=str(max(1, cores // 2 if together and len(names) > 1 else cores)))
    console = Console(stderr=True)
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    waiting, running = list(names), {}
    with Progress(*columns, console=console, disable=quiet) as bars:
        tasks = {name: bars.add_task(f'train {name}', total=lengths[name]) for name in names}
        try:
            while waiting or running:
                while waiting and (together or not running):
                    name = waiting.pop(0)
                    running[name] = _start(out / name, RUNS[name], lengths[name], iters, overwrite, env)
                for name, (process, log) in list(running.items()):
                    bars.update(tasks[name], completed=_step(out / name))
                    if process.poll() is not None:
                        del running[name]
                        _finish(name, process.returncode, log)
                        bars.update(tasks[name], completed=lengths[name])
                time.sleep(0.5)
        finally:
            for process, _ in running.values():
                process.terminate()
                process.wait()


def _start(folder: Path, config: str, length: int, iters: int | None, overwrite: bool,
           env: dict) -> tuple[subprocess.Popen, Path]:
    if overwrite and folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'mmseg_weak.cli', 'train', config, '--work-dir', str(folder), '--resume']
    if iters:
        command += ['--cfg-options', f'train_cfg.max_iters={iters}', f'train_cfg.val_interval={max(1, iters // 2)}',
                    f'param_scheduler.0.end={iters}']
    log = folder / 'train.log'
    with log.open('wb') as stream:
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=env), log


def _finish(name: str, code: int, log: Path) -> None:
    if code:
        lines = [line for line in log.read_text(errors='replace').splitlines() if line.strip()]
        told = next((line for line in reversed(lines) if line.startswith('Error: ')),
                    lines[-1] if lines else 'no output')
        if code == 2:
            raise WeakError(f'training {name} stopped: {told.removeprefix("Error: ")}')
        raise RuntimeError(f'training {name} ended with {code}, see {log}: {told}')


def _step(folder: Path) -> int:
    """The newest iteration in a run's log."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    step = 0
    if logs:
        for line in reversed(logs[-1].read_text(errors='replace').splitlines()[-3:]):
            try:
                step = max(step, int(json.loads(line).get('step', 0)))
            except ValueError:  # the line being written
                continue
    return step


def _pictures(runs: dict[str, Run]) -> np.ndarray:
    """Image, truth and both predictions of the fixed images."""
    found = {name: {picture['img_path']: (Path(run.last['folder']), picture) for picture in run.last['pictures']
                    if picture['kind'] == 'fixed'} for name, run in runs.items()}
    rows = []
    for path, (folder, picture) in found['unimatch'].items():
        other = found['supervised'].get(path)
        if other is not None:
            files = [folder / picture['image'], folder / picture['truth'], other[0] / other[1]['pred'],
                     folder / picture['pred']]
            rows.append([np.asarray(Image.open(file).convert('RGB')) for file in files])
    return grid(rows, ('image', 'truth', 'masks only', 'UniMatch'))
