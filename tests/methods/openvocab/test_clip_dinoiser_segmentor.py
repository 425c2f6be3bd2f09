"""CLIP-DINOiser's segmentor: its numbers against the equations, checkpoints, training, what is refused."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError
from mmseg_weak.methods.openvocab.clip_dinoiser import (
    attention_features,
    clean_background,
    cosine_affinity,
    cut_affinity,
    dinoiser_losses,
    guided_pool,
    patch_probs,
    student_features,
)
from mmseg_weak.models.clip import max_over_names, parse_classes

VIT = dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, ), frozen=True)
TEACHERS = dict(dino=VIT, found=dict(type='FOUND', backbone=VIT))
CUT = dict(short_side_px=32, crop_px=0, scale=100.0)


def build(names=('ball; round thing', 'drum', 'box'), test_cfg=CUT, clip=None, seed=0, **kwargs):
    torch.manual_seed(seed)
    tower = dict(dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, positions='size'),
                 **(clip or {}))
    model = MODELS.build(dict(type='CLIPDINOiser', clip=tower, names=list(names), test_cfg=test_cfg,
                              **{'head': dict(channels=8), **kwargs}))
    for parameter in model.head.parameters():  # affinities that differ, logits of both signs
        torch.nn.init.normal_(parameter, std=.3)
    return model


def image(size=(32, 40), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.interpolate(torch.rand(1, 3, 4, 5, generator=generator) * 255, size, mode='bilinear').round()[0]


@pytest.mark.parametrize('clean', [False, True])
def test_a_whole_image_equals_the_equations(clean):
    model = build(('drum', 'box'), background=['sand', 'water'], clean=clean, delta=.9)
    kept, = model.keep([image()])
    inner, dense = student_features(model.clip.vision, model.for_clip(image()[None]))
    affinity = cut_affinity(cosine_affinity(model.head.obj_proj(inner)), .2)
    probs = patch_probs(guided_pool(dense, affinity, (4, 5)), model.texts())
    if clean:
        cleaned = clean_background(probs, model.head.bkg_decoder(F.normalize(inner, dim=1)), .9)
        assert (cleaned != probs).any()
        probs = cleaned
    want = max_over_names(F.interpolate(probs, (32, 40), mode='bilinear'), (0, 0, 1, 2))[0]
    torch.testing.assert_close(model.class_scores(kept), want, rtol=1e-4, atol=1e-5)
    labels, best = model.label(kept)
    torch.testing.assert_close(best, want.amax(0), rtol=1e-4, atol=1e-5)
    assert (labels == want.argmax(0)).float().mean() > .99


def test_windows_average_probabilities():
    """The mean of two windows' probabilities, not the probability of their mean cosine."""
    model = build(test_cfg=dict(CUT, crop_px=32, stride_px=8))
    kept, = model.keep([image()])
    assert len(kept.features) == 2
    parts = []
    for x in (0, 8):
        inner, dense = student_features(model.clip.vision, model.for_clip(image()[None, :, :, x:x + 32]))
        probs = patch_probs(model.head.pool(inner, dense)[0], model.texts())
        parts.append(F.interpolate(probs, (32, 32), mode='bilinear')[0])
    middle = model.class_scores(kept)[:, :, 8:32]
    want = max_over_names(((parts[0][..., 8:] + parts[1][..., :24]) / 2)[None], (0, 0, 1, 2))[0]
    torch.testing.assert_close(middle, want, rtol=1e-4, atol=1e-5)


def test_cleaning_is_for_names_with_a_background():
    model = build(('drum', 'box'), background=['sand'], clean=True, delta=1.0)
    model.head.bkg_decoder.bias.data.fill_(-1e3)  # no object anywhere
    kept, = model.keep([image()])
    labels, best = model.label(kept, parse_classes('kite; star', background=['sand']))
    assert not labels.any() and (best == 1).all()
    labels, best = model.label(kept, parse_classes('kite; star'))
    assert (best < 1).all()
    assert build(('drum', 'box'), background=['sand'], clean=True, protocol='common').clean is False


def test_another_scale():
    model = build()
    kept, = model.keep([image()])
    _, flat = model.label(kept, scale=1e-3)
    torch.testing.assert_close(flat, torch.full_like(flat, 1 / 4), rtol=1e-2, atol=1e-3)


def test_an_odd_photograph_end_to_end():
    model = build(test_cfg=dict(CUT, crop_px=24, stride_px=16, multiple_px=8))
    picture = torch.randint(256, (3, 37, 61), dtype=torch.uint8)
    for size in ((37, 61), (50, 83)):
        sample = SegDataSample(metainfo=dict(img_shape=(37, 61), ori_shape=size))
        seen, = model.test_step(dict(inputs=[picture], data_samples=[sample]))
        assert seen.pred_sem_seg.data.shape == (1, *size) and seen.confidence.data.isfinite().all()


def test_the_authors_checkpoint_is_read_by_both_ways(tmp_path):
    source = build(seed=1).head.state_dict()
    torch.save(dict(epoch=99, model_state_dict={f'{key}': value for key, value in source.items()}),
               tmp_path / 'last.pt')
    own = build()
    own.head.load(str(tmp_path / 'last.pt'))
    tested = build()
    clip = {key: value.clone() for key, value in tested.clip.state_dict().items()}
    load_checkpoint(tested, str(tmp_path / 'last.pt'), strict=True)
    for model in (own, tested):
        assert all(torch.equal(model.head.state_dict()[key], value) for key, value in source.items())
    assert all(torch.equal(value, clip[key]) for key, value in tested.clip.state_dict().items())
    torch.save(dict(state_dict=tested.state_dict()), tmp_path / 'ours.pth')
    again = build(seed=2)
    again.head.load(str(tmp_path / 'ours.pth'))
    assert torch.equal(again.head.obj_proj.weight, source['obj_proj.weight'])


def test_heads_that_do_not_fit(tmp_path):
    head = dict(channels=8, checkpoint=str(tmp_path / 'none.pt'))
    with pytest.raises(MissingFileError, match="none.pt, which does not exist: give the authors' last.pt or a check"):
        build(head=head)
    torch.save(dict(model_state_dict={'obj_proj.weight': torch.zeros(256, 768, 3, 3)}), tmp_path / 'none.pt')
    with pytest.raises(CheckpointError, match=r'obj_proj.weight is of shape \(256, 768, 3, 3\), and \(8, 96, 3, 3\) i'):
        build(head=head)
    torch.save({}, tmp_path / 'none.pt')
    with pytest.raises(CheckpointError, match=r'obj_proj.weight is missing, and \(8, 96, 3, 3\) is wanted; give the'):
        build(head=head)


def test_a_step_of_training_is_the_equations():
    model = build(**TEACHERS).train()
    model.init_weights()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=.3)
    images = torch.stack([image((32, 32), seed) for seed in (0, 1)])
    losses = model.loss(images, [])
    inner, _ = student_features(model.clip.vision, model.for_clip(images))
    seen = model.for_imagenet(model.for_clip(images))
    values = attention_features(model.dino.build(), seen, 'v')
    assert values.shape == (2, 96, 4, 4)
    want = dinoiser_losses(*model.head(inner), cut_affinity(cosine_affinity(values), .2), model.found.build()(seen))
    for key, value in want.items():
        torch.testing.assert_close(losses[key], value)
    sum(losses.values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.head.parameters())
    assert not any(p.requires_grad for p in model.clip.parameters())


def test_training_moves_the_head_alone_and_state_has_no_teacher():
    model = build(head=dict(channels=8, background=False), dino=VIT,
                  view=dict(type='PhotometricView', brightness=.5, jitter_prob=1.0),
                  data_preprocessor=dict(type='SegDataPreProcessor', bgr_to_rgb=True, size=(32, 32))).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = OptimWrapper(torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=.1))
    samples = [SegDataSample(metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32))) for _ in range(2)]
    pictures = [image((32, 32), seed).byte() for seed in (0, 1)]
    log = model.train_step(dict(inputs=pictures, data_samples=samples), optimizer)
    assert torch.isfinite(log['loss']) and 'loss_bkg' not in log
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {'head.obj_proj.weight', 'head.obj_proj.bias'}
    assert not any(key.startswith(('dino', 'found')) for key in before)


def test_weights_that_the_config_names_are_left_out(tmp_path):
    import open_clip

    from mmseg_weak.models.clip.weights import create_model
    torch.save(create_model('toyworld_clip', None).state_dict(), tmp_path / 'clip.pt')
    assert 'toyworld_clip' in open_clip.list_models()
    model = build(clip=dict(pretrained=str(tmp_path / 'clip.pt')))
    assert set(model.state_dict()) == {f'head.{name}.{part}' for name in ('obj_proj', 'bkg_decoder')
                                       for part in ('weight', 'bias')}
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'small.pth')
    load_checkpoint(build(clip=dict(pretrained=str(tmp_path / 'clip.pt')), seed=3), str(tmp_path / 'small.pth'),
                    strict=True)
    load_checkpoint(model, 'mmseg_weak://none', strict=True)


def test_found_reads_the_authors_decoder(tmp_path):
    found = MODELS.build(dict(TEACHERS['found'], checkpoint=str(tmp_path / 'decoder.pt')))
    with pytest.raises(MissingFileError, match='model.found.checkpoint names .*decoder.pt, which does not exist'):
        found.init_weights()
    torch.save(dict(decoder=dict(weight=torch.full((1, 96, 1, 1), .5), bias=torch.zeros(1))), tmp_path / 'decoder.pt')
    found.init_weights()
    images = torch.randn(1, 3, 16, 24)
    keys = attention_features(found.backbone, images, 'k')
    torch.testing.assert_close(found(images), (keys.sum(1, keepdim=True) / 2).sigmoid())
    torch.save(dict(decoder=dict(weight=torch.zeros(1, 384, 1, 1))), tmp_path / 'decoder.pt')
    with pytest.raises(CheckpointError, match='decoder.pt holds no decoder of 96 channels; give decoder_weights.pt of'):
        found.init_weights()


@pytest.mark.parametrize('settings, sentence', [
    (dict(clean=True), 'model.clean=True puts unsure places into the background, and model.names has none'),
    (dict(clean=True, background=['sand'], head=dict(background=False)), 'model.clean=True needs the convolution that'),
    (dict(dino=VIT), 'model.found is missing: CLIP-DINOiser learns from DINO and FOUND; with model.head.background=F'),
    (dict(found=TEACHERS['found']), 'model.dino is missing'),
    (dict(layer=-1), r'^model.layer=-1; name a block before the last one of 6\.$'),
    (dict(layer=9), '^model.layer=9; name a block'),
    (dict(dino_features='x'), "^model.dino_features='x'; it is 'q', 'k' or 'v'"),
    (dict(refiner=dict(type='PAMR')), '^model.refiner refines cosines, and CLIP-DINOiser averages probabilities')])
def test_contradictions_are_told(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(**settings)


def test_what_cannot_teach_or_be_taught():
    with pytest.raises(ConfigError, match='CLIPDINOiser learns from DINO and FOUND, and this config has neither'):
        build().loss(image()[None], [])
    plain = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
    with pytest.raises(ConfigError, match='ResNet does not show its last attention; the teacher is a TimmViT'):
        build(head=dict(background=False), dino=plain).loss(image((32, 32))[None], [])
    coarse = dict(VIT, model_name='vit_tiny_patch16_224', out_indices=(11, ))
    with pytest.raises(ConfigError, match='model.dino sees 2x2 patches where CLIP sees 4x4; take a ViT with patc'):
        build(head=dict(background=False), dino=coarse).loss(image((32, 32))[None], [])


@pytest.mark.slow
def test_a_resnet_is_refused():
    with pytest.raises(ConfigError, match='RN50 is a ResNet; CLIP-DINOiser reads the tokens of a ViT: take one'):
        build(clip=dict(name='RN50', attention='value'))
