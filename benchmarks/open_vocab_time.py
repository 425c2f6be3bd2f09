"""What finding names costs beyond CLIP's own forwards: time for 21 and 171 classes, windows, other names, memory.

    python benchmarks/open_vocab_time.py share              # time beyond the towers, of all
    python benchmarks/open_vocab_time.py windows            # all windows in large batches against one by one
    python benchmarks/open_vocab_time.py names              # other names on kept features against the first call
    python benchmarks/open_vocab_time.py memory             # 847 names on 2048x2048: peak beyond the towers

ViT-B/16 of random weights (time does not depend on them), short side 448, windows of 224 at a stride of 112,
photographs of 500x375 of noise. Both sides of a ratio run in turn in this process; times of one thread are the
processor's, so that other jobs count little, those of several the clock's. Each prints its command and its machine;
nothing is asserted.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_weak  # noqa: F401  (registers)
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD, class_probs, parse_classes, window_boxes

SIZE = (375, 500)


def build(templates: str = 'name', **test_cfg) -> torch.nn.Module:
    """A method whose attention costs what CLIP's does: query-query, no residual, no FFN in the last block."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    clip = dict(type='OpenCLIP', name='ViT-B-16', attention='clearclip', residual=False, ffn=False, cache_dir=None,
                templates=templates)
    cut = dict(short_side_px=448, crop_px=224, stride_px=112) | test_cfg
    return MODELS.build(dict(type='OpenVocabSegmentor', clip=clip, names=['a thing'], test_cfg=cut))


def names(count: int, word: str = 'thing'):
    """So many made-up names."""
    return parse_classes([f'{word} {i}' for i in range(count)])


def image(size: tuple[int, int] = SIZE) -> torch.Tensor:
    """A photograph of noise, (3,H,W) RGB, 0 to 255."""
    return torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(0)).float()


def now() -> float:
    """The processor's time for one thread, so that other jobs count little; the clock's for several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(function: Callable[[], object]) -> float:
    """Time of a call."""
    start = now()
    function()
    return now() - start


def middle(values: list[float]) -> str:
    """Median and range."""
    return f'{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})'


class Clock:
    """Adds up what a method's forwards of the towers take."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.total, encode = 0.0, model.encode

        def timed(windows: torch.Tensor) -> torch.Tensor:
            start = now()
            out = encode(windows)
            self.total += now() - start
            return out
        model.encode = timed


def share(repeats: int) -> dict:
    """Time of a photograph that is not spent in the image tower; embeddings of the names are there."""
    model, picture, found = build(), image(), {}
    clock = Clock(model)
    for count in (21, 171):
        some, whole, beyond = names(count), [], []
        model.texts(some)
        for _ in range(repeats + 1):
            clock.total = 0.0
            kept = []
            took = seconds(lambda: kept.extend(model.keep([picture])) or model.label(kept[0], some))  # noqa: B023
            whole.append(took)
            beyond.append((took - clock.total) / took)
        whole, beyond = whole[1:], beyond[1:]  # the first warms up
        print(f'{count} classes: {middle(whole)} a photograph, {100 * statistics.median(beyond):.1f} % of it beyond '
              f'the tower ({100 * min(beyond):.1f} to {100 * max(beyond):.1f})')
        found[count] = dict(seconds=whole, beyond=beyond)
    return found


@torch.no_grad()
def published_loop(model: torch.nn.Module, picture: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """A window at a time, as the repositories do it: cosines of all names enlarged to the window, added into a map of
    the image, enlarged to the photograph, softmax, the best class."""
    small = model.resized(picture)[None]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    small = (small - mean) / std
    total, hits = small.new_zeros(1, len(texts), *small.shape[-2:]), small.new_zeros(1, 1, *small.shape[-2:])
    for y1, x1, y2, x2 in window_boxes(tuple(small.shape[-2:]), 224, 112):
        cosines = torch.einsum('md,ndhw->nmhw', texts, model.encode(small[:, :, y1:y2, x1:x2]))
        maps = F.interpolate(cosines, (y2 - y1, x2 - x1), mode='bilinear')
        total += F.pad(maps, (x1, small.shape[3] - x2, y1, small.shape[2] - y2))
        hits[..., y1:y2, x1:x2] += 1
    maps = F.interpolate(total / hits, picture.shape[-2:], mode='bilinear')
    return class_probs(maps, range(len(texts)), 40.0).argmax(1)[0]


def windows(repeats: int) -> dict:
    """Ours with large batches of windows, ours with one window a forward, and the published loop."""
    model, picture, found = build(), image(), {}
    for count in (21, 171):
        some = names(count)
        texts = model.texts(some)

        def ours(batch: int, some=some) -> torch.Tensor:
            model.test_cfg['window_batch'] = batch
            return model.label(model.keep([picture])[0], some)[0]
        same = float((ours(16) == published_loop(model, picture, texts)).float().mean())
        ways = {'16 windows a forward': lambda: ours(16), 'one window a forward': lambda: ours(1),
                'published loop': lambda texts=texts: published_loop(model, picture, texts)}
        took = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                took[name].append(seconds(way))
        first = statistics.median(took['16 windows a forward'])
        print(f'{count} classes, {100 * same:.2f} % of the pixels alike:')
        for name, values in took.items():
            print(f'  {name}: {middle(values)}, {statistics.median(values) / first:.2f} times ours')
        found[count] = took
    return found


def changed_names(repeats: int) -> dict:
    """The first call on a photograph against later ones with other names, by the number of sentences around a name."""
    found = {}
    for templates in ('name', 'imagenet'):
        model, picture = build(templates), image()
        model.texts(names(1, 'warm'))
        model.keep([picture])
        first, other, one, again = [], [], [], []
        for turn in range(repeats):
            some, kept = names(5, f'first{turn}'), []
            first.append(seconds(lambda: kept.extend(model.keep([picture])) or model.label(kept[0], some)))  # noqa: B023
            new = names(5, f'other{turn}')
            other.append(seconds(lambda: model.label(kept[0], new)))  # noqa: B023
            word = parse_classes([*new.names[:4], f'word{turn}'])
            one.append(seconds(lambda: model.label(kept[0], word)))  # noqa: B023
            again.append(seconds(lambda: model.label(kept[0], some)))  # noqa: B023
        print(f'{len(model.clip.text.templates)} sentences a name, 5 names: first call {middle(first)}')
        for name, values in {'5 new names': other, '1 new name of 5': one, 'names seen before': again}.items():
            print(f'  {name}: {1000 * statistics.median(values):.0f} ms, '
                  f'{statistics.median(first) / statistics.median(values):.1f} times faster')
        found[templates] = dict(first=first, other=other, one=one, again=again)
    return found


def field(name: str) -> float:
    """Field of /proc/self/status in GB (Linux)."""
    line = next(ln for ln in Path('/proc/self/status').read_text().splitlines() if ln.startswith(name))
    return int(line.split()[1]) / 1e6


def memory(repeats: int) -> dict:
    """Peak of the resident set while 847 names are compared with 2048x2048 pixels, beyond towers, image and texts."""
    model, picture = build(window_batch=4), image((2048, 2048))
    texts = F.normalize(torch.randn(847, 512), dim=1)
    some = names(847, 'ade')
    model.texts = lambda _names=None: texts
    kept, = model.keep([picture])
    Path('/proc/self/clear_refs').write_text('5')  # sets the peak back to what is held now
    held, start = field('VmRSS'), now()
    model.label(kept, some)
    took, peak = now() - start, field('VmHWM') - held
    print(f'847 names on 2048x2048: {took:.0f} s after the tower, peak {peak:.2f} GB beyond what was held '
          f'({held:.2f} GB with towers, image and features); all cosines at once are {847 * 2048**2 * 4 / 1e9:.1f} GB')
    return dict(seconds=took, peak_gb=peak, held_gb=held)


def main() -> None:
    """Measure and print."""
    ways = dict(share=share, windows=windows, names=changed_names, memory=memory)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', nargs='+', choices=list(ways))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--json', help='write the numbers here')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = f'{platform.machine()}, {os.cpu_count()} cores, {args.threads} thread(s), torch {torch.__version__}'
    print(f'$ python benchmarks/open_vocab_time.py {" ".join(sys.argv[1:])}\n{machine}', flush=True)
    with torch.no_grad():
        found = {what: ways[what](args.repeats) for what in args.what}
    if args.json:
        Path(args.json).write_text(json.dumps(dict(machine=machine, **found), indent=1))


if __name__ == '__main__':
    main()
