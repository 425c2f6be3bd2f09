"""CLIP-DINOiser: pooling takes noise away, cleaning by hand, the features it reads, losses that reach both convs."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weak.methods.openvocab.clip_dinoiser import (
    CLIPDINOiserHead,
    clean_background,
    cosine_affinity,
    cut_affinity,
    dinoiser_losses,
    guided_pool,
    patch_probs,
    student_features,
)
from mmseg_weak.models.clip import DenseViT


def test_pooling_removes_noise_within_regions():
    """Two flat regions of 32 places: the variance of the noise falls by about that, and labels stay."""
    codes = torch.eye(8)[:2]
    side = torch.arange(64).view(8, 8) % 8 >= 4
    clean = codes[side.long()].permute(2, 0, 1)[None]
    noisy = clean + .3 * torch.randn(1, 8, 8, 8)
    affinity = cut_affinity(cosine_affinity(clean), .2)
    pooled = guided_pool(noisy, affinity, (8, 8))
    before, after = (noisy - clean).var(), (pooled - clean).var()
    assert 16 < float(before / after) < 64
    assert torch.equal(patch_probs(pooled, codes).argmax(1)[0], side.long())


def test_pooling_on_another_grid():
    features, affinity = torch.randn(2, 3, 2, 2), torch.rand(2, 16, 16)
    resized = F.interpolate(features, (4, 4), mode='bilinear', align_corners=False)
    torch.testing.assert_close(guided_pool(features, affinity, (4, 4)), guided_pool(resized, affinity, (4, 4)))


def test_cut():
    affinity = torch.tensor([-.1, .1, .3])
    assert cut_affinity(affinity, .2).tolist() == [0, 0, affinity[2]]
    assert torch.equal(cut_affinity(affinity, 0), affinity)


def test_cleaning_by_hand():
    """Unsure and no object: background. Sure, or an object: as it was. Every image of the batch."""
    probs = torch.tensor([[.4, .4, .1], [.6, .6, .9]]).view(1, 2, 1, 3).repeat(2, 1, 1, 1)
    seen = torch.tensor([-1., 1., -1.]).view(1, 1, 1, 3).repeat(2, 1, 1, 1)
    out = clean_background(probs, seen, delta=.7)
    torch.testing.assert_close(out[:, 0, 0], torch.tensor([[1., .4, .1]]).expand(2, -1))
    assert torch.equal(out[:, 1], probs[:, 1])


def test_features_are_the_towers():
    """F is the dense output of the value path; X is what the block's FFN reads."""
    from open_clip.transformer import VisionTransformer
    tower = DenseViT(VisionTransformer(16, 4, 16, 4, 2, 2.0, output_dim=8).eval(), 'value', positions='size')
    seen = []
    tower.blocks[1].ln_2.register_forward_hook(lambda _m, _a, out: seen.append(out))
    images = torch.randn(2, 3, 16, 24)
    inner, dense = student_features(tower, images)
    want = tower(images).dense
    torch.testing.assert_close(dense, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(inner.flatten(2).transpose(1, 2), seen[-1][:, 1:], rtol=1e-4, atol=1e-5)


def test_losses_by_hand_and_gradients():
    """A cosine of 1 for a pair that belongs together costs log(1 + 1/e); a negative one counts as 0 and is stuck."""
    affinity = torch.tensor([[[1., -.5], [-.5, 1.]]], requires_grad=True)
    losses = dinoiser_losses(affinity, torch.zeros(1, 1, 1, 2), torch.eye(2)[None], torch.ones(1, 1, 2, 4))
    one, half = torch.tensor(-1.).exp().log1p(), torch.tensor(2.).log()
    torch.testing.assert_close(losses['loss_corr'], (one + half) / 2)
    torch.testing.assert_close(losses['loss_bkg'], half)
    losses['loss_corr'].backward()
    assert affinity.grad[0, 0, 1] == 0 and affinity.grad[0, 0, 0] < 0
    head = MODELS.build(dict(type='CLIPDINOiserHead', in_channels=6, channels=4))
    x = torch.randn(2, 6, 3, 4)
    total = sum(head.loss(x, cut_affinity(cosine_affinity(torch.randn(2, 5, 12))), torch.rand(2, 1, 9, 12)).values())
    total.backward()
    assert isinstance(head, CLIPDINOiserHead)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
