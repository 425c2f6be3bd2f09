"""Trident: sizes, splicing by hand, SAM's weights against their definition, regions and what becomes of masks."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.openvocab import trident
from mmseg_weak.models.clip import DenseViT


@pytest.mark.parametrize(('size', 'want'), [((448, 600), (464, 608)), ((448, 448), (448, 448)),
                                            ((600, 600), (608, 608)), ((10, 1000), (336, 1008))])
def test_sizes(size, want):
    assert trident.clip_size(size) == want


def test_overlap_is_averaged():
    """Two windows of 2x2 patches that share a column, at twice the grid."""
    windows = trident.windows_of((8, 12), patch=4, crop=8, stride=4)
    assert windows.boxes == [(0, 0, 2, 2), (0, 1, 2, 3)] and windows.grid == (1, 2) and windows.size == (2, 3)
    canvas = trident.splice(torch.stack([torch.ones(1, 4, 4), torch.full((1, 4, 4), 3.)]), windows)
    assert canvas[0, 0].tolist() == [1, 1, 2, 2, 3, 3]
    with pytest.raises(ConfigError, match='Windows of 2x2 patches have features of 3x3'):
        trident.splice(torch.ones(2, 1, 3, 3), windows)
    with pytest.raises(ConfigError, match='An image of 9x12 pixels in windows of 8 at a stride of 4'):
        trident.windows_of((9, 12), 4, 8, 4)


@pytest.mark.parametrize('keep', [True, False])
def test_weights_are_their_definition(keep):
    values, attention = torch.randn(3, 6, 4), torch.randn(3, 6, 6).softmax(-1)
    unit = F.normalize(values, dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    thr = 1.2 * cosines.mean((0, 2))
    thr = (thr if keep else thr.where(thr >= 0, torch.tensor(.6))).clamp(max=.9)
    kept = (attention * (cosines > thr[None, :, None])).mean(0)
    got = trident.sam_weights(values, attention, 1.2, keep)
    torch.testing.assert_close(got, kept / kept.sum(1, keepdim=True))


def test_aggregation_is_constant_in_clusters():
    """Values of two clusters: noise is averaged within each, and none crosses over."""
    side = torch.arange(16) % 4 >= 2
    values = torch.eye(4)[side.long()][None]
    weights = trident.sam_weights(values, torch.full((1, 16, 16), 1 / 16))
    canvas = (side.float() * 2 - 1 + .1 * torch.randn(16)).view(1, 4, 4)
    out = trident.aggregate(canvas, weights, (4, 4)).flatten()
    torch.testing.assert_close(out[side], canvas.flatten()[side].mean().expand(8))
    torch.testing.assert_close(out[~side], canvas.flatten()[~side].mean().expand(8))


def test_one_window_is_proxyclip():
    """Without a neighbour that counts, an image of one window is ProxyCLIP's; halves are put side by side."""
    from open_clip.transformer import VisionTransformer
    visual = VisionTransformer(16, 4, 16, 2, 2, 2.0, output_dim=8).eval()
    tower = DenseViT(visual, 'proxyclip', residual=False, ffn=False)
    image, proxy = torch.randn(3, 16, 16), torch.randn(1, 5, 4, 4)
    windows = trident.windows_of((16, 16), 4, 16, 16)
    with torch.no_grad():
        want = tower(image[None], external=proxy).dense[0]
        whole = trident.spliced_features(tower, image, proxy, windows, [torch.eye(16)], (4, 4))
        halves = trident.spliced_features(tower, image, proxy, windows, [torch.eye(8)] * 2, (4, 2))
    torch.testing.assert_close(whole, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(halves, want, rtol=1e-4, atol=1e-5)


def test_regions_by_hand():
    probs = torch.full((2, 4, 6), .1)
    probs[0, :2, :2], probs[0, 1, 1], probs[0, 3, 5], probs[1, 2, 2] = .8, .9, .7, .15
    labels = trident.reject_labels(probs, .2)
    assert labels[0, 0] == 0 and labels[3, 0] == 2
    region, = trident.find_regions(labels, probs, .2, min_area=2)
    assert region.label == 0 and region.box == (0, 0, 1, 1) and region.point == (1, 1)
    assert abs(region.score - .825) < 1e-6 and int(region.mask.sum()) == 4
    assert [r.box for r in trident.find_regions(labels, probs, .2, 1)] == [(0, 0, 1, 1), (5, 3, 5, 3)]


def test_prompt_of_a_class():
    prompt = trident.mask_prompt(torch.tensor([[.1, .8]]), side=4)
    assert prompt.shape == (4, 4) and not prompt[2:].any() and prompt[0, 0] == 0
    torch.testing.assert_close(prompt[0, 3], torch.tensor(.004))


def test_masks_refusals_and_empty_places():
    """Three places: two masks of class 0, one of class 1, none; then CLIP comes back where a mask was refused."""
    probs = torch.tensor([[.6, .3, .2], [.4, .7, .8]]).view(2, 1, 3)
    masks = torch.tensor([[0.5, -1., -1.], [2., -1., -1.], [-1., 3., -1.]]).view(3, 1, 3)
    scores = trident.combine_masks(masks, [0, 0, 1], probs)
    torch.testing.assert_close(scores[0, 0, 0], torch.tensor(2.).sigmoid() * .6)
    assert not scores[:, 0, 2].any() and scores[1, 0, 0] == 0
    labels = trident.replace_empty(scores, probs.argmax(0))
    assert labels.tolist() == [[0, 1, 1]]
    wrong = 1 - labels
    failed = torch.tensor([[1., 0., 1.]])
    merged, back = trident.merge_failed(scores, wrong, probs, failed)
    assert back.tolist() == [[0, 0, 1]] and torch.equal(merged[:, :, 1], scores[:, :, 1])
    torch.testing.assert_close(merged[:, :, 0], probs[:, :, 0])
    assert torch.equal(trident.merge_failed(scores, wrong, probs, failed, as_published=True)[1], wrong)
