"""UniMatch and FixMatch: one step, whose gradient goes where, what a box does."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError

VIEW = dict(type='PhotometricView')


def build(tiny_segmentor, kind: str = 'UniMatch', views: int = 2, **kwargs):
    pre = dict(type='MultiBranchDataPreprocessor', size=(32, 32), partner=True,
               views={f'strong{i + 1}': VIEW for i in range(views)})
    return MODELS.build(dict(type=kind, segmentor=tiny_segmentor(auxiliary=True), data_preprocessor=pre,
                             **kwargs)).train()


def step(model, data) -> tuple[dict, torch.Tensor]:
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    return losses, model.parse_losses(losses)[0]


@pytest.mark.parametrize('kind, views', [('UniMatch', 2), ('FixMatch', 1)])
def test_step_reaches_every_parameter(tiny_segmentor, tiny_batch, kind, views):
    model = build(tiny_segmentor, kind, views, conf_thr=0.0)
    losses, total = step(model, tiny_batch())
    total.backward()
    assert torch.isfinite(total)
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert losses['kept_ratio'].item() == 1.0


def test_nothing_confident_leaves_the_supervised_half(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor, conf_thr=1.0)
    losses, total = step(model, tiny_batch())
    assert [losses[k].item() for k in ('loss_s1', 'loss_s2', 'loss_fp')] == [0, 0, 0]
    assert total.item() == pytest.approx(losses['loss_x'].item())


def test_partner_pass_leaves_batch_norm_alone(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor)
    data = model.data_preprocessor(tiny_batch(), True)
    tracked = model.student.decode_head.image_pool[1].bn.num_batches_tracked
    model(**data, mode='loss')
    assert tracked.item() == 2  # labelled + weak (with its perturbed copy), strong views; not the partner
    assert all(m.training for m in model.student.decode_head.modules())


def test_labels_inside_the_box_are_the_partners(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor, cutmix=dict(prob=1.0, area_ratio=(0.2, 0.3)))
    data = model.data_preprocessor(tiny_batch(), True)
    branches = model.forward_branches(data['inputs'])
    own, targets = branches.targets()
    mask = branches.masks['s1']
    partner = branches.partner_logits.argmax(1)
    assert mask.flatten(1).any(1).all()
    assert torch.equal(targets['s1'].labels[mask], partner[mask])
    assert torch.equal(targets['s1'].labels[~mask], own.labels[~mask])
    assert targets['fp'] is own
    assert not torch.equal(branches.masks['s1'], branches.masks['s2'])


def test_equal_seeds_give_equal_losses(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor, conf_thr=0.0)
    totals = []
    for _ in range(2):
        torch.manual_seed(5)
        totals.append(step(model.train(), tiny_batch())[1].item())
    assert totals[0] == totals[1]


def test_missing_view_names_the_key(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor, views=1)
    with pytest.raises(ConfigError) as error:
        step(model, tiny_batch())
    assert str(error.value).endswith("set data_preprocessor.views['strong2'].")


def test_learning_threshold_learns_once_a_step(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor, threshold=dict(type='PerClassThreshold', conf_thr=0.2, momentum=1.0))
    before = model.threshold.class_conf.clone()
    losses, _ = step(model, tiny_batch())
    assert not torch.equal(model.threshold.class_conf, before)
    assert losses['kept_ratio'].item() > 0


def test_dropout_level_that_does_not_exist(tiny_segmentor, tiny_batch):
    with pytest.raises(ConfigError, match='^model.dropout_levels names feature 7 and the backbone gives 4 levels'):
        step(build(tiny_segmentor, dropout_levels=(0, 7)), tiny_batch())


def test_sigmoid_head_is_refused(tiny_segmentor):
    segmentor = tiny_segmentor(num_classes=2)
    segmentor['decode_head'].update(out_channels=1, threshold=0.3,
                                    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
    with pytest.raises(ConfigError, match='^model.segmentor.decode_head has out_channels=1 for 2 classes'):
        MODELS.build(dict(type='UniMatch', segmentor=segmentor))
