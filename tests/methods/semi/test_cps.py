"""CPS: two networks that teach each other crosswise."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.semi.cps import cross_pseudo_losses
from mmseg_weak.models.teachers.pseudo import pseudo_from_logits


@pytest.mark.parametrize('mix', ['none', 'cutmix'])
def test_step_reaches_both_networks(build, tiny_batch, losses_of, blank, mix):
    model = build('CrossPseudoSupervision', mix == 'cutmix', mix=mix)
    _, total = losses_of(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total) and blank(model) == []
    assert any(n.startswith('second.') for n, _ in model.named_parameters())


def test_each_term_reaches_its_own_network_only(build, tiny_batch, losses_of):
    model = build('CrossPseudoSupervision', True)
    losses, _ = losses_of(model, tiny_batch())
    for term, mine, other in (('loss_cps_first', model.student, model.second),
                              ('loss_cps_second', model.second, model.student)):
        grads = [torch.autograd.grad(losses[term], list(n.decode_head.parameters()), retain_graph=True,
                                     allow_unused=True) for n in (mine, other)]
        assert all(g is not None for g in grads[0]) and all(g is None for g in grads[1])


def test_networks_start_apart_and_twins_have_equal_losses(build, tiny_batch, losses_of):
    model = build('CrossPseudoSupervision', True)
    assert not torch.equal(model.student.decode_head.conv_seg.weight, model.second.decode_head.conv_seg.weight)
    model.second.load_state_dict(model.student.state_dict())
    losses, total = losses_of(model, tiny_batch())
    assert losses['loss_cps_first'].item() == pytest.approx(losses['loss_cps_second'].item(), rel=1e-6)
    total.backward()
    theirs = dict(model.second.named_parameters())
    for name, p in model.student.named_parameters():
        torch.testing.assert_close(p.grad, theirs[name].grad)


def test_labels_come_from_the_other_network():
    first, second = torch.tensor([[[[9.]], [[0.]]]]), torch.tensor([[[[0.]], [[9.]]]])
    losses = cross_pseudo_losses(first, second, pseudo_from_logits(first), pseudo_from_logits(second))
    assert [x.item() for x in losses] == pytest.approx([9, 9], abs=1e-3)


def test_padding_does_not_count_and_nothing_valid_is_zero():
    x = torch.randn(1, 3, 2, 2, requires_grad=True)
    pseudo = pseudo_from_logits(torch.randn(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool))
    assert sum(cross_pseudo_losses(x, x, pseudo, pseudo)).item() == 0


def test_labelling_passes_move_batch_norm_as_released(build, tiny_batch, losses_of):
    model = build('CrossPseudoSupervision', True)
    losses_of(model, tiny_batch())
    for network in (model.student, model.second):  # labelled, own, partner, mixed
        assert network.backbone.stem[1].num_batches_tracked.item() == 4


def test_wrong_mix(build):
    with pytest.raises(ConfigError, match="^model.mix is 'cutout'; CrossPseudoSupervision knows 'cutmix' and 'none'.$"):
        build('CrossPseudoSupervision', mix='cutout')
