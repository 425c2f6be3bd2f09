"""The lift table: every method against its baseline on ToyWorld, written to docs/lift.md.

    python benchmarks/lift.py                      # everything that is missing in work_dirs/lift, then the page
    python benchmarks/lift.py --methods unimatch --seeds 0 1 2
    python benchmarks/lift.py --page-only

A `*_toyworld.py` config names its baseline, its measure and the lift its author expects (`lift = dict(...)`); one that
is more than 3 points off is named. Each run is a process of its own through tools/train.py, or tools/test.py where
nothing is trained; a run that is already there is not made again. The measure is taken at the last iteration on the 100
validation images, not at the best one. Prints a table, asserts nothing.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / 'docs' / 'lift.json'  # of all runs that the page shows; those of --out replace theirs
CONFIGS = ROOT / 'configs'
_SURPRISE = 3.0  # points between what a config expects and what is measured, to be looked into


def methods() -> dict[str, Config]:
    """Toyworld configs that name a baseline, by path relative to configs/."""
    found = {}
    for path in sorted(CONFIGS.glob('*/*_toyworld*.py')):
        config = Config.fromfile(str(path))
        if config.get('lift'):
            found[str(path.relative_to(CONFIGS))] = config
    return found


def checkpoint(config: str, seed: int, out: Path) -> str:
    """Last checkpoint of a finished run."""
    return (out / Path(config).stem / f'seed{seed}' / 'last_checkpoint').read_text().strip()


def prepare(needs: dict, seed: int, out: Path, threads: int, work_dir: Path) -> list[str]:
    """Make the folders that a config trains on (its ``needs``): a teacher's run, then verbs of the command line.

    ``needs = dict(teacher=CONFIG, steps=[[verb, argument, ...], ...], options={key: value})``; in arguments and values
    {config} and {checkpoint} are the teacher's, {folder} is a folder that configs with the same teacher share, or the
    run's own where there is no teacher.

    Returns:
        ``key=value`` options for the training.
    """
    names = dict(folder=work_dir)
    if needs.get('teacher'):
        run(needs['teacher'], seed, out, threads)
        names = dict(config=CONFIGS / needs['teacher'], checkpoint=checkpoint(needs['teacher'], seed, out),
                     folder=out / Path(needs['teacher']).stem / f'seed{seed}')
    for step in needs['steps']:  # a step that is done already does nothing
        subprocess.run([sys.executable, '-W', 'ignore', '-m', 'mmseg_weak.cli', *(a.format(**names) for a in step)],
                       env=dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=str(ROOT)), cwd=ROOT, check=True)
    return [f'{key}={value.format(**names)}' for key, value in needs['options'].items()]


def run(config: str, seed: int, out: Path, threads: int, options: list[str] = ()) -> dict:
    """Train once unless the result is there; returns its record."""
    work_dir = out / Path(config).stem / f'seed{seed}'
    record = work_dir / 'record.json'
    if record.is_file():
        return json.loads(record.read_text())
    work_dir.mkdir(parents=True, exist_ok=True)
    loaded = Config.fromfile(str(CONFIGS / config))
    if loaded.get('needs'):
        options = [*options, *prepare(loaded.needs, seed, out, threads, work_dir)]
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=str(ROOT))
    tool = 'train.py' if loaded.get('train_cfg') else 'test.py'  # a method that finds names is not trained
    command = [sys.executable, '-W', 'ignore', str(ROOT / 'tools' / tool), str(CONFIGS / config), '--work-dir',
               str(work_dir), '--cfg-options', f'randomness.seed={seed}', *options]
    start = time.time()
    with open(work_dir / 'stdout.txt', 'w', encoding='utf-8') as log:
        code = subprocess.run(command, env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise SystemExit(f'{config} with seed {seed} ended with status {code}; see {work_dir}/stdout.txt')
    result = dict(config=config, seed=seed, seconds=round(time.time() - start), threads=threads,
                  **last_scores(work_dir))
    record.write_text(json.dumps(result))
    return result


def last_scores(work_dir: Path) -> dict:
    """Scores of the last validation in a run's scalars, or of its test where nothing was trained."""
    rows = [json.loads(path.read_text()) for path in sorted(work_dir.glob('*/*.json'))]  # a test writes them
    rows += [json.loads(line) for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
             for line in path.read_text().splitlines()]
    scores = {}
    for row in rows:
        measures = [key for key in row if key.endswith('mIoU') and '/' not in key and isinstance(row[key], float)]
        if measures:
            scores = {k: row[k] for k in (*measures, 'aAcc', 'step') if k in row}
            if 'seed/mIoU' in row:  # of image-tag methods: at the best background threshold
                scores.update(seed_mIoU=row['seed/mIoU'], seed_thr=row['seed/thr'])
    return scores


def spread(values: list[float]) -> str:
    """Mean, and the lowest and highest value where there are several."""
    mean = f'{statistics.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ({min(values):.1f} to {max(values):.1f})'


def group(lift: dict) -> str:
    """Which table a row belongs to."""
    if lift['measure'] == 'seed_mIoU' or lift['baseline'].startswith('mars/'):
        return 'Image tags'
    return 'Few masks' if lift['baseline'].startswith('supervised/') else 'Names'


def table(records: list[dict], configs: dict[str, Config]) -> list[str]:
    """Markdown tables, best lift first; the lift pairs runs of equal seed."""
    by_config: dict[str, dict[int, dict]] = {}
    for r in records:
        by_config.setdefault(r['config'], {})[r['seed']] = r
    rows: dict[str, list] = {}
    for name, config in configs.items():
        if name not in by_config:
            continue
        lift, mine = config.lift, by_config[name]
        base = by_config.get(lift.baseline, {})
        pairs = [(mine[s][lift.measure], base[s][lift.measure]) for s in sorted(mine) if s in base]
        if not pairs:
            continue
        gains = [a - b for a, b in pairs]
        minutes = statistics.mean(r['seconds'] for r in mine.values()) / 60
        rows.setdefault(group(lift), []).append((
            statistics.mean(gains), f'| `{name}` | {lift.measure} | {len(pairs)} | {spread([b for _, b in pairs])} | '
            f'{spread([a for a, _ in pairs])} | {spread(gains)} | {minutes:.1f} |'))
        if lift.expected is not None and abs(statistics.mean(gains) - lift.expected) > _SURPRISE:
            print(f'{name} lifts {statistics.mean(gains):.1f} points and its config expects {lift.expected:.1f}')
    lines = []
    for title in sorted(rows):
        lines += ['', f'## {title}', '',
                  '| config | measure | seeds | baseline | method | lift, points | minutes a run |',
                  '|---|---|---|---|---|---|---|', *(text for _, text in sorted(rows[title], reverse=True))]
    return lines


def page(records: list[dict], configs: dict[str, Config]) -> str:
    """The text of docs/lift.md."""
    import torch
    intro = (ROOT / 'docs' / 'lift_intro.md').read_text(encoding='utf-8').rstrip()
    threads = sorted({r['threads'] for r in records})
    lines = [intro, *table(records, configs), '',
             'Mean, then the lowest and highest seed. Baseline and method have the same seeds, labelled images, '
             'iterations and schedule. One seed means one: read such a row as an indication.', '',
             f'Made by `python benchmarks/lift.py` on {platform.machine()} with {os.cpu_count()} cores, '
             f'{"/".join(map(str, threads))} thread(s) a run, torch {torch.__version__}; minutes depend on what else '
             'the machine did.', '']
    return '\n'.join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--methods', nargs='*', help='folders below configs/; all by default')
    parser.add_argument('--seeds', nargs='*', type=int, default=[0])
    parser.add_argument('--out', default=str(ROOT / 'work_dirs' / 'lift'))
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--page-only', action='store_true', help='write the page from the runs that are there')
    args = parser.parse_args()
    out, configs = Path(args.out), methods()
    if not args.page_only:
        for seed in args.seeds:
            for name, config in configs.items():
                if not args.methods or name.split('/')[0] in args.methods:
                    teachers = config.lift.get('teachers', {})
                    for one in (config.lift.baseline, *teachers.values(), name):
                        options = [f'model.{key}={checkpoint(t, seed, out)}' for key, t in teachers.items()
                                   ] if one == name else []
                        r = run(one, seed, out, args.threads, options)
                        print(f"{one} seed {seed}: {config.lift.measure} {r[config.lift.measure]:.2f}", flush=True)
    kept = json.loads(RECORDS.read_text(encoding='utf-8')) if RECORDS.is_file() else []
    kept += [json.loads(p.read_text()) for p in sorted(out.glob('*/seed*/record.json'))]
    records = list({(r['config'], r['seed']): r for r in kept}.values())
    records.sort(key=lambda r: (r['config'], r['seed']))
    RECORDS.write_text('[\n' + ',\n'.join(map(json.dumps, records)) + '\n]\n', encoding='utf-8')
    text = page(records, configs)
    (ROOT / 'docs' / 'lift.md').write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
