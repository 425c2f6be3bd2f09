"""What a captured training step consists of, and how to run it again."""
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.compat import load_checkpoint_file
from mmseg_weak.errors import MissingFileError

__all__ = ['pack_batch', 'replay', 'unpack_batch']


def pack_batch(batch: Any) -> tuple[dict, list[str]]:
    """Turn a collated batch into plain values that ``weights_only=True`` reads.

    Args:
        batch: ``dict(inputs=list of Tensor (3,H,W), data_samples=list of SegDataSample)``.

    Returns:
        The packed batch, and the image files in its order.
    """
    if not isinstance(batch, dict) or 'inputs' not in batch:
        return dict(inputs=[], samples=[]), []
    samples, files = [], []
    for sample in batch.get('data_samples') or []:
        meta = {key: _plain(value) for key, value in sample.metainfo.items()}
        fields = {key: value.data for key, value in sample.items() if isinstance(value, PixelData)}
        samples.append(dict(meta=meta, fields=fields))
        files.append(str(meta.get('img_path', '')))
    return dict(inputs=list(batch['inputs']), samples=samples), files


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value)) if isinstance(value, tuple) else list(map(_plain, value))
    if isinstance(value, np.ndarray):
        return torch.as_tensor(value) if value.dtype != object else str(value)
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (Tensor, int, float, bool, str, bytes, type(None))) else str(value)


def unpack_batch(packed: dict) -> dict:
    """The inverse of :func:`pack_batch`.

    Args:
        packed: as read from ``batch_rank<r>.pth``.
    """
    samples = []
    for item in packed['samples']:
        sample = SegDataSample(metainfo=item['meta'])
        for key, data in item['fields'].items():
            sample.set_field(PixelData(data=data), key, dtype=PixelData)
        samples.append(sample)
    return dict(inputs=packed['inputs'], data_samples=samples)


def replay(folder: str | Path, rank: int = 0) -> dict[str, Any]:
    """Run the forward pass of a captured step again, on the CPU.

    Args:
        folder: ``work_dir/nan_capture/iter_<n>``.
        rank: whose batch.

    Returns:
        What the model's loss returned: the losses by name, not summed.

    Raises:
        MissingFileError: the folder is not a capture.
    """
    from mmengine.logging import MessageHub

    from .hooks.counter_seed_hook import seed_iteration
    folder = Path(folder)
    report_file = folder / ('report.json' if rank == 0 else f'report_rank{rank}.json')
    for path in (report_file, folder / 'state.pth', folder / f'batch_rank{rank}.pth'):
        if not path.is_file():
            raise MissingFileError(f'{path} is missing, so {folder} is not a whole capture of rank {rank}; give a '
                                   'folder work_dir/nan_capture/iter_<n>.')
    report = json.loads(report_file.read_text())
    state = load_checkpoint_file(folder / 'state.pth', map_location='cpu')
    cfg = Config.fromstring(state['meta']['cfg'], file_format='.py')
    model = MODELS.build(cfg.model)
    model.load_state_dict(state['state_dict'])
    model.train()
    hub = MessageHub.get_current_instance()
    for key in ('iter', 'max_iters', 'iters_per_epoch'):
        hub.update_info(key, state['message_hub']['runtime_info'].get(key))
    seed_iteration(report['seed'], rank, report['iteration'])
    batch = unpack_batch(load_checkpoint_file(folder / f'batch_rank{rank}.pth'))
    return model(**model.data_preprocessor(batch, True), mode='loss')
