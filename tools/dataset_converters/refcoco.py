"""The expressions of RefCOCO, RefCOCO+ and G-Ref as JSON, out of the pickle in which they are released.

    python tools/dataset_converters/refcoco.py "data/refer/refcoco/refs(unc).p"

writes ``refs(unc).json`` beside it. Nothing of the pickle is run: it holds lists, dicts, text and numbers, and a file
that asks for anything else is refused.
"""
import argparse
import io
import pickle
from pathlib import Path
from typing import Any

from mmseg_weak.apis.train import main_of_tool
from mmseg_weak.errors import DataError, MissingFileError
from mmseg_weak.files import write_json


class _Plain(pickle.Unpickler):
    """Knows python's containers, text and numbers, which need no name."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f'{module}.{name}')


def read_refs(path: Path) -> list[dict]:
    """Objects with their sentences.

    Raises:
        MissingFileError: there is no such file. DataError: it is another file than the released one.
    """
    if not path.is_file():
        raise MissingFileError(f'There is no {path}; give refs(unc).p, refs(umd).p or refs(google).p as released.')
    try:
        refs = _Plain(io.BytesIO(path.read_bytes()), encoding='utf-8').load()
    except pickle.UnpicklingError as error:
        raise DataError(f'{path} was refused: its pickle asks for {error}; the released file holds lists, dicts, text '
                        'and numbers alone.') from error
    except Exception as error:  # a cut or foreign file fails in many ways
        raise DataError(f'{path} is no readable pickle ({type(error).__name__}: {error}); download it again.'
                        ) from error
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and 'sentences' in ref for ref in refs):
        raise DataError(f'{path} holds no list of objects with sentences; give refs(...).p.')
    return refs


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('refs', type=Path, help='refs(unc).p, refs(umd).p or refs(google).p')
    args = parser.parse_args()
    print(write_json(args.refs.with_suffix('.json'), read_refs(args.refs)))


if __name__ == '__main__':
    main_of_tool(main)
