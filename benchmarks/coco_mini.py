"""The table of docs/weak.md: image tags of coco_mini to masks, every step through the command line.

    MMSEG_WEAK_DATA=DIR python benchmarks/coco_mini.py --methods cam seam --seeds 0 1     # seeds alone
    MMSEG_WEAK_DATA=DIR python benchmarks/coco_mini.py --methods cam --seeds 0 1 --chain  # and all steps to val
    MMSEG_WEAK_DATA=DIR python benchmarks/coco_mini.py --methods mars --seeds 0 1         # on the masks of cam's chain
    MMSEG_WEAK_DATA=DIR python benchmarks/coco_mini.py --methods supervised               # true masks
    python benchmarks/coco_mini.py --page-only

A method is the folder of a config named `*_coco-mini.py` under configs/ (`cam` and `ppl` have two: `cam:squeezenet`
takes the one with that word). A step that is there is not made again. Prints the commands as it runs them, asserts
nothing.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
COMMAND = str(Path(sys.executable).with_name('mmseg-weak'))
RECORDS = ROOT / 'docs' / 'coco_mini.json'  # of all runs that the page shows; those of --out replace theirs
MARKS = '<!-- coco_mini: begin -->', '<!-- coco_mini: end -->'


def config_of(method: str) -> Path:
    """Config of a method on coco_mini."""
    name, _, word = method.partition(':')
    found = [p for p in sorted((ROOT / 'configs' / name).glob('*_coco-mini.py')) if word in p.name]
    found.sort(key=lambda path: not path.name.startswith(f'{name}_'))  # before its variants
    if not found:
        raise SystemExit(f'configs/{name} has no *{word}*_coco-mini.py')
    return found[0]


def call(folder: Path, *words: object, data: str) -> None:
    """One command, its output in a file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    print('  mmseg-weak', *words, flush=True)
    env = dict(os.environ, MMSEG_WEAK_DATA=data)
    env.setdefault('OMP_NUM_THREADS', '1')
    with open(folder / f'{words[0]}.txt', 'w', encoding='utf-8') as log:
        code = subprocess.run([COMMAND, *map(str, words)], env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
                              check=False).returncode
    if code:
        raise SystemExit(f'status {code}; see {folder}/{words[0]}.txt')


def train(config: Path, work: Path, seed: int, data: str, *options: str) -> Path:
    """Last checkpoint of a run, made if it is not there."""
    pointer = work / 'last_checkpoint'
    if not (work / 'trained').is_file():
        call(work, 'train', config, '--work-dir', work, '--cfg-options', f'randomness.seed={seed}', *options, data=data)
        (work / 'trained').touch()
    return Path(pointer.read_text().strip())


def pseudo(config: Path, checkpoint: Path, out: Path, data: str, *options: object) -> dict:
    """Pseudo masks and what eval-pseudo says of them."""
    summary = out / 'eval' / 'summary.json'
    if not summary.is_file():
        call(out.parent, 'pseudo-label', config, checkpoint, '--out', out, *options, data=data)
        call(out.parent, 'eval-pseudo', out, '--masks', Path(data) / 'coco_mini/masks_voc21/train', data=data)
    return json.loads(summary.read_text())


def irn_on(config: Path, work: Path, data: str) -> Path:
    """IRNet's config with the classifier of another one."""
    os.environ['MMSEG_WEAK_DATA'] = data
    irn, classifier = Config.fromfile(str(config_of('irn'))), Config.fromfile(str(config))
    if classifier.model.backbone.type != irn.model.cam.backbone.type:  # edges are then learnt on one of ImageNet
        irn.model.backbone = irn.model.cam.backbone
    irn.model.cam = {key: value for key, value in classifier.model.items() if key != 'data_preprocessor'}
    irn.dump(str(work / 'irn.py'))
    return work / 'irn.py'


def second_stage(config: str, work: Path, seed: int, start: Path | None, data: str, *options: str) -> float:
    """mIoU on val of a segmentation network whose backbone starts from a classifier's."""
    config = next((ROOT / 'configs/supervised').glob(config))
    if start is not None:
        options = (*options, f'model.backbone.init_cfg.checkpoint={start}', 'model.backbone.init_cfg.prefix=backbone.')
    train(config, work, seed, data, *options)
    scores = [json.loads(line) for path in sorted(work.glob('*/vis_data/scalars.json'))
              for line in path.read_text().splitlines()]
    return [row['mIoU'] for row in scores if 'mIoU' in row][-1]


def run_supervised(seed: int, out: Path, data: str) -> dict:
    """The second stage on true masks, started from plain CAM with the same seed."""
    classifier, work = out / 'cam-mobilenetv2' / f'seed{seed}' / 'last_checkpoint', out / 'supervised' / f'seed{seed}'
    record = work / 'record.json'
    if record.is_file():
        return json.loads(record.read_text())
    if not classifier.is_file():
        raise SystemExit(f'{classifier} is not there; run --methods cam:mobilenetv2 --seeds {seed} first.')
    start = time.time()
    val = second_stage('*coco-mini.py', work, seed, Path(classifier.read_text().strip()), data)
    result = dict(method='supervised', seed=seed, seconds=dict(val=round(time.time() - start)), val=val)
    record.write_text(json.dumps(result, indent=1))
    return result


def run_mars(seed: int, out: Path, data: str) -> dict:
    """MARS on the refined masks of plain CAM with the same seed."""
    masks, work = out / 'cam-mobilenetv2' / f'seed{seed}' / 'crf', out / 'mars' / f'seed{seed}'
    config = config_of('mars')
    if not (masks / 'index.json').is_file():
        raise SystemExit(f'{masks} is not there; run --methods cam:mobilenetv2 --seeds {seed} --chain first.')
    record, classifier = work / 'record.json', (masks.parent / 'last_checkpoint').read_text().strip()
    if record.is_file():
        return json.loads(record.read_text())
    start = time.time()
    if not (work / 'debiased' / 'index.json').is_file():
        call(work, 'debias', masks, '--config', config, '--out', work / 'debiased', data=data)
    checkpoint = train(config, work, seed, data, 'train_cfg.val_interval=100000',
                       f'train_dataloader.dataset.dataset.folder={work / "debiased"}',
                       f'model.segmentor.backbone.init_cfg.checkpoint={classifier}',
                       'model.segmentor.backbone.init_cfg.prefix=backbone.')
    found = pseudo(config, checkpoint, work / 'pseudo', data, '--loader', 'train_eval', '--use-tags')
    result = dict(method='mars', seed=seed, seconds=dict(masks=round(time.time() - start)), masks=found['mIoU'])
    record.write_text(json.dumps(result, indent=1))
    return result


def run(method: str, seed: int, chain: bool, out: Path, data: str) -> dict:
    """All steps of a method with one seed."""
    if method in ('mars', 'supervised'):
        return (run_mars if method == 'mars' else run_supervised)(seed, out, data)
    config, work = config_of(method), out / method.replace(':', '-') / f'seed{seed}'
    record = work / 'record.json'
    result = json.loads(record.read_text()) if record.is_file() else dict(method=method, seed=seed, seconds={})
    start = time.time()

    def keep(name: str, value: object) -> None:
        nonlocal start
        if name not in result:
            result[name], result['seconds'][name] = value, round(time.time() - start)
            record.write_text(json.dumps(result, indent=1))
        start = time.time()

    checkpoint = train(config, work, seed, data, 'train_cfg.val_interval=100000')  # val has no tags: it is for the end
    found = pseudo(config, checkpoint, work / 'cam', data, '--scores', '--amp', '--thr', 'consistency')
    keep('seeds', found['choices']['best (oracle)']['mIoU'])
    keep('choices', found['choices'])
    if not chain:
        return result
    thr = found['choices']['consistency']['thr']
    keep('consistency', found['mIoU'])
    kept = ('--from', work / 'cam')
    for name, refine in (('par', 'par'), ('crf', 'par,crf')):
        keep(name, pseudo(config, checkpoint, work / name, data, *kept, '--thr', thr, '--refine', refine)['mIoU'])
    seeds = work / 'sure'
    pseudo(config, checkpoint, seeds, data, *kept, '--conf-thr', '0.6', '--cfg-options',
           'model.refiner.type=ConfidentSeeds', 'model.refiner.crf.type=DenseCRF', 'model.refiner.crf.preset=irn_label')
    irn = irn_on(config, work, data)
    options = [f'model.cam_checkpoint={checkpoint}', f'train_dataloader.dataset.dataset.folder={seeds}']
    walker = train(irn, work / 'irn_run', seed, data, 'train_cfg.val_interval=100000', *options)
    found = pseudo(irn, walker, work / 'irn', data, '--scores', '--amp', '--thr', 'consistency')
    keep('irn_seeds', found['choices']['best (oracle)']['mIoU'])
    keep('irn', found['mIoU'])
    alike = Config.fromfile(str(config)).model.backbone.type == 'MobileNetV2'  # else from ImageNet's weights
    keep('val', second_stage('*coco-mini-pseudo.py', work / 'val', seed, checkpoint if alike else None, data,
                             f'train_dataloader.dataset.dataset.folder={work / "irn"}'))
    return result


def table(records: list[dict]) -> list[str]:
    """Markdown rows: a method with the mean of its seeds, lowest and highest behind it."""
    rows = ['| classifier | runs | CAM, best threshold | CAM, `--thr consistency` | + PAR | + CRF | '
            'IRN, best threshold | IRN, `--thr consistency` | masks | final, val |',
            '|---|---|---|---|---|---|---|---|---|---|']
    for method in dict.fromkeys(r['method'] for r in records):
        mine = [r for r in records if r['method'] == method]
        cells = []
        for step in ('seeds', 'consistency', 'par', 'crf', 'irn_seeds', 'irn', 'masks', 'val'):
            values = [r[step] for r in mine if step in r]
            text = f'{statistics.mean(values):.1f}' if values else ''
            cells.append(text + (f' ({min(values):.1f} to {max(values):.1f})' if len(values) > 1 else ''))
        rows.append(f'| {method} | {len(mine)} | ' + ' | '.join(cells) + ' |')
    return rows


def costs(records: list[dict]) -> list[str]:
    """Markdown rows: points that a choice of the threshold loses against the best one, over all runs."""
    rows = ['', '| `--thr` | points below the best threshold, median of the runs | least to most |', '|---|---|---|']
    chosen = [r['choices'] for r in records if 'choices' in r]
    for rule in ('consistency', 'area', 'entropy', 'held-out 10'):
        values = [one[rule]['cost'] for one in chosen if rule in one]
        if values:
            rows.append(f'| {rule} | {statistics.median(values):.1f} | {min(values):.1f} to {max(values):.1f} |')
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--methods', nargs='*', default=['cam:mobilenetv2'])
    parser.add_argument('--seeds', nargs='*', type=int, default=[0])
    parser.add_argument('--chain', action='store_true', help='go on to refined masks, IRN and a segmentation network')
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs' / 'coco_mini')
    parser.add_argument('--page-only', action='store_true', help='write the table from the runs that are there')
    args = parser.parse_args()
    if not args.page_only:
        data = os.environ.get('MMSEG_WEAK_DATA')
        if not data or not (Path(data) / 'coco_mini').is_dir():
            raise SystemExit('Set MMSEG_WEAK_DATA to the folder that holds coco_mini/ and weights/.')
        for seed in args.seeds:
            for method in args.methods:
                print(f'{method}, seed {seed}', flush=True)
                print(' ', run(method, seed, args.chain, args.out, data), flush=True)
    kept = json.loads(RECORDS.read_text(encoding='utf-8')) if RECORDS.is_file() else []
    kept += [json.loads(p.read_text()) for p in sorted(args.out.glob('*/seed*/record.json'))]
    records = list({(r['method'], r['seed']): r for r in kept}.values())
    RECORDS.write_text('[\n' + ',\n'.join(map(json.dumps, records)) + '\n]\n', encoding='utf-8')
    rows = table(records) + costs(records)
    print('\n'.join(rows))
    page = ROOT / 'docs' / 'weak.md'
    text = page.read_text(encoding='utf-8')
    if MARKS[0] in text:
        before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
        page.write_text(before + '\n'.join([MARKS[0], *rows, MARKS[1]]) + after, encoding='utf-8')


if __name__ == '__main__':
    main()
