"""MCTformer's functions: the contrast by hand, gradients, no tags, the head."""
import math

import torch

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
