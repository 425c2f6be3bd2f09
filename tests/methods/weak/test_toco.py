"""ToCo's functions: values by hand, gradients, crops, no tags."""
import math

import pytest
import torch

from mmseg_weak.errors import DataError
from mmseg_weak.methods.weak import toco
from mmseg_weak.models.refine import PAR


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_patch_contrast_by_hand():
    target = toco.affinity_target(torch.tensor([[[0, 0, 3, 255]]]))
    assert target.tolist() == [[[255, 1, 0, 255], [1, 255, 0, 255], [0, 0, 255, 255], [255] * 4]]
    features = torch.tensor([[1., -1, 1, 5], [0, 0, 1, 5]]).view(1, 2, 1, 4)
    # alike: 2 pairs of |cos| 1; different: 4 of sqrt(1/2)
    want = 0.5 * (1 - 2 / 3) + 0.5 * 4 * math.sqrt(0.5) / 5
    assert float(toco.patch_token_contrast(features, target)) == pytest.approx(want)


def test_ignored_patches_have_no_gradient_and_none_alike_gives_half():
    x = noise(2, 3, 2, 2).requires_grad_()
    labels = torch.tensor([[[0, 1], [255, 1]], [[2, 255], [2, 0]]])
    target = toco.affinity_target(labels)
    assert torch.autograd.gradcheck(lambda v: toco.patch_token_contrast(v, target), (x,))
    grad, = torch.autograd.grad(toco.patch_token_contrast(x, target), x)
    assert grad.abs().sum(1)[labels == 255].max() == 0
    nothing = toco.patch_token_contrast(x, torch.full_like(target, 255))
    assert nothing == 0.5 and torch.autograd.grad(nothing, x)[0].abs().sum() == 0


def test_class_contrast_by_hand_and_gradient():
    zero, flags = torch.zeros(3, 4), torch.tensor([[1., 1, 0]])
    # every l is 1: two teacher views of two positive ones, -log(1 / 2) each, and -log(1 / 2) once a teacher view
    assert float(toco.class_token_contrast(zero, torch.zeros(2, 4), flags)) == pytest.approx(
        2 * 3 * math.log(2) / 2 / 2, rel=1e-3)
    flags = torch.tensor([[1., 1, 0, 1], [1, 1, 0, 0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda s: toco.class_token_contrast(s, noise(4, 5, seed=1), flags), (noise(8, 5).requires_grad_(),))
    with pytest.raises(DataError, match=r'^7 student and 4 teacher tokens do not fit 4 views of 2 images\.$'):
        toco.class_token_contrast(noise(7, 5), noise(4, 5), flags)


def test_crops_avoid_objects_where_they_can():
    regions = torch.full((2, 12, 14), 2)
    regions[0, 5, 4:9] = torch.tensor([0, 1, 0, 1, 0])
    uniforms = torch.rand(2, 8 * 10, generator=torch.Generator().manual_seed(0))
    corners = toco.draw_crops(regions, uniforms, 5, 4)
    centres = corners + 2
    assert sorted(map(tuple, centres[0].tolist())) == [(5, x) for x in range(4, 9)]
    assert corners.min() >= 0 and (corners + 4 <= torch.tensor([12, 14])).all()  # image 1 has no free place
    flags = toco.crop_flags(regions, corners, 4)
    want = [[regions[b, y:y + 4, x:x + 4].sum() / 16 > 0.2 for y, x in corners[b]] for b in range(2)]
    assert flags[:, 2:].tolist() == torch.tensor(want).float().tolist() and flags[:, :2].eq(1).all()
    with pytest.raises(DataError, match='7 uniforms for 80 places of 5 crops of 4 pixels in 12x14'):
        toco.draw_crops(regions, uniforms[:, :7], 5, 4)


def test_refined_labels_of_a_plain_image():
    cams = torch.zeros(2, 3, 8, 8)
    cams[0, 1] = 0.9
    cams[0, 2, :, 4:] = 0.4  # absent
    present = torch.tensor([[0, 1, 0], [0, 0, 0]])
    labels = toco.refined_labels(cams, torch.zeros(2, 3, 8, 8), present, PAR(2, (1,)),
                                 torch.tensor([[0, 8, 0, 6], [0, 8, 0, 8]]))
    assert labels[0, :, :6].eq(2).all() and labels[0, :, 6:].eq(255).all() and labels[1].eq(0).all()


def test_projector_has_unit_rows_that_do_not_train():
    head = toco.ClassTokenProjector(6, 5, 8, 4)
    x = torch.randn(3, 6)
    assert head(x).abs().max() <= 1 + 1e-6  # cosines
    assert [n for n, p in head.named_parameters() if not p.requires_grad] == ['last_layer.weight_g']
