"""Keeps pictures of the pseudo labels of a few images, so that one can watch them grow."""
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from mmseg_weak.datasets.samplers import RunIndex
from mmseg_weak.files import write_bytes, write_json
from mmseg_weak.models.segmentors import SemiSegmentor
from mmseg_weak.models.teachers import pseudo_from_logits
from mmseg_weak.models.utils.modes import eval_mode
from mmseg_weak.visualization import mask_png, png_bytes

__all__ = ['PseudoLabelSnapshotHook']


@HOOKS.register_module()
class PseudoLabelSnapshotHook(Hook):
    """Write the pseudo labels of fixed unlabelled crops at several iterations of a run.

    The labels are those of the network that makes them, the teacher where there is one, on the weak view. Crops are
    drawn once from the first seed, so every snapshot shows the same pixels. Written by rank 0, per snapshot:
    ``<work_dir>/pseudo_snapshots/iter_<n>/<name>.png`` (palette) and ``<name>_conf.png`` (confidence, 0-255);
    once: ``pseudo_snapshots/images/<name>.png`` and, where the dataset opens hidden masks (``diagnose``),
    ``pseudo_snapshots/truth/<name>.png``. A model that is not semi-supervised is left alone.

    Args:
        count: number of images, spread evenly over the unlabelled list.
        times: number of snapshots, spread evenly over the run, besides one after the first iteration.
        seed: of the crops.
    """

    priority = 'LOW'

    def __init__(self, count: int = 4, times: int = 4, seed: int = 0) -> None:
        self.count, self.times, self.seed = count, times, seed
        self._crops: list[tuple[str, torch.Tensor]] | None = None

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Take a snapshot when one is due."""
        step, last = runner.iter + 1, runner.max_iters
        due = {1} | {round(last * k / self.times) for k in range(1, self.times + 1)}
        if step not in due or not is_main_process():
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, SemiSegmentor):
            return
        folder = Path(runner.work_dir) / 'pseudo_snapshots'
        dataset = runner.train_dataloader.dataset
        palette = (getattr(dataset, 'metainfo', None) or {}).get('palette')
        if self._crops is None:
            self._crops = self._draw(dataset, folder, palette)
        network = model.teacher.module if model.teacher is not None else model.student
        for name, crop in self._crops:
            pseudo, conf = self._label(model, network, crop)
            write_bytes(folder / f'iter_{step}' / f'{name}.png', mask_png(pseudo, palette))
            write_bytes(folder / f'iter_{step}' / f'{name}_conf.png', png_bytes(conf))

    def _draw(self, dataset, folder: Path, palette: list | None) -> list[tuple[str, torch.Tensor]]:
        """Fixed crops of unlabelled images, and their pictures on disk."""
        lengths = list(getattr(dataset, 'source_lengths', []))
        if len(lengths) < 2 or not lengths[1]:
            return []
        crops, paths = [], {}
        for number in range(min(self.count, lengths[1])):
            index = lengths[0] + number * lengths[1] // min(self.count, lengths[1])
            sample = dataset[RunIndex(index, draw_seed=self.seed + number, position=number)]
            data_sample = sample['data_samples']
            path = str(data_sample.metainfo.get('img_path', index))
            name = f'{number:02d}_{Path(path).stem}'
            paths[name] = path
            image = sample['inputs']
            write_bytes(folder / 'images' / f'{name}.png',
                        png_bytes(np.ascontiguousarray(image.numpy()[::-1].transpose(1, 2, 0))))
            if 'hidden_sem_seg' in data_sample:
                truth = data_sample.hidden_sem_seg.data.squeeze(0).numpy()
                write_bytes(folder / 'truth' / f'{name}.png', mask_png(truth, palette))
            crops.append((name, image))
        write_json(folder / 'images.json', paths)
        return crops

    @staticmethod
    @torch.no_grad()
    def _label(model: SemiSegmentor, network: torch.nn.Module, crop: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Class indices and confidence (0-255) of one crop, both (H, W) uint8."""
        sample = SegDataSample(metainfo=dict(img_shape=tuple(crop.shape[-2:]), ori_shape=tuple(crop.shape[-2:])))
        data = model.data_preprocessor(dict(inputs=[crop], data_samples=[sample]), False)
        with eval_mode(network):
            label = pseudo_from_logits(model.logits(data['inputs'], network))
        height, width = crop.shape[-2:]
        conf, pseudo = (x[0, :height, :width].cpu().numpy() for x in (label.conf, label.labels))
        return pseudo.astype(np.uint8), np.rint(conf * 255).astype(np.uint8)
