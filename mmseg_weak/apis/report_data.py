"""What a run left in its work_dir, gathered for the report."""
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_weak.datasets.samplers import RunIndex
from mmseg_weak.errors import ConfigError, DataError, MissingFileError, WeakError

__all__ = ['Run', 'comparable', 'labeled_share', 'miou', 'read_run', 'same_images']


@dataclass
class Run:
    """A finished or running training.

    Attributes:
        folder: its work_dir.
        name: the folder's name.
        scalars: key to ([iteration], [value]), of every log of the run.
        evals: records of the validations by iteration, as ``WeakIoUMetric`` writes them.
        test: record of the test; None where there was none.
        cfg: the config that mmengine put beside the logs; None where there is none.
        snapshots: iteration to folder of pseudo-label pictures.
        complaints: files that could not be read, each a sentence.
    """
    folder: Path
    name: str
    scalars: dict[str, tuple[list, list]] = field(default_factory=dict)
    evals: dict[int, dict] = field(default_factory=dict)
    test: dict | None = None
    cfg: Config | None = None
    snapshots: dict[int, Path] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @property
    def last(self) -> dict | None:
        """The newest validation; the test where there was no validation."""
        return self.evals[max(self.evals)] if self.evals else self.test

    @property
    def classes(self) -> list[str]:
        """Names of the classes, empty before the first evaluation."""
        return list((self.last or {}).get('classes', []))

    @property
    def method(self) -> str:
        """Type of the model, 'supervised only' for a plain one."""
        kind = str((self.cfg.get('model') or {}).get('type', '')) if self.cfg else ''
        plain = 'EncoderDecoder' in kind
        return 'supervised only' if plain else kind.rsplit('.', 1)[-1]

    def curve(self, key: str) -> tuple[list, list]:
        """A logged value over the iterations; empty lists where it was not logged."""
        return self.scalars.get(key, ([], []))

    def iou_curve(self, index: int) -> tuple[list, list]:
        """IoU of a class in percent over the iterations."""
        steps = sorted(self.evals)
        values = [self.evals[step]['iou'][index] for step in steps]
        return steps, [None if value is None else 100 * value for value in values]

    def miou_curve(self) -> tuple[list, list]:
        """mIoU in percent over the iterations."""
        steps = sorted(self.evals)
        return steps, [miou(self.evals[step]) for step in steps]


def miou(record: dict | None) -> float | None:
    """mIoU in percent of an evaluation record, None where no class has pixels."""
    values = [value for value in (record or {}).get('iou', []) if value is not None]
    return 100 * float(np.mean(values)) if values else None


def read_run(work_dir: str | Path) -> Run:
    """Read everything the report shows of a run.

    Args:
        work_dir: the run's folder.

    Returns:
        The run. Damaged log lines and records are passed over and named in ``complaints``.

    Raises:
        MissingFileError: there is no such folder.
        DataError: the folder holds neither logs nor evaluations.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise MissingFileError(f'there is no folder {folder}; give the work_dir of a training run')
    run = Run(folder, folder.resolve().name)
    for log in sorted(folder.glob('*/vis_data/scalars.json')):
        _read_scalars(run, log)
    for file in sorted((folder / 'eval').glob('*.json')):
        try:
            record = json.loads(file.read_text(encoding='utf-8'))
            if len(record['confusion']) != len(record['classes']) or len(record['iou']) != len(record['classes']):
                raise ValueError('its tables do not have one entry a class')
        except (ValueError, KeyError, TypeError) as error:
            run.complaints.append(f'{file} cannot be read ({error}) and is left out.')
            continue
        record['folder'] = str(file.parent)
        if file.stem.startswith('iter_'):
            run.evals[int(file.stem.removeprefix('iter_'))] = record
        elif file.stem == 'test' or run.test is None:
            run.test = record
    for path in (folder / 'pseudo_snapshots').glob('iter_*'):
        if path.name.removeprefix('iter_').isdigit():
            run.snapshots[int(path.name.removeprefix('iter_'))] = path
    configs = sorted(folder.glob('*.py'), key=lambda file: file.stat().st_mtime)
    if configs:
        try:
            # The dump is complete; loading without custom_imports keeps the report from running anyone's code.
            run.cfg = Config.fromfile(str(configs[-1]), import_custom_modules=False)
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
            run.complaints.append(f'{configs[-1]} cannot be read ({error}) and is left out.')
    if not (run.scalars or run.last):
        raise DataError(f'{folder} holds no training run: neither */vis_data/scalars.json nor eval/*.json is there; '
                        f'give the work_dir of a run that has logged something')
    return run


def _read_scalars(run: Run, log: Path) -> None:
    """Add the lines of a log; a later log of a resumed run replaces what it repeats."""
    bad, fresh = 0, {}
    for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            entry = json.loads(line)
            step = int(entry.get('step', entry.get('iter')))
        except (ValueError, TypeError, AttributeError):
            bad += bool(line.strip())
            continue
        for key, value in entry.items():
            if key not in ('step', 'iter') and isinstance(value, (int, float)):
                fresh.setdefault(key, {})[step] = float(value)
    if bad:
        run.complaints.append(f'{bad} lines of {log} are no JSON (the run was stopped while writing) and are left out.')
    for key, values in fresh.items():
        first = min(values)
        merged = {step: value for step, value in zip(*run.curve(key)) if step < first} | values
        run.scalars[key] = (sorted(merged), [merged[step] for step in sorted(merged)])


def same_images(one: dict, other: dict) -> bool:
    """Whether two records speak of the same images."""
    return sorted(i['img_path'] for i in one['images']) == sorted(i['img_path'] for i in other['images'])


def comparable(run: Run, other: Run, option: str) -> tuple[dict, dict]:
    """The records of two runs to compare: both tests if there are two of the same images, else both last validations.

    Raises:
        ConfigError: the runs were evaluated on other images or classes.
        DataError: one was never evaluated.
    """
    for each in (run, other):
        if each.last is None:
            raise DataError(f'{each.folder} holds no evaluation (eval/*.json); train with WeakIoUMetric as '
                            f'val_evaluator, as our configs do')
    if run.classes != other.classes:
        raise ConfigError(f'{option} {other.folder} has other classes ({len(other.classes)}) than {run.folder} '
                          f'({len(run.classes)}); compare runs on the same data')
    if run.test and other.test and same_images(run.test, other.test):
        return run.test, other.test
    if not same_images(run.last, other.last):
        raise ConfigError(f'{option} {other.folder} was evaluated on {len(other.last["images"])} other images than '
                          f'{run.folder} ({len(run.last["images"])}); compare runs on the same data')
    return run.last, other.last


def labeled_share(run: Run, most_images: int = 64) -> tuple[list[float], int] | None:
    """Share of each class among the labelled pixels that the run trained on.

    Args:
        run: the run, with its config.
        most_images: number of labelled images to look at, evenly spread.

    Returns:
        Shares that sum to 1, and the number of images looked at; None where the data are not there any more.
    """
    dataset = ((run.cfg or {}).get('train_dataloader') or {}).get('dataset') or {}
    dataset = dataset.get('labeled') or dataset.get('dataset') or dataset
    if not dataset or not run.classes:
        return None
    counts = np.zeros(len(run.classes), np.int64)
    try:
        init_default_scope('mmseg')
        built = DATASETS.build(dataset)
        picked = range(0, len(built), max(1, -(-len(built) // most_images)))
        for index in picked:
            label = built[RunIndex(index, draw_seed=index, position=index)]['data_samples'].gt_sem_seg.data.numpy()
            counts += np.bincount(label[label < len(counts)].reshape(-1), minlength=len(counts))
    except (WeakError, OSError, KeyError, TypeError, ValueError, AttributeError, ImportError) as error:
        run.complaints.append(f'The class balance of the labelled images is left out: {error}')
        return None
    return ((counts / counts.sum()).tolist(), len(picked)) if counts.sum() else None
