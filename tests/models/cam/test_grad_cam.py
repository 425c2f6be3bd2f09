"""Grad-CAM against the CAM, against one backward a class, with tokens, several views and bad layers."""
import pytest
import torch
from torch import nn

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import GradCAM, PooledClassifier, grad_cam, multi_scale_cam, tokens_to_map


class Net(nn.Module):
    """Two layers and a head on their mean."""

    def __init__(self, classes=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.body = nn.Conv2d(4, 5, 3, padding=1)
        self.head = PooledClassifier(5, classes, 'gap')

    def features(self, x):
        return self.body(self.stem(x).relu())

    def forward(self, x):
        return self.head(self.features(x))


def test_of_a_linear_head_on_the_mean_is_cam_over_the_number_of_places():
    net, images = Net().double(), torch.randn(2, 3, 8, 12, dtype=torch.float64)
    cam = net.head.cam(net.features(images)).relu()
    with torch.no_grad():
        got = GradCAM(net, 'body')(images)
    torch.testing.assert_close(got * 4 * 6, cam)
    assert not got.requires_grad and all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize('softmax', [False, True])
def test_each_present_class_of_each_image(softmax):
    head = nn.Sequential(nn.Flatten(), nn.Linear(5 * 6, 8), nn.Tanh(), nn.Linear(8, 4))
    features = torch.rand(3, 5, 2, 3, requires_grad=True)
    present = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    got = grad_cam(head(features), features, present, softmax)
    for image in range(3):
        scores = head(features)
        scores = scores.softmax(1) if softmax else scores
        for c in range(4):
            gradient, = torch.autograd.grad(scores[image, c], features, retain_graph=True)
            want = (gradient[image].mean((1, 2))[:, None, None] * features[image]).sum(0).relu() * present[image, c]
            torch.testing.assert_close(got[image, c], want.detach())
    assert grad_cam(head(features), features, torch.zeros(3, 4)).abs().max() == 0


def test_probabilities_compete():
    features = torch.rand(1, 2, 2, 2, requires_grad=True)
    same = features.mean((2, 3)) @ torch.ones(2, 3)  # three classes of one score: no probability moves
    assert grad_cam(same, features, softmax=True, relu=False).abs().max() < 1e-7
    assert grad_cam(same, features).min() > 0


class TokenNet(nn.Module):
    """A row of tokens whose first reads the others; (N,B,D) as in CLIP."""

    def __init__(self):
        super().__init__()
        self.patch, self.norm, self.out = nn.Conv2d(3, 4, 4, 4), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x):
        patches = self.patch(x).flatten(2).permute(2, 0, 1)
        x = self.norm(torch.cat([patches.mean(0, keepdim=True), patches]))
        return self.out(x.tanh().mean(0)),


def test_tokens_and_views():
    net, images = TokenNet().eval(), torch.rand(2, 3, 8, 16)
    cam = GradCAM(net, net.norm, pick=lambda out: out[0], reshape=lambda x, size: tokens_to_map(
        x, (size[0] // 4, size[1] // 4), tokens_first=True))
    present = torch.tensor([[1, 0, 1], [0, 1, 0]])
    alone = cam(images, present)
    assert alone.shape == (2, 3, 2, 4) and alone[0, 1].abs().max() == 0
    torch.testing.assert_close(cam(torch.cat([images, images]), present), torch.cat([alone, alone]))
    merged = multi_scale_cam(lambda x: cam(x, present), images, scales=(1, 2))
    assert merged.shape == (2, 3, 8, 16) and merged[0, 0].max() > 0 and merged[1, 0].max() == 0


def test_bad_layers():
    net = Net()
    with pytest.raises(ConfigError, match=r"^layer='boddy' of Grad-CAM is no layer of Net\. Did you mean body"):
        GradCAM(net, 'boddy')
    with pytest.raises(ConfigError, match=r'^Identity of Grad-CAM ran 0 times in Net; name a layer'):
        GradCAM(net, nn.Identity())(torch.rand(1, 3, 8, 8))
