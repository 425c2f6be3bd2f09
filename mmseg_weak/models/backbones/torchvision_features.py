"""torchvision's classifiers as mmseg backbones, for those that neither mmseg nor mmpretrain has (SqueezeNet, ...)."""
import os

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError, near

__all__ = ['TorchvisionFeatures']


@MODELS.register_module()
class TorchvisionFeatures(BaseModule):
    """The ``features`` of a torchvision network, its last map at any input size. torchvision is imported when built.

    Args:
        model_name: of torchvision, for example 'squeezenet1_1' (512 channels, stride 16) or 'vgg16'.
        checkpoint: local file of the network's weights in torchvision's names, with or without the classifier; None
            trains from scratch. Nothing is downloaded.
        norm_eval: keep BatchNorm on its running statistics.

    Raises:
        ConfigError: torchvision does not know the network, or it has no ``features``.
        MissingFileError, CheckpointError: the checkpoint is not there, or is of another network (when weights are
            initialised).
    """

    def __init__(self, model_name: str, checkpoint: str | None = None, norm_eval: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        from torchvision import models
        names = models.list_models(module=models)
        if model_name not in names:
            raise ConfigError(f'model.backbone.model_name is {model_name!r}, which torchvision does not know. '
                              f'{near(model_name, names)}')
        network = models.get_model(model_name, weights=None)
        if not isinstance(getattr(network, 'features', None), nn.Module):
            raise ConfigError(f'model.backbone.model_name is {model_name!r}, which has no `features`; use the '
                              'backbone of that name in mmseg or mmpretrain.')
        self.features = network.features
        self.model_name, self.checkpoint, self.norm_eval = model_name, checkpoint, norm_eval

    def init_weights(self) -> None:
        """Load ``checkpoint``; without one torchvision's own initialisation stays."""
        if self.checkpoint is None:
            return
        if not os.path.isfile(self.checkpoint):
            raise MissingFileError(f'model.backbone.checkpoint {self.checkpoint} does not exist; give the path of '
                                   f'weights for {self.model_name}, or None to train from scratch.')
        state = torch.load(self.checkpoint, map_location='cpu', weights_only=True)
        state = state.get('state_dict', state)
        state = {key.removeprefix('features.'): value for key, value in state.items() if key.startswith('features.')}
        try:
            self.features.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(f'{self.checkpoint} does not fit {self.model_name}: {str(error)[:300]}') from error

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B,3,H,W) -> one map (B,D,h,w)."""
        return (self.features(images), )

    def train(self, mode: bool = True) -> 'TorchvisionFeatures':
        """Training mode, BatchNorm aside where ``norm_eval``."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self
