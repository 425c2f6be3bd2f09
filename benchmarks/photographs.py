"""Every method with names over real photographs, with a tower of random weights: it runs, how long, in how much memory.

    MMSEG_WEAK_DATA=DIR python benchmarks/photographs.py --photos 2 --to docs/photographs.md

Reads DIR/samples/photos and DIR/coco_mini. Accuracy means nothing here. Methods that look things up get an index of the
same photographs first; methods of image tags label coco_mini's photographs by ``pseudo-label``. Each method is a
process of its own; seconds are of the processor, memory is the process's peak. A method that fails is named, and the
status is 1.
"""
import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TEXT = ('# Every method over photographs', '',
        'Towers are ViT-B/16 (TRIS: RN50) with random weights: nothing is said of accuracy, only that they run,',
        'seconds of the processor for a photograph (loading and indexing among them), and the most memory of the',
        'process.', '')
NAMES = 'person; dog; cat; flower; food; grass; sky'
TAGGED = {'clip_es': 'clip_es_vit-b16_voc12aug', 'excel': 'excel_vit-b16_1xb4-30k_voc12aug',
          'weclip': 'weclip_vit-b16_1xb4-30k_voc12aug'}
LOOKS_UP = {'reco': 'reco_deit-s_cityscapes27', 'ovdiff': 'ovdiff_vit-b16_voc21'}
CASED = 'cased_vit-l14_voc21', {'model.clip.name': 'ViT-B-16'}
TRIS = 'tris_rn50_1xb16-4k_own', 'tris-stage2_rn50_1xb48-13.3k_refcoco'


def photographs(data: Path, count: int) -> list[Path]:
    """The first photographs of both folders."""
    return [path for folder in ('samples/photos', 'coco_mini/images/val')
            for path in sorted((data / folder).glob('*.jpg'))[:count]]


def named(method: str, photos: list[Path], folder: Path) -> list[tuple]:
    """A method that needs names alone, or looks them up: (shape, classes found) of each photograph."""
    from mmseg_weak.apis import OpenVocabInferencer
    options = {}
    if method in LOOKS_UP:
        options['model.index'] = str(index(method, photos, folder))
    torch.manual_seed(0)  # the networks that made the index
    inferencer = OpenVocabInferencer(LOOKS_UP.get(method, method), weights='random', options=options)
    results = [inferencer(photo, NAMES) for photo in photos]
    return [(result.mask.shape, len(set(result.mask.flatten().tolist()))) for result in results]


def words(photos: list[Path], folder: Path) -> list[tuple]:
    """CaSED finds its names itself: size and number of words of each photograph."""
    from mmseg_weak.apis.index_cased import index_cased
    from mmseg_weak.apis.words import find_words
    out = folder / 'index.safetensors'
    config, options = CASED
    index_cased(config, [f'a photo of a {name.strip()}.' for name in NAMES.split(';')], out=out, weights='random',
                cfg_options=options, quiet=True)
    torch.manual_seed(0)  # the networks that made the index
    find_words(photos, out, folder / 'words', config, 'random', cfg_options=options, quiet=True)
    masks = [np.asarray(Image.open(path)) for path in sorted((folder / 'words/masks').glob('*.png'))]
    return [(mask.shape, len(np.unique(mask))) for mask in masks]


def sentences(photos: list[Path], folder: Path) -> list[tuple]:
    """TRIS: stage 1 labels the photographs, stage 2 looks for a sentence; size and number of values of its masks."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from mmseg_weak.apis.config import load_config
    from mmseg_weak.apis.refer import refer
    from mmseg_weak.apis.refer_label import refer_label
    init_default_scope('mmseg')
    data = 'train_dataloader.dataset.dataset'
    objects = folder / 'objects.json'
    objects.write_text(json.dumps([dict(image=str(photo.resolve()), expressions=['a dog', 'the dog on the left'])
                                   for photo in photos]))
    options = {'model.clip.pretrained': None, 'model.judge.pretrained': None, f'{data}.objects': str(objects),
               f'{data}.images': ''}
    checkpoints = []
    for stage, config in enumerate(TRIS):
        model = load_config(config, options if stage == 0 else {'model.clip.pretrained': None}).model
        checkpoints.append(folder / f'stage{stage}.pth')
        torch.save(dict(state_dict=MODELS.build(model).state_dict()), checkpoints[-1])
    labels = refer_label(TRIS[0], checkpoints[0], folder / 'labels', cfg_options=options, quiet=True)
    assert labels.written == len(photos), labels
    refer(photos, 'the dog on the left', TRIS[1], checkpoints[1], folder / 'out', quiet=True,
          cfg_options={'model.clip.pretrained': None})
    masks = [np.asarray(Image.open(path)) for path in sorted((folder / 'out/masks').rglob('*.png'))]
    return [(mask.shape, len(np.unique(mask))) for mask in masks]


def index(method: str, photos: list[Path], folder: Path) -> Path:
    """An index of the photographs."""
    out = folder / 'index.safetensors'
    config = LOOKS_UP[method]
    if method == 'reco':
        from mmseg_weak.apis.index_reco import index_reco
        index_reco(config, photos, NAMES, out, weights='random', quiet=True)
    else:
        from mmseg_weak.apis.index_ovdiff import index_ovdiff
        for place, name in enumerate(NAMES.split(';')):
            (folder / 'pictures' / name.strip()).mkdir(parents=True)
            source = photos[place % len(photos)]
            (folder / 'pictures' / name.strip() / source.name).symlink_to(source.resolve())
        index_ovdiff(config, folder / 'pictures', text=NAMES, out=out, weights='random', quiet=True)
    return out


def tagged(method: str, photos: list[Path], folder: Path) -> list[tuple]:
    """A method of image tags: masks of photographs that all show a person and a dog."""
    from mmseg_weak.apis.pseudo_label import pseudo_label
    (folder / 'images').mkdir()
    for photo in photos:
        (folder / 'images' / photo.name).symlink_to(photo.resolve())
    tags = folder / 'tags.json'
    tags.write_text(json.dumps({photo.name: ['person', 'dog'] for photo in photos}))
    options = {'model.clip.pretrained': None}
    if method != 'clip_es':
        options['train_cfg'] = None
    pseudo_label(TAGGED[method], None, folder / 'out', images=str(folder / 'images'), tags=str(tags),
                 cfg_options=options, quiet=True)
    masks = [np.asarray(Image.open(path)) for path in sorted((folder / 'out/masks').glob('*.png'))]
    return [(mask.shape, len(np.unique(mask))) for mask in masks]


def one(method: str, count: int, data: Path) -> None:
    """Run a method; the last line printed is its record."""
    torch.manual_seed(0)
    photos = photographs(data, count)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        if method in ('cased', 'tris'):
            found = (words if method == 'cased' else sentences)(photos, Path(folder))
        else:
            found = (tagged if method in TAGGED else named)(method, photos, Path(folder))
        spent = time.process_time() - start
    assert len(found) == len(photos), f'{len(found)} masks of {len(photos)} photographs'
    print(json.dumps(dict(method=method, seconds=round(spent / len(photos), 1), found=found, photographs=len(photos),
                          gib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1))))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--photos', type=int, default=2, help='of each folder')
    parser.add_argument('--methods', nargs='*')
    parser.add_argument('--to', type=Path, help='write the table there')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    args = parser.parse_args()
    data = Path(os.environ.get('MMSEG_WEAK_DATA') or 'data')
    if not (data / 'samples/photos').is_dir():
        raise SystemExit(f'{data}/samples/photos is not there; set MMSEG_WEAK_DATA to the folder of the photographs.')
    if args.one:
        one(args.one, args.photos, data)
        return 0
    from mmseg_weak.apis.open_vocab import open_vocab_methods
    rows, failed = [], []
    for method in args.methods or sorted({*open_vocab_methods(), 'cased', 'tris', *LOOKS_UP, *TAGGED}):
        done = subprocess.run([sys.executable, '-W', 'ignore', __file__, '--one', method, '--photos', str(args.photos)],
                              capture_output=True, text=True, cwd=ROOT, env=dict(os.environ, PYTHONPATH=str(ROOT)),
                              check=False)
        if done.returncode:
            failed.append(method)
            print(f'{method} failed:\n{done.stderr[-1500:]}', flush=True)
            continue
        record = json.loads(done.stdout.splitlines()[-1])
        print(record, flush=True)
        rows.append(f'| {method} | {record["photographs"]} | {record["seconds"]} | {record["gib"]} |')
    if args.to:
        threads = os.environ.get('OMP_NUM_THREADS', 'all')
        args.to.write_text('\n'.join((*TEXT, f'`python benchmarks/photographs.py --photos {args.photos}` on '
                                      f'{platform.machine()}, threads: {threads}.', '',
                                      '| method | photographs | seconds each | GiB |', '|---|---|---|---|', *rows, '')),
                           encoding='utf-8')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
