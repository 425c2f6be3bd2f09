"""Every loss: a value by hand, ignored pixels do not matter, gradcheck in float64, nothing valid gives zero."""
import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.losses.confidence_boundary import confidence_weighted_boundary_loss, sobel_boundary
from mmseg_weak.models.losses.confidence_weighted_ce import confidence_weighted_ce, weight_by_confidence
from mmseg_weak.models.losses.consistency import consistency_loss
from mmseg_weak.models.losses.distillation import region_content_loss, region_similarity, semantic_sensitive_loss
from mmseg_weak.models.losses.entropy_filtered_ce import drop_high_entropy, entropy_filtered_ce
from mmseg_weak.models.losses.prob_ohem_ce import prob_ohem_cross_entropy

LOG2 = math.log(2)
SHAPE = (2, 3, 4, 5)
G = torch.Generator().manual_seed(3)
LABEL = torch.randint(3, (2, 4, 5), generator=G)
LABEL[0, :2] = 255
KNOWN = LABEL.ne(255)
CONF = torch.rand(2, 4, 5, generator=G, dtype=torch.float64)
TEACHER = torch.randn(SHAPE, generator=G, dtype=torch.float64) * 2
BOUNDARY = torch.rand(2, 4, 5, generator=G) < 0.5

# name -> loss(logits, label, known): what the four tests below are run with
LOSSES = {
    'ce_pixelwise': lambda x, y, ok: confidence_weighted_ce(x, y, CONF, conf_thr=0.4),
    'ce_pixelratio': lambda x, y, ok: confidence_weighted_ce(x, y, CONF, conf_thr=0.4, mode='pixelratio'),
    'ce_pixelavg': lambda x, y, ok: confidence_weighted_ce(x, y, CONF, mode='pixelavg'),
    'ohem': lambda x, y, ok: prob_ohem_cross_entropy(x, y, thresh=0.4, min_kept=6),
    'ohem_all': lambda x, y, ok: prob_ohem_cross_entropy(x, y, min_kept=0),
    'consistency_var': lambda x, y, ok: consistency_loss(x, TEACHER, ok, conf_thr=0.5),
    'consistency_mse': lambda x, y, ok: consistency_loss(x, TEACHER, ok, kind='mse', conf_thr=0.0),
    'consistency_kld': lambda x, y, ok: consistency_loss(x, TEACHER, ok, kind='kld', conf_thr=0.5, per_pixel_conf=True),
    'consistency_logits': lambda x, y, ok: consistency_loss(x, TEACHER, ok, kind='logits_var', conf_thr=0.5),
    'boundary': lambda x, y, ok: confidence_weighted_boundary_loss(x, y, CONF, BOUNDARY, gamma=2.0),
    'entropy': lambda x, y, ok: entropy_filtered_ce(x, y, TEACHER, percent=70),
    'semantic': lambda x, y, ok: semantic_sensitive_loss(x, TEACHER, ok),
}


def logits() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize('name', LOSSES)
def test_ignored_pixels_do_not_matter(name):
    x = logits()
    other = torch.where(KNOWN[:, None], x, torch.full_like(x, 7.0).index_fill(1, torch.tensor([0]), -9.0))
    torch.testing.assert_close(LOSSES[name](other, LABEL, KNOWN), LOSSES[name](x, LABEL, KNOWN))
    x.requires_grad_()
    grad, = torch.autograd.grad(LOSSES[name](x, LABEL, KNOWN), x)
    assert grad.abs().amax(1)[~KNOWN].max() == 0


@pytest.mark.parametrize('name', LOSSES)
def test_gradcheck(name):
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, LABEL, KNOWN), (logits().requires_grad_(),))


@pytest.mark.parametrize('name', LOSSES)
def test_nothing_valid_is_zero_with_a_gradient(name):
    x = logits().requires_grad_()
    loss = LOSSES[name](x, torch.full_like(LABEL, 255), torch.zeros_like(KNOWN))
    grad, = torch.autograd.grad(loss, x)
    assert loss.item() == 0 and grad.abs().max() == 0


@pytest.mark.parametrize('name', LOSSES)
def test_half_precision_agrees_with_float32(name):
    x = logits().bfloat16()
    torch.testing.assert_close(LOSSES[name](x, LABEL, KNOWN).double(), LOSSES[name](x.float(), LABEL, KNOWN).double(),
                               rtol=1e-5, atol=1e-6)


def test_confidence_weighted_by_hand():
    loss = torch.tensor([[[1., 2.], [3., 4.]], [[5., 6.], [7., 8.]]])
    conf = torch.tensor([[[.9, .1], [.9, .9]], [[.1, .1], [.1, .9]]])
    valid = torch.tensor([[[1, 1], [1, 0]], [[1, 1], [1, 1]]]).bool()
    assert weight_by_confidence(loss, conf, valid, 0.5).item() == pytest.approx((1 + 3 + 8) / 7)
    assert weight_by_confidence(loss, conf, valid, 0.5, 'pixelratio').item() == pytest.approx((6 * 2 / 3 + 26 / 4) / 7)
    released = (10 * 2 / 3 + 26 / 4) / 7
    assert weight_by_confidence(loss, conf, valid, 0.5, 'pixelratio', True).item() == pytest.approx(released)
    average = 32 * (1.9 / 3 + 1.2 / 4) / 7
    assert weight_by_confidence(loss, conf, valid, 0.5, 'pixelavg').item() == pytest.approx(average)


def test_ohem_by_hand():
    prob = torch.tensor([.1, .3, .5, .6, .9, .2])
    x = torch.stack([prob.log(), (1 - prob).log()])[None, :, None]  # class 0 has these probabilities
    y = torch.zeros(1, 1, 6, dtype=torch.long)
    y[..., 5] = 255
    mean = -prob.log()
    assert prob_ohem_cross_entropy(x, y, thresh=0.4, min_kept=1).item() == pytest.approx(mean[[0, 1]].mean().item())
    assert prob_ohem_cross_entropy(x, y, thresh=0.4, min_kept=4).item() == pytest.approx(mean[:4].mean().item())
    assert prob_ohem_cross_entropy(x, y, thresh=0.4, min_kept=6).item() == pytest.approx(mean[:5].mean().item())


def test_consistency_by_hand():
    student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[[[50., 0.]], [[-50., 0.]]]])
    assert consistency_loss(student, teacher, conf_thr=0.9).item() == pytest.approx(0.5 / 2 * 0.5)
    assert consistency_loss(student, teacher, conf_thr=0.9, per_pixel_conf=True).item() == pytest.approx(0.5 / 2)
    assert consistency_loss(student, teacher, kind='mse', conf_thr=0.).item() == pytest.approx(0.25 / 2)
    assert consistency_loss(student, teacher, kind='kld', conf_thr=0.).item() == pytest.approx(LOG2 / 2)
    assert consistency_loss(teacher, teacher, conf_thr=0.).item() == 0


def test_boundary_loss_by_hand():
    x, y = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
    conf, edge = torch.tensor([[[.5, 1., 1.]]]), torch.tensor([[[True, False, True]]])
    assert confidence_weighted_boundary_loss(x, y, conf, edge).item() == pytest.approx(LOG2 * .75 + .5 * LOG2)
    squared = confidence_weighted_boundary_loss(x, y, conf, edge, gamma=2.0).item()
    assert squared == pytest.approx(LOG2 * .625 + .5 * LOG2)


def test_boundary_of_a_constant_map_is_the_outer_ring():
    edge = sobel_boundary(torch.ones(1, 5, 6, dtype=torch.long), 3)
    assert not edge[0, 1:-1, 1:-1].any()
    assert edge.sum() == 2 * 6 + 2 * 3


def test_boundary_equals_a_convolution():
    label = torch.randint(4, (2, 12, 9), generator=G)
    onehot = F.one_hot(label, 4).permute(0, 3, 1, 2).double().flatten(0, 1)[:, None]
    sobel = torch.tensor([[-1., 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)
    both = [F.conv2d(onehot, k[None, None], padding=1).view(2, 4, 12, 9) for k in (sobel, sobel.T)]
    assert torch.equal(sobel_boundary(label, 4), (both[0] ** 2 + both[1] ** 2).sqrt().sum(1) > 0)


def test_entropy_filter_by_hand():
    teacher = torch.tensor([9., 3., 1., 0.]).view(1, 1, 1, 4) * torch.tensor([1., -1.]).view(1, 2, 1, 1)
    y = torch.zeros(1, 1, 4, dtype=torch.long)
    assert drop_high_entropy(y, teacher, 60).tolist() == [[[0, 0, 255, 255]]]
    assert drop_high_entropy(y, teacher, 100).tolist() == [[[0, 0, 0, 255]]]
    assert entropy_filtered_ce(torch.zeros(1, 2, 1, 4), y, teacher, percent=60).item() == pytest.approx(LOG2 * 4 / 2)


def test_entropy_schedule_ends_at_all():
    loss = MODELS.build(dict(type='EntropyFilteredCE', percent=80))
    assert [loss.percent_at(p) for p in (0, 0.5, 1)] == pytest.approx([80, 90, 100])


def test_semantic_by_hand():
    student = torch.tensor([[[[1., 3.]], [[0., 0.]]]])
    assert semantic_sensitive_loss(student, torch.zeros_like(student)).item() == 2.0
    assert semantic_sensitive_loss(student, student).item() == 0.0


def test_region_content_by_hand():
    student = torch.tensor([[[[1., 0.]], [[0., 1.]]]])  # two orthogonal regions
    teacher = torch.ones(1, 2, 1, 2)
    want = F.adaptive_avg_pool2d(student, 2).flatten(2)[0].T  # rows repeat: regions a, b, a, b
    assert region_similarity(student, 2)[0].tolist() == (want @ want.T).tolist()
    assert region_content_loss(student, teacher, 2).item() == pytest.approx(0.5)


def test_region_content_ignores_scale_and_survives_zeros():
    x = torch.randn(2, 5, 9, 9, generator=G, dtype=torch.float64)
    assert region_content_loss(x, 3 * x, 3).item() == pytest.approx(0, abs=1e-20)
    zero = torch.zeros(1, 4, 7, 7, requires_grad=True)
    loss = region_content_loss(zero, torch.ones(1, 4, 7, 7))
    loss.backward()
    assert loss.item() == 1.0 and torch.isfinite(zero.grad).all()


def test_region_content_gradcheck():
    x = torch.randn(1, 3, 4, 4, generator=G, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 5, 4, 4, generator=G, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: region_content_loss(f, teacher, 2), (x,))


@pytest.mark.parametrize('config', [dict(type='ConfidenceWeightedCE'),
                                    dict(type='ProbOhemCrossEntropyLoss', min_kept=3)])
def test_is_a_loss_decode_of_mmseg(config, tiny_segmentor, tiny_batch):
    segmentor = tiny_segmentor()
    segmentor['decode_head']['loss_decode'] = dict(config, loss_weight=2.0)
    model = MODELS.build(dict(type='UniMatch', segmentor=segmentor, data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=(32, 32), partner=True)))
    data = model.data_preprocessor(tiny_batch(), True)
    logits = model.logits(data['inputs']['sup'])
    value = sum(model.supervised_loss(logits, data['data_samples']['sup']).values())
    assert value.item() == pytest.approx(2 * LOG2 * math.log(3) / LOG2, rel=0.3)  # 2 ln 3 for three unknown classes


@pytest.mark.parametrize('config, words', [
    (dict(type='ConfidenceWeightedCE', mode='pixelwize'),
     "mode='pixelwize' of ConfidenceWeightedCE is none of pixelwise, pixelratio, pixelavg."),
    (dict(type='ConsistencyLoss', kind='vars'),
     "kind='vars' of ConsistencyLoss is none of var, mse, kld, logits_var."),
    (dict(type='UnreliableContrastLoss', num_classes=3, low_rank=5, high_rank=3),
     'UnreliableContrastLoss has low_rank=5 and high_rank=3; it needs 0 < low_rank < high_rank.'),
])
def test_wrong_option_is_named(config, words):
    with pytest.raises(ConfigError) as error:
        MODELS.build(config)
    assert str(error.value) == words


def test_cwbass_module_from_logits():
    loss = MODELS.build(dict(type='ConfidenceWeightedBoundaryLoss', fixed_thr=0.99))
    sure = torch.zeros(1, 2, 3, 3)
    sure[:, 0] = 30.0
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    assert loss(x, sure).item() == pytest.approx(LOG2 + 0.5 * LOG2)
    assert loss(x, torch.zeros(1, 2, 3, 3)).item() == 0.0  # nobody is sure
    assert MODELS.build(dict(type='ConfidenceWeightedBoundaryLoss', fixed_thr=0.99, decay_factor=0.9))(
        x, sure).item() == pytest.approx(0.9 * LOG2 + 0.5 * LOG2)
