"""Time and memory of the refinements: PAR, dense CRF, random walk, each beside the form its authors published.

    python benchmarks/refine_time.py                        # a smaller PAR (2 images, 8 classes, 161x161), a minute
    python benchmarks/refine_time.py --full                 # 4 images, 21 classes, 321x321; the gather form takes 7 GB
    python benchmarks/refine_time.py --build-pydensecrf     # builds pydensecrf2 in a venv of its own (network)
    python benchmarks/refine_time.py --pydensecrf VENV/bin/python

Each side runs in a process of its own on the same seeded inputs. Memory is the peak of the resident set beyond what the
process held once imports, inputs and one tiny warm-up were there. Theirs, in our own words: PAR gathers all neighbours
of all classes at once, (B,C,48,H,W); the walk squares the dense transition matrix eight times; the CRF is pydensecrf2's
C++. Prints a table, asserts nothing.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
SMALL, FULL = dict(batch=2, classes=8, side=161), dict(batch=4, classes=21, side=321)
PYDENSECRF = """
import sys, time, numpy as np, pydensecrf.densecrf as dcrf
image, probs, repeats = np.load(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3])
seconds = []
for _ in range(repeats):
    start = time.perf_counter()
    crf = dcrf.DenseCRF2D(image.shape[1], image.shape[0], len(probs))
    crf.setUnaryEnergy(np.ascontiguousarray(-np.log(probs.clip(1e-5, 1)).reshape(len(probs), -1)))
    crf.addPairwiseGaussian(sxy=1, compat=3)
    crf.addPairwiseBilateral(sxy=67, srgb=3, rgbim=image, compat=4)
    np.array(crf.inference(10))
    seconds.append(time.perf_counter() - start)
print(seconds)
"""


# ------------------------------------------------------------------------------------------- what runs in a child
def par_inputs(batch: int, classes: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and images, seeded."""
    torch.manual_seed(0)
    return torch.rand(batch, classes, side, side).softmax(1), torch.rand(batch, 3, side, side)


def par_gather(scores: torch.Tensor, image: torch.Tensor, steps: int = 10) -> torch.Tensor:
    """PAR by gathering: one grouped 3x3 convolution a dilation picks the eight neighbours."""
    picks = torch.zeros(8, 1, 3, 3)
    for k, place in enumerate((0, 1, 2, 3, 5, 6, 7, 8)):
        picks[k, 0, place // 3, place % 3] = 1

    def gather(x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        parts = []
        for d in (1, 2, 4, 8, 12, 24):
            padded = F.pad(x, (d,) * 4, mode='replicate').reshape(b * c, 1, h + 2 * d, w + 2 * d)
            parts.append(F.conv2d(padded, picks, dilation=d).reshape(b, c, 8, h, w))
        return torch.cat(parts, 2)

    near = gather(image)
    colour = -((near - image.unsqueeze(2)).abs() / (near.std(2, keepdim=True) + 1e-8) / 0.3) ** 2
    distance = torch.tensor([d * r for d in (1, 2, 4, 8, 12, 24) for r in (2 ** 0.5, 1, 2 ** 0.5, 1, 1, 2 ** 0.5, 1,
                                                                          2 ** 0.5)]).view(1, 1, -1, 1, 1)
    place = -(distance.expand_as(near[:, :1]) / (distance.std() + 1e-8) / 0.3) ** 2
    weights = colour.mean(1, keepdim=True).softmax(2) + 0.01 * place.softmax(2)
    for _ in range(steps):
        scores = (gather(scores) * weights).sum(2)
    return scores


def walk_dense(scores: torch.Tensor, edge: torch.Tensor) -> torch.Tensor:
    """IRNet's walk with the dense matrix."""
    from mmseg_weak.models.refine import pairs
    matrix = pairs.affinity_to_matrix(pairs.edge_affinity(edge), pairs.path_directions())[0] ** 10
    matrix = matrix / matrix.sum(0, keepdim=True)
    for _ in range(8):
        matrix = matrix @ matrix
    return (scores * (1 - edge)).flatten(2) @ matrix


def crf_inputs(height: int = 375, width: int = 500, classes: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """A drawn scene and smooth random probabilities on it."""
    from mmseg_weak.datasets.toyworld import draw_scene
    image = np.ascontiguousarray(draw_scene(max(height, width), 0, 0, 1).render()[:height, :width])
    coarse = torch.randn(1, classes, 12, 16, generator=torch.Generator().manual_seed(0)) * 2
    probs = F.interpolate(coarse, (height, width), mode='bilinear').softmax(1)[0]
    return image, probs.numpy()


def jobs(args: argparse.Namespace) -> dict[str, Callable[[], Callable[[], object]]]:
    """Name -> function that prepares and returns what is timed."""
    import mmseg_weak  # noqa: F401
    from mmseg_weak.models.refine import PAR, DenseCRF, EdgeWalk

    def par(form: Callable) -> Callable[[], object]:
        inputs = par_inputs(**(FULL if args.full else SMALL))
        form(*par_inputs(1, 2, 32))
        return lambda: form(*inputs)

    def crf(kind: str, size: tuple[int, int] = (375, 500)) -> Callable[[], object]:
        image, probs = crf_inputs(*size)
        image, probs = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(probs)[None]
        module = DenseCRF('deeplab', filter=kind)
        module(probs[:, :2, :16, :16].softmax(1), image[:, :, :16, :16])
        return lambda: module(probs, image)

    def walk(form: Callable, size: tuple[int, int]) -> Callable[[], object]:
        torch.manual_seed(0)
        scores, edge = torch.rand(1, 3, *size), torch.rand(1, 1, *size) ** 3
        form(scores[..., :20, :20], edge[..., :20, :20])
        return lambda: form(scores, edge)

    return {'par_ours': lambda: par(PAR(num_iter=10)), 'par_gather': lambda: par(torch.no_grad()(par_gather)),
            'crf_ours': lambda: crf('lattice'), 'crf_small_lattice': lambda: crf('lattice', (60, 80)),
            'crf_small_exact': lambda: crf('exact', (60, 80)),
            'walk_ours': lambda: walk(EdgeWalk(), (47, 62)), 'walk_dense': lambda: walk(walk_dense, (47, 62)),
            'walk_94x125': lambda: walk(EdgeWalk(), (94, 125))}


def memory(field: str) -> float:
    """Field of /proc/self/status in MB (Linux)."""
    line = next(ln for ln in Path('/proc/self/status').read_text().splitlines() if ln.startswith(field))
    return int(line.split()[1]) / 1024


def child(args: argparse.Namespace) -> None:
    """Run one job and print its seconds and memory as JSON."""
    run = jobs(args)[args.job]()
    Path('/proc/self/clear_refs').write_text('5')  # sets the peak back to what is held now
    held = memory('VmRSS')
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    print(json.dumps(dict(seconds=seconds, mb=memory('VmHWM') - held)))


# ------------------------------------------------------------------------------------------------------- the parent
def measure(name: str, args: argparse.Namespace, repeats: int) -> dict:
    """Run a job in a fresh process."""
    command = [sys.executable, '-W', 'ignore', __file__, '--job', name, '--repeats', str(repeats)]
    done = subprocess.run(command + ['--full'] * args.full, cwd=ROOT, capture_output=True, text=True, check=False,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    if done.returncode:
        return dict(problem=(done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def build_pydensecrf(folder: Path) -> str | None:
    """Interpreter of a new venv with pydensecrf2; None with a word on stderr where it does not build."""
    python = folder / 'bin' / 'python'
    steps = ([sys.executable, '-m', 'venv', str(folder)],
             [str(python), '-m', 'pip', 'install', '-q', 'numpy', 'cython', 'setuptools', 'wheel'],
             [str(python), '-m', 'pip', 'install', '-q', '--no-build-isolation', 'pydensecrf2'])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f'pydensecrf2 does not build here: {done.stderr.strip().splitlines()[-1]}', file=sys.stderr)
            return None
    return str(python)


def pydensecrf(python: str, repeats: int) -> dict:
    """Time the C++ package on the same input."""
    with tempfile.TemporaryDirectory() as folder:
        files = [f'{folder}/image.npy', f'{folder}/probs.npy']
        for file, array in zip(files, crf_inputs()):
            np.save(file, array)
        done = subprocess.run([python, '-c', PYDENSECRF, *files, str(repeats)], capture_output=True, text=True,
                              check=False)
    if done.returncode:
        return dict(problem=(done.stderr.strip().splitlines() or ['failed'])[-1])
    return dict(seconds=json.loads(done.stdout))


def cell(result: dict) -> str:
    """Median, spread and memory."""
    if 'problem' in result:
        return f'not run ({result["problem"]})'
    s = result['seconds']
    text = f'{statistics.median(s):.2f} s ({min(s):.2f} to {max(s):.2f})'
    return text + (f', {result["mb"]:.0f} MB' if 'mb' in result else '')


def ratio(ours: dict, theirs: dict) -> str:
    """How much faster and smaller."""
    if 'problem' in ours or 'problem' in theirs:
        return ''
    text = f'{statistics.median(theirs["seconds"]) / statistics.median(ours["seconds"]):.1f} x faster'
    if 'mb' in ours and 'mb' in theirs:
        text += f', 1/{theirs["mb"] / max(ours["mb"], 1):.0f} of the memory'
    return text


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--full', action='store_true', help='the sizes of the papers')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--pydensecrf', help='interpreter of a venv with pydensecrf2')
    parser.add_argument('--build-pydensecrf', action='store_true', help='make such a venv; needs a compiler and pip')
    parser.add_argument('--json', help='write the numbers here')
    parser.add_argument('--job', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        return child(args)
    par = FULL if args.full else SMALL
    rows = {f'PAR, B={par["batch"]} C={par["classes"]} {par["side"]}x{par["side"]}, 10 iterations':
            (measure('par_ours', args, args.repeats), measure('par_gather', args, 1 if args.full else args.repeats)),
            'random walk, 47x62, 3 classes, 256 steps':
            (measure('walk_ours', args, args.repeats), measure('walk_dense', args, 1)),
            'random walk, 94x125, 3 classes, 256 steps':
            (measure('walk_94x125', args, args.repeats), dict(problem='8 products of 11,750 x 11,750, minutes'))}
    crf = measure('crf_ours', args, args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        python = args.pydensecrf or (build_pydensecrf(Path(folder)) if args.build_pydensecrf else None)
        theirs = pydensecrf(python, args.repeats) if python else dict(problem='see --build-pydensecrf')
    rows['dense CRF, 500x375, 21 classes, 10 iterations (theirs: pydensecrf2)'] = crf, theirs
    rows['dense CRF, 80x60, 21 classes (theirs: our exact form)'] = (measure('crf_small_lattice', args, args.repeats),
                                                                     measure('crf_small_exact', args, args.repeats))
    machine = (f'{platform.processor() or platform.machine()}, {torch.get_num_threads()} thread(s), '
               f'torch {torch.__version__}')
    print(f'{machine}\n\n| what | ours | theirs | |\n|---|---|---|---|')
    for name, (ours, other) in rows.items():
        print(f'| {name} | {cell(ours)} | {cell(other)} | {ratio(ours, other)} |')
    if args.json:
        Path(args.json).write_text(json.dumps(dict(machine=machine, rows={k: dict(ours=a, theirs=b) for k, (a, b)
                                                                          in rows.items()}), indent=1))


if __name__ == '__main__':
    main()
