"""torchvision's feature extractors: sizes, weights in torchvision's names, wrong names."""
import pytest
import torch
from torchvision.models import get_model

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError
from mmseg_weak.models.backbones import TorchvisionFeatures


def test_weights_with_classifier_load_and_maps_are_those_of_torchvision(tmp_path):
    torch.manual_seed(0)
    whole = get_model('squeezenet1_1', weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / 'w.pth')
    backbone = TorchvisionFeatures('squeezenet1_1', str(tmp_path / 'w.pth')).eval()
    backbone.init_weights()
    image = torch.randn(1, 3, 65, 50)
    out, = backbone(image)
    assert torch.equal(out, whole.features(image)) and out.shape[:2] == (1, 512)


def test_clear_errors(tmp_path):
    with pytest.raises(ConfigError, match='squeezenet1_1'):
        TorchvisionFeatures('squeezenet11')
    with pytest.raises(ConfigError, match='no `features`'):
        TorchvisionFeatures('resnet18')
    with pytest.raises(MissingFileError, match='gone.pth'):
        TorchvisionFeatures('squeezenet1_1', 'gone.pth').init_weights()
    torch.save({'features.0.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='does not fit squeezenet1_1'):
        TorchvisionFeatures('squeezenet1_1', str(tmp_path / 'other.pth')).init_weights()


def test_norm_eval_keeps_statistics():
    backbone = TorchvisionFeatures('vgg11_bn', norm_eval=True).train()
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms) and backbone.training
