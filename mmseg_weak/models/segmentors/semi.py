"""The frame of a semi-supervised method: a student, perhaps a teacher, and a loss over branches."""
from abc import abstractmethod

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.teachers.monitor import PseudoLabelMonitor

from .student import StudentSegmentor

__all__ = ['SemiSegmentor']


class SemiSegmentor(StudentSegmentor):
    """Base of the semi-supervised methods; a method implements :meth:`semi_loss`.

    Args:
        segmentor, teacher, predict_with, channels_last, init_cfg: of :class:`.StudentSegmentor`.
        data_preprocessor: a ``MultiBranchDataPreprocessor`` config.

    Raises:
        ConfigError: see :class:`.StudentSegmentor`.
    """

    def __init__(self, segmentor: dict, teacher: dict | None = None, data_preprocessor: dict | None = None,
                 predict_with: str = 'student', channels_last: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(segmentor, teacher, data_preprocessor, predict_with, channels_last, init_cfg)
        self.monitor = PseudoLabelMonitor(self.num_classes)
        self._diagnose_said = False

    @abstractmethod
    def semi_loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """The method: branches in, a flat dict out; keys with 'loss' are summed, others are logged."""

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        """Check the batch, put hidden masks out of reach, and run the method."""
        if not isinstance(inputs, dict):
            raise ConfigError(
                f'{type(self).__name__} got a batch without labelled and unlabelled branches: use '
                "train_dataloader.dataset.type='SemiDataset' and model.data_preprocessor.type="
                "'MultiBranchDataPreprocessor'.")
        self.need_teacher()
        self._open_hidden(data_samples)
        try:
            return self.semi_loss(inputs, data_samples)
        finally:
            self.monitor.hidden = None

    def _open_hidden(self, data_samples: dict[str, list]) -> None:
        """Take hidden masks out of the samples and hand them to the monitor alone."""
        for name, samples in data_samples.items():
            masks = [s.hidden_sem_seg.data for s in samples if 'hidden_sem_seg' in s]
            for sample in samples:
                sample.pop('hidden_sem_seg', None)
            if name == 'unsup' and masks and len(masks) == len(samples):
                self.monitor.hidden = torch.cat(masks).to(self.monitor.counts.device)
                if not self._diagnose_said:
                    self._diagnose_said = True
                    print_log('diagnose=True: hidden masks of the unlabelled images are open, for the log alone; no '
                              'loss sees them.', logger='current')

    def need(self, inputs: dict[str, Tensor], *names: str) -> list[Tensor]:
        """Branches by name.

        Raises:
            ConfigError: one is missing; the message says which key of the config brings it.
        """
        for name in names:
            if name not in inputs:
                branch, _, view = name.partition('_')
                key = (f"data_preprocessor.views['{view}']" if view and view != 'valid' else
                       'data_preprocessor.partner=True and sampler.partner' if branch == 'partner' else
                       'train_dataloader.dataset (a SemiDataset with both lists)')
                raise ConfigError(f'{type(self).__name__} needs the branch {name!r} and the batch has '
                                  f'{sorted(inputs)}: set {key}.')
        return [inputs[name] for name in names]
