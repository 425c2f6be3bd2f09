"""MaskCLIP+: labels by hand, the classifier's fixed rows, the switch to its own labels, what is refused."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.openvocab.maskclip.plus import (
    best_unseen,
    class_vectors,
    feature_distance,
    hide_unseen,
)

CLIP = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value',
            positions='size')


def build(tiny_segmentor, classes=3, channels=64, names=('ball; round thing', 'drum', 'box'), **kwargs):
    torch.manual_seed(0)
    network = tiny_segmentor(classes)
    network['decode_head']['channels'] = channels
    pre = dict(type='MultiBranchDataPreprocessor', size=(32, 32))
    model = MODELS.build(dict(type='MaskCLIPPlus', segmentor=network, clip=dict(CLIP), names=list(names),
                              data_preprocessor=pre, **kwargs))
    model.init_weights()
    return model


def batch(masks=None, size=(32, 32), shown=(32, 32), count=2):
    generator = torch.Generator().manual_seed(1)
    samples = []
    for row in range(count):
        sample = SegDataSample(metainfo=dict(img_shape=shown, ori_shape=shown))
        if masks is not None:
            sample.gt_sem_seg = PixelData(data=masks[row:row + 1].clone())
        samples.append(sample)
    return torch.randn(count, 3, *size, generator=generator), samples


def test_unseen_classes_leave_the_mask():
    labels = torch.tensor([[[0, 1, 2, 255]]])
    seen, hidden = hide_unseen(labels, torch.tensor([2]))
    assert seen.tolist() == [[[0, 1, 255, 255]]] and hidden.tolist() == [[[False, False, True, False]]]


def test_the_best_unseen_class_by_hand():
    scores = torch.tensor([[.1, .9], [.4, .2]]).view(1, 2, 1, 2)
    unseen = torch.tensor([2, 5])
    assert best_unseen(scores, unseen, (1, 2)).tolist() == [[[5, 2]]]
    assert best_unseen(scores, unseen, (1, 2), conf_thr=.5).tolist() == [[[255, 2]]]
    assert best_unseen(scores, unseen, (2, 4)).tolist() == [[[5, 5, 2, 2]] * 2]  # .75 of the left: .3 against .35


def test_class_vectors_are_means_of_names():
    texts = F.normalize(torch.randn(3, 8), dim=1)
    vectors = class_vectors(texts, (0, 0, 1))
    torch.testing.assert_close(vectors[0], F.normalize(texts[0] + texts[1], dim=0))
    torch.testing.assert_close(vectors[1], texts[2])


def test_distance_by_hand_and_gradients():
    """Orthogonal unit vectors of two channels are 1 apart in each; scale is of no account; masked pixels count."""
    features = torch.tensor([[3., 2.], [0., 0.]]).view(1, 2, 1, 2).requires_grad_()
    target = torch.tensor([[0., 5.], [1., 0.]]).view(1, 2, 1, 2)
    assert feature_distance(features, target, torch.tensor([[[True, True]]])).item() == pytest.approx(.5)
    assert feature_distance(features, target, torch.tensor([[[True, False]]])).item() == 1
    nothing = feature_distance(features, target, torch.zeros(1, 1, 2, dtype=torch.bool))
    nothing.backward()
    assert nothing.item() == 0 and torch.equal(features.grad, torch.zeros_like(features))
    double = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    feature_distance(double, torch.randn(1, 3, 2, 2).double(), torch.ones(1, 2, 2, dtype=torch.bool)).backward()
    assert double.grad.abs().sum() > 0


def test_names_stay_the_classifier(tiny_segmentor):
    """After a step with weight decay the rows are still the names; the checkpoint is that of a plain network."""
    model = build(tiny_segmentor).train()
    rows = class_vectors(model.texts(), (0, 0, 1, 2))
    optimizer = OptimWrapper(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=.1,
                                             weight_decay=.1))
    inputs, samples = batch()
    model.train_step(dict(inputs=[i.byte() for i in inputs], data_samples=samples), optimizer)
    state = model.state_dict()
    torch.testing.assert_close(state['student.decode_head.conv_seg.weight'][:, :, 0, 0], rows)
    assert not state['student.decode_head.conv_seg.bias'].any()
    assert all(key.startswith('student.') for key in state)
    network = tiny_segmentor(3)
    network['decode_head']['channels'] = 64
    plain = MODELS.build(network)
    plain.load_state_dict({key.removeprefix('student.'): value for key, value in state.items()})
    meta = [dict(img_shape=(32, 32))] * 2
    with torch.no_grad():
        torch.testing.assert_close(plain.eval().encode_decode(inputs, meta), model.eval().encode_decode(inputs, meta))


def test_without_masks_clip_labels_every_pixel_that_is_there(tiny_segmentor, monkeypatch):
    model, seen = build(tiny_segmentor).train(), {}
    monkeypatch.setattr(model, 'supervised_loss',
                        lambda logits, samples, feats: seen.update(labels=torch.stack([s.gt_sem_seg.data[0]
                                                                                       for s in samples])) or {})
    inputs, samples = batch(shown=(32, 24))
    model.loss(inputs, samples)
    texts, dense = model.texts(), model.clip_features(inputs)[0]
    cosines = torch.einsum('nd,bdhw->bnhw', texts, F.normalize(dense, dim=1))
    classes = torch.stack([cosines[:, :2].amax(1), cosines[:, 2], cosines[:, 3]], 1)
    want = F.interpolate(classes, (32, 32), mode='bilinear', align_corners=True).argmax(1)
    assert torch.equal(seen['labels'][..., :24], want[..., :24])
    assert (seen['labels'][..., 24:] == 255).all()


def test_given_labels_stay_and_hidden_ones_never_reach_the_loss(tiny_segmentor, monkeypatch):
    """Zero-shot: two classes have labels; the third one's pixels hold whatever is best among the unseen."""
    model = build(tiny_segmentor, 4, names=('drum', 'box', 'kite'), background='learned', unseen=[3],
                  self_train_from=10).train()
    masks = torch.randint(0, 4, (2, 32, 32))
    masks[0, 0] = 255
    seen = []
    monkeypatch.setattr(model, 'supervised_loss',
                        lambda logits, samples, feats: seen.append(torch.stack([s.gt_sem_seg.data[0]
                                                                                for s in samples])) or {})
    model.loss(*batch(masks))
    assert torch.equal(seen[0], masks)  # one class is unseen: nothing else can be said of its pixels
    wider = build(tiny_segmentor, 4, names=('drum', 'box', 'kite'), background='learned', unseen=[2, 3]).train()
    inputs, samples = batch(masks)
    swapped = batch(torch.where(masks == 3, 2, torch.where(masks == 2, 3, masks)))[1]
    with torch.no_grad():
        first, second = (wider.loss(inputs, some)['sup.decode.loss_ce'] for some in (samples, swapped))
    assert torch.equal(first, second)


def test_the_switch_to_its_own_labels(tiny_segmentor):
    model = build(tiny_segmentor, self_train_from=5).train()
    asked = []
    scores = model.clip_scores
    model.clip_scores = lambda images: asked.append(1) or scores(images)
    hub = MessageHub.get_current_instance()
    for iteration, calls in ((4, 1), (5, 1), (6, 1)):
        hub.update_info('iter', iteration)
        inputs, samples = batch()
        losses = model.loss(inputs, samples)
        assert len(asked) == calls and torch.isfinite(losses['sup.decode.loss_ce'])
    model.eval()  # what it labelled is what it predicts
    with torch.no_grad():
        own = model.logits(inputs).argmax(1)
    model.student.train(False)
    inputs, samples = batch()
    model.loss(inputs, samples)
    assert torch.equal(torch.stack([s.gt_sem_seg.data[0] for s in samples]), own)


def test_a_learned_background(tiny_segmentor):
    model = build(tiny_segmentor, 4, names=('drum', 'box', 'kite'), background='learned', unseen=[3]).train()
    inputs, samples = batch(torch.randint(0, 4, (2, 32, 32)))
    sum(v for k, v in model.loss(inputs, samples).items() if 'loss' in k).backward()
    assert model.background.grad.abs().sum() > 0
    state = model.state_dict()
    row = state['student.decode_head.conv_seg.weight'][0, :, 0, 0]
    torch.testing.assert_close(row, F.normalize(model.background[0], dim=0))
    twin = build(tiny_segmentor, 4, names=('drum', 'box', 'kite'), background='learned', unseen=[3])
    twin.background.data.zero_()
    twin.load_state_dict(copy.deepcopy(state))
    torch.testing.assert_close(twin.background, model.background)


@pytest.mark.parametrize('labelled', [True, False])
def test_imitation_of_features(tiny_segmentor, labelled):
    model = build(tiny_segmentor, guide='features', unseen=[2], distill_labelled=labelled).train()
    masks = torch.randint(0, 3, (2, 32, 32))
    inputs, samples = batch(masks)
    losses = model.loss(inputs, samples)
    assert (torch.stack([s.gt_sem_seg.data[0] for s in samples])[masks == 2] == 255).all()
    losses['loss_distill'].backward()
    assert sum(p.grad.abs().sum() for p in model.student.backbone.parameters() if p.grad is not None) > 0


def test_refined_labels(tiny_segmentor):
    """With both refinements the scores are MaskCLIP's probabilities."""
    from mmseg_weak.methods.openvocab.maskclip import cosine_scores, refine_scores
    model = build(tiny_segmentor, names=('ball', 'drum', 'box'), pd_thr=.35, ks_thr=1.0).train()
    inputs, _ = batch()
    dense, keys = model.clip_features(inputs)
    want = refine_scores(cosine_scores(dense, model.texts()), keys, .35, 1.0)
    torch.testing.assert_close(model.clip_scores(inputs), want)
    assert keys.shape == (2, 16, 96)


def test_an_odd_photograph_end_to_end(tiny_segmentor):
    model = build(tiny_segmentor).eval()
    sample = SegDataSample(metainfo=dict(img_shape=(37, 53), ori_shape=(74, 106), pad_shape=(37, 53)))
    image = torch.randint(256, (3, 37, 53), dtype=torch.uint8)
    seen, = model.test_step(dict(inputs=[image], data_samples=[sample]))
    assert seen.pred_sem_seg.data.shape == (1, 74, 106) and seen.seg_logits.data.isfinite().all()


LEARNED = dict(background='learned', names=('drum', 'box'))


def test_export_is_a_plain_network(tiny_segmentor, tmp_path):
    from mmengine.config import Config

    from mmseg_weak.apis.export import export_student
    network = tiny_segmentor(3)
    network['decode_head']['channels'] = None
    config = dict(type='MaskCLIPPlus', segmentor=network, clip=CLIP, names=['ball', 'drum', 'box'],
                  data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=(32, 32)))
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    (tmp_path / 'run.py').write_text(f'model = {config!r}\n')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'run.pth')
    files = export_student(tmp_path / 'run.py', tmp_path / 'run.pth', tmp_path / 'out')
    plain = Config.fromfile(str(files[0])).model
    assert plain.decode_head.channels == 64 and plain.type == 'EncoderDecoder'
    weights = torch.load(files[1], weights_only=True)['state_dict']
    torch.testing.assert_close(weights['decode_head.conv_seg.weight'][:, :, 0, 0], model.texts())


@pytest.mark.parametrize('settings, sentence', [
    (dict(channels=8), r'^model.segmentor.decode_head.channels is 8, and a name of toyworld_clip is a vector of 64; '
                       r'set channels=64\.$'),
    (dict(LEARNED, classes=4), 'num_classes is 4, and there are 2 classes of names and a learned background; make bot'),
    (LEARNED, "model.background='learned' is learned from masks, and model.unseen leaves no class that has any"),
    (dict(LEARNED, unseen=[0]), r'model.unseen=\[0\]; name classes from 1 to 2, since the learned background has no'),
    (dict(unseen=[3]), r'^model.unseen=\[3\]; name classes from 0 to 2\.$'),
    (dict(guide='masks'), r"^model.guide='masks'; MaskCLIP\+ learns from CLIP's 'labels' or 'features'")])
def test_what_does_not_fit_is_refused(tiny_segmentor, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(tiny_segmentor, **settings)


def test_a_resnet_has_no_keys_to_smooth_by(tiny_segmentor, monkeypatch):
    model = build(tiny_segmentor)
    model.refine['ks_thr'], model._texts = 1.0, None
    clip = model.clip.build()
    monkeypatch.setattr(clip, 'vision', torch.nn.Identity())
    with pytest.raises(ConfigError, match=r'^model.ks_thr=1.0: toyworld_clip is a ResNet, whose patches have no keys'):
        model.texts()
