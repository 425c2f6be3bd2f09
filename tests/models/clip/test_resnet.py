"""CLIP's ResNets: open_clip's pooling, and MaskCLIP's two convolutions."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError

pytest.importorskip('open_clip', reason='open_clip is an optional requirement')


@pytest.fixture
def visual():
    """A ResNet of one block a stage, 8 wide, for 64 pixels."""
    from open_clip.modified_resnet import ModifiedResNet
    return ModifiedResNet((1, 1, 1, 1), 12, heads=4, image_size=64, width=8).eval().requires_grad_(False)


def test_pooling_is_open_clips_own_and_dense_is_two_convolutions(visual):
    from mmseg_weak.models.clip import DenseResNet
    tower, images = DenseResNet(visual), torch.randn(2, 3, 64, 64)
    out = tower(images)
    assert torch.allclose(out.whole, visual(images), atol=1e-5)
    x, pool = tower.stages(images), visual.attnpool
    v = F.conv2d(x, pool.v_proj.weight[..., None, None], pool.v_proj.bias)
    assert torch.allclose(out.dense, F.conv2d(v, pool.c_proj.weight[..., None, None], pool.c_proj.bias), atol=1e-5)


def test_any_size_from_one_place_on(visual):
    from mmseg_weak.models.clip import DenseResNet
    out = DenseResNet(visual)(torch.randn(1, 3, 96, 128))
    assert out.dense.shape == (1, 12, 3, 4) and torch.isfinite(out.whole).all()
    with pytest.raises(ConfigError, match='An image of 16x64 pixels is too small for a CLIP ResNet'):
        DenseResNet(visual)(torch.randn(1, 3, 16, 64))


def test_attention_variants_need_a_vit():
    from mmseg_weak.models.clip import OpenCLIP
    with pytest.raises(ConfigError, match="attention='naclip' needs a ViT; RN50 is a ResNet"):
        OpenCLIP('RN50', attention='naclip')
