"""The frame of semi-supervised methods."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.segmentors import SemiSegmentor


class Plain(SemiSegmentor):
    """Labelled images alone."""

    def semi_loss(self, inputs, data_samples):
        feats = self.features(inputs['sup'])
        return self.supervised_loss(self.decode(feats), data_samples['sup'], feats)


def build(segmentor, **kwargs) -> Plain:
    pre = dict(type='MultiBranchDataPreprocessor', size=(32, 32))
    return Plain(segmentor, data_preprocessor=pre, **kwargs)


def test_supervised_loss_equals_mmsegs_without_its_accuracy(tiny_segmentor, tiny_batch):
    torch.manual_seed(1)
    model = build(tiny_segmentor(auxiliary=True)).eval()
    data = model.data_preprocessor(tiny_batch(), True)
    ours = model(**data, mode='loss')
    theirs = model.student.loss(data['inputs']['sup'], data['data_samples']['sup'])
    assert set(ours) == {'sup.decode.loss_ce', 'sup.aux_0.loss_ce'}
    assert ours['sup.decode.loss_ce'].item() == pytest.approx(theirs['decode.loss_ce'].item(), rel=1e-6)
    assert ours['sup.aux_0.loss_ce'].item() == pytest.approx(theirs['aux.loss_ce'].item(), rel=1e-6)


def test_cascaded_heads_give_their_losses_and_prediction(tiny_segmentor, tiny_batch):
    config = tiny_segmentor()
    norm = dict(type='BN')
    fcn = dict(type='FCNHead', in_channels=16, in_index=2, channels=8, num_convs=1, concat_input=False, num_classes=3,
               norm_cfg=norm, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))
    ocr = dict(type='OCRHead', in_channels=32, in_index=3, channels=8, ocr_channels=4, num_classes=3, norm_cfg=norm,
               loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))
    config.update(type='CascadeEncoderDecoder', num_stages=2, decode_head=[fcn, ocr])
    model = build(config)
    losses = model(**model.data_preprocessor(tiny_batch(), True), mode='loss')
    assert set(losses) == {'sup.decode.loss_ce', 'sup.decode_0.loss_ce'}
    model.eval()
    images = torch.randn(1, 3, 32, 32)
    meta = [dict(ori_shape=(32, 32), img_shape=(32, 32), pad_shape=(32, 32))]
    assert torch.allclose(model.logits(images), model.encode_decode(images, meta), atol=1e-5)


def test_prediction_is_the_chosen_networks_own(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor(), teacher=dict(momentum=0.1), predict_with='teacher').eval()
    model.teacher.start(model.student)
    with torch.no_grad():
        for p in model.student.parameters():
            p.add_(0.3)
    batch = tiny_batch(unlabelled=0)
    data = model.data_preprocessor(dict(inputs=batch['inputs'][:1], data_samples=batch['data_samples'][:1]), False)
    got = model(**data, mode='predict')[0].seg_logits.data
    assert torch.equal(got, model.teacher.module.predict(data['inputs'], data['data_samples'])[0].seg_logits.data)
    assert not torch.equal(got, model.student.predict(data['inputs'], data['data_samples'])[0].seg_logits.data)


def test_channels_last_changes_nothing_but_the_layout(tiny_segmentor):
    torch.manual_seed(0)
    plain = build(tiny_segmentor()).eval()
    other = build(tiny_segmentor(), channels_last=True).eval()
    other.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert other.student.backbone.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(plain.logits(images), other.logits(images), atol=1e-4)


def test_teacher_that_was_never_started(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor(), teacher=dict())
    with pytest.raises(ConfigError) as error:
        model(**model.data_preprocessor(tiny_batch(), True), mode='loss')
    assert str(error.value) == ("The teacher of Plain was never started: add dict(type='EMATeacherHook') to "
                                'custom_hooks.')


def test_batch_without_branches(tiny_segmentor, tiny_batch):
    model = build(tiny_segmentor())
    batch = tiny_batch(unlabelled=0)
    for sample in batch['data_samples']:
        sample.pop('source')
    with pytest.raises(ConfigError, match='^Plain got a batch without labelled and unlabelled branches: use '):
        model(**model.data_preprocessor(batch, True), mode='loss')


@pytest.mark.parametrize('kwargs, start', [
    (dict(predict_with='teacher'), "model.predict_with is 'teacher'; it is 'student', or 'teacher' where the method"),
    (dict(predict_with='both'), "model.predict_with is 'both'; it is 'student', or 'teacher' where the method")])
def test_predict_with(tiny_segmentor, kwargs, start):
    with pytest.raises(ConfigError) as error:
        build(tiny_segmentor(), **kwargs)
    assert str(error.value).startswith(start)


def test_half_precision_step_is_finite(tiny_segmentor, tiny_batch):
    view = dict(type='PhotometricView')
    model = MODELS.build(dict(type='UniMatch', segmentor=tiny_segmentor(), conf_thr=0.0, data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=(32, 32), partner=True, views=dict(strong1=view, strong2=view))))
    data = model.train().data_preprocessor(tiny_batch(), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert losses['loss_x'].dtype == torch.float32 and torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.slow
def test_compiled_step_equals_the_plain_one(tiny_segmentor, tiny_batch):
    import shutil
    if shutil.which('c++') is None and shutil.which('g++') is None:
        pytest.skip('torch.compile on CPU needs a C++ compiler, and there is none')
    torch.manual_seed(0)
    model = build(tiny_segmentor()).eval()
    data = model.data_preprocessor(tiny_batch(), True)
    plain = model(**data, mode='loss')['sup.decode.loss_ce']
    compiled = torch.compile(model)(**data, mode='loss')['sup.decode.loss_ce']
    assert compiled.item() == pytest.approx(plain.item(), rel=1e-4)
