"""MCTformer: the contrast by hand, gradients, no tags, the head; its three versions as segmentors."""
import math

import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak import mctformer
from mmseg_weak.models.backbones import ClassTokenViT


def test_contrast_by_hand():
    tokens = torch.eye(2).view(1, 1, 2, 2) * torch.tensor([3., 5.])[:, None]  # orthogonal, any length
    want = math.log(1 + math.exp(-1))
    for present in ([[1, 0]], [[1, 1]]):
        torch.testing.assert_close(mctformer.class_token_contrast(tokens, torch.tensor(present)), torch.tensor(want))
    assert mctformer.class_token_contrast(tokens, torch.zeros(1, 2)) == 0


def test_gradients_and_absent_classes():
    g = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 2, 4, 5, generator=g, dtype=torch.float64, requires_grad=True)
    logits = [torch.randn(2, 4, generator=g, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    present = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]])
    assert torch.autograd.gradcheck(
        lambda t, a, b: sum(mctformer.mctformer_losses(a, b, t, present, num_layers=2).values()), (tokens, *logits))
    grad, = torch.autograd.grad(mctformer.mctformer_losses(*logits, tokens, present, 2)['loss_cct'], tokens)
    assert grad[0].abs().max() == 0 and grad[:, 1].abs().max() == 0  # an earlier layer; the image without tags


def test_head_on_the_transformer():
    net = ClassTokenViT(3, embed_dim=8, depth=2, num_heads=2, img_size=32, patch_size=8).eval()
    head = mctformer.MCTHead(8, 3)
    patches, tokens, attentions = net(torch.randn(2, 3, 32, 40), observe=lambda a: a)
    maps = head.maps(patches, attentions, last=1)
    assert all(m.shape == (2, 3, 4, 5) and m.min() >= 0 for m in maps.values())
    torch.testing.assert_close(maps['fused'] ** 2, maps['patch'] * maps['token'])
    torch.testing.assert_close(head.scores(patches, tokens), (tokens[-1].mean(2) + head(patches, tokens)[1]) / 2)


VIT = dict(type='ClassTokenViT', embed_dim=16, depth=3, num_heads=2, img_size=32, patch_size=8, drop_path_rate=0.0)


def model(version, **kwargs):
    torch.manual_seed(0)
    seed = dict(scales=(1.0, 0.75), normalize='minmax', eps=1e-8, multiple=8)
    return mctformer.MCTformer(VIT, 4, version, seed=seed, **kwargs).train()


@pytest.fixture
def batch(tagged):
    """Function: two images, the second without a tag."""
    images = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    return lambda: (images, tagged([1, 0, 1], [0, 0, 0], ori_shape=(30, 40)))


@pytest.mark.parametrize('version, names', [('v1', {'loss_cls'}), ('v2', {'loss_cls', 'loss_patch'}),
                                            ('plus', {'loss_cls', 'loss_patch', 'loss_cct'})])
def test_versions_learn_and_predict(version, names, batch):
    net = model(version)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    totals = []
    for _ in range(8):
        losses = net.loss(*batch())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        totals.append(sum(losses.values()).item())
    assert set(losses) == names and totals[-1] < totals[0]
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
    out = net.eval().predict(*batch())
    assert out[0].pred_sem_seg.data.shape == (1, 30, 40) and set(out[1].pred_sem_seg.data.unique().tolist()) == {0}
    assert set(out[0].pred_sem_seg.data.unique().tolist()) <= {0, 1, 3}


def test_maps_of_the_versions_differ_as_the_paper_says(batch):
    images = batch()[0]
    v1, v2 = (model(version, last=2, spread=False).eval() for version in ('v1', 'v2'))
    v2.backbone.load_state_dict(v1.backbone.state_dict())
    patches, _, attentions = v1.backbone(images, observe=lambda a: a)
    want = sum(a[:, :3, 3:] for a in attentions[-2:]).unflatten(2, (4, 5))
    torch.testing.assert_close(v1.class_maps(images), want)
    torch.testing.assert_close(v2.class_maps(images), want * v2.head.head(patches).relu())
    spread = model('v1', last=2).eval()
    spread.backbone.load_state_dict(v1.backbone.state_dict())
    affinity = sum(a[:, 3:, 3:] for a in attentions)
    torch.testing.assert_close(spread.class_maps(images).flatten(2),
                               torch.einsum('bij,bcj->bci', affinity, want.flatten(2)))


def test_wrong_names_are_told():
    with pytest.raises(ConfigError, match="version='v3'"):
        model('v3')
    with pytest.raises(ConfigError, match="maps='fused' of MCTformer v1"):
        model('v1', maps='fused')
