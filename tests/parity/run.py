"""Compare this project's code with golden vectors of the form described below, from any folder.

Every case is `<root>/<slug>/<case>.npz` (arrays) and `<case>.json`: `function` (of `adapters/<slug>.py`), `settings`,
`inputs`, `parameters`, `outputs` {name: {rtol, atol} or {match}} and `gradients` {name: {of, wrt, rtol, atol}}, the
gradient of the sum of an output. An entry with `"optional": true` may be left out. An adapter function takes (arrays,
settings) and returns the outputs by name.

    python tests/parity/run.py --root DIR [--slug unimatch cps] [--strict]

Exit status 0 when every case with an adapter agrees (with --strict: and every case has one), 1 otherwise, 2 when DIR
holds no case.
"""
import argparse
import importlib.util
import json
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

ADAPTERS = Path(__file__).resolve().parent / 'adapters'
if importlib.util.find_spec('mmseg_weak') is None:  # a checkout that is not installed
    sys.path.insert(0, str(ADAPTERS.parents[2]))


def cases(root: Path, slugs=None) -> list:
    """Paths of the descriptions below ``root``, sorted."""
    return [p for p in sorted(Path(root).glob('*/*.json')) if not slugs or p.parent.name in slugs]


def adapter_of(slug: str, folder: Path = ADAPTERS):
    """The adapter module of a slug, loaded by path; None where there is none."""
    path = folder / f'{slug}.py'
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f'parity_adapter_{slug}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def difference(name: str, got, want: np.ndarray, rule: dict):
    """One line on how ``got`` breaks the rule, or None."""
    got = np.asarray(got.detach().cpu().numpy() if isinstance(got, torch.Tensor) else got)
    if got.shape != want.shape and got.size == want.size == 1:
        got = got.reshape(want.shape)
    if got.shape != want.shape:
        return f'{name}: shape {got.shape}, expected {want.shape}'
    if 'match' in rule:
        share = float((got == want).mean()) if want.size else 1.0
        return None if share >= rule['match'] else f'{name}: {share:.4f} equal, expected {rule["match"]}'
    got, want = got.astype(np.float64), want.astype(np.float64)
    if np.allclose(got, want, rtol=rule.get('rtol', 1e-5), atol=rule.get('atol', 1e-7), equal_nan=True):
        return None
    return f'{name}: off by up to {np.nanmax(np.abs(got - want)):.3e}, values up to {np.nanmax(np.abs(want)):.3e}'


def compare(description: Path):
    """What is wrong with a case, as a list of lines; None where there is no adapter."""
    meta = json.loads(description.read_text())
    adapter = adapter_of(description.parent.name)
    if adapter is None:
        return None
    function = getattr(adapter, meta['function'], None)
    if function is None:
        return [f'the adapter has no function {meta["function"]}']
    gradients = meta.get('gradients', {})
    wanted = {rule['wrt'] for rule in gradients.values()}
    with np.load(description.with_suffix('.npz'), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    given = {}
    for name in [*meta['inputs'], *meta.get('parameters', [])]:
        tensor = torch.from_numpy(np.array(arrays[name]))
        given[name] = tensor.requires_grad_() if name in wanted and tensor.is_floating_point() else tensor
    out, wrong = function(dict(given), dict(meta.get('settings', {}))), []
    for name, rule in meta['outputs'].items():
        if name in out:
            wrong.append(difference(name, out[name], arrays[name], rule))
        elif not rule.get('optional'):
            wrong.append(f'{name}: not returned')
    for name, rule in gradients.items():
        value = out.get(rule['of'])
        if not getattr(value, 'requires_grad', False):
            wrong.append(None if rule.get('optional') else f'{name}: {rule["of"]} carries no gradient')
            continue
        source = given[rule['wrt']]
        gradient, = torch.autograd.grad(value.sum(), source, retain_graph=True, allow_unused=True)
        wrong.append(difference(name, torch.zeros_like(source) if gradient is None else gradient, arrays[name], rule))
    return [line for line in wrong if line]


def main(argv=None) -> int:
    """Print a line a case and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', required=True, type=Path, help='folder of <slug>/<case>.json and .npz')
    parser.add_argument('--slug', nargs='*', help='these methods only')
    parser.add_argument('--strict', action='store_true', help='a case without an adapter fails')
    args = parser.parse_args(argv)
    found = cases(args.root, args.slug)
    if not found:
        print(f'{args.root} holds no case <slug>/<case>.json'
              + (f' of {", ".join(args.slug)}' if args.slug else ''), file=sys.stderr)
        return 2
    counts = dict(ok=0, FAIL=0, missing=0)
    for description in found:
        try:
            wrong = compare(description)
        except Exception:
            wrong = [traceback.format_exc(limit=-3).rstrip()]
        state = 'missing' if wrong is None else 'FAIL' if wrong else 'ok'
        counts[state] += 1
        print(f'{state:8}{description.parent.name}/{description.stem}')
        for line in wrong or []:
            print('        ', line)
    print(', '.join(f'{n} {state}' for state, n in counts.items()))
    return int(bool(counts['FAIL'] or (args.strict and counts['missing'])))


if __name__ == '__main__':
    sys.exit(main())
