"""Building a CLIP: names, weights, activations, and what is said when something is not there."""
import pytest
import torch

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError

open_clip = pytest.importorskip('open_clip', reason='open_clip is an optional requirement')


@pytest.fixture
def model_name(tmp_path):
    """A model of open_clip's list that is tiny."""
    import json

    from open_clip import factory
    config = dict(embed_dim=8, vision_cfg=dict(image_size=32, patch_size=16, width=16, layers=2, head_width=8),
                  text_cfg=dict(context_length=16, width=16, heads=2, layers=1))
    path = tmp_path / 'tiny-test-clip.json'
    path.write_text(json.dumps(config))
    before = list(factory._MODEL_CONFIG_PATHS), dict(factory._MODEL_CONFIGS)
    open_clip.add_model_config(path)
    yield 'tiny-test-clip'
    factory._MODEL_CONFIG_PATHS[:] = before[0]
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(before[1])


def build(name, **kwargs):
    from mmseg.registry import MODELS
    return MODELS.build(dict(type='OpenCLIP', name=name, cache_dir=None, **kwargs))


def test_local_checkpoint_gives_open_clips_numbers(model_name, tmp_path):
    reference = open_clip.create_model(model_name).eval()
    torch.save(reference.state_dict(), tmp_path / 'clip.pt')
    clip = build(model_name, pretrained=str(tmp_path / 'clip.pt'), templates='photo')
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(clip.encode_image(images), reference.encode_image(images, normalize=True), atol=1e-5)
        tokens = open_clip.get_tokenizer(model_name)(['a photo of a cat.'])
        assert torch.allclose(clip.encode_names(['cat']), reference.encode_text(tokens, normalize=True), atol=1e-5)
    assert clip.scale == pytest.approx(reference.logit_scale.exp().item(), rel=1e-5)


def test_frozen_weights_stay_in_eval_and_images_keep_their_gradient(model_name):
    clip = build(model_name).train()
    assert not clip.training and not any(p.requires_grad for p in clip.parameters())
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    clip(images).dense.sum().backward()
    assert images.grad.abs().sum() > 0
    assert build(model_name, frozen=False).train().training


def test_state_dict_round_trip(model_name):
    source, target = build(model_name), build(model_name)
    target.load_state_dict(source.state_dict())
    images = torch.randn(1, 3, 32, 48)
    assert torch.equal(source(images).dense, target(images).dense)


@pytest.mark.parametrize('precision', ['fp16', 'bf16'])
def test_half_precision_gives_float32_features(model_name, precision):
    clip = build(model_name, precision=precision)
    out = clip(torch.randn(1, 3, 32, 48))
    assert out.dense.dtype == torch.float32 and torch.isfinite(out.dense).all()
    assert clip.encode_names(['cat']).dtype == torch.float32 and clip.scale == pytest.approx(1 / 0.07, rel=1e-5)


def test_missing_weights_name_the_command_that_brings_them():
    with pytest.raises(MissingFileError, match="The weights 'openai' of ViT-B-16 are not on this machine, and nothing "
                                               'is downloaded unasked: `mmseg-weak fetch clip:ViT-B-16:openai` brings'):
        from mmseg_weak.models.clip import weights
        weights.find_weights('ViT-B-16', 'openai')


def test_downloaded_weights_are_found(tmp_path, monkeypatch):
    from mmseg_weak.models.clip import find_weights
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setenv('HOME', str(tmp_path))
    name = open_clip.get_pretrained_cfg('ViT-B-32', 'laion400m_e32')['url'].rsplit('/', 1)[1]
    (tmp_path / 'clip').mkdir()
    (tmp_path / 'clip' / name).touch()
    assert find_weights('ViT-B-32', 'laion400m_e32') == tmp_path / 'clip' / name


@pytest.mark.parametrize('kwargs, say', [
    (dict(name='ViT-B-61'), "'ViT-B-61' is no model of open_clip. Did you mean ViT-B-16"),
    (dict(name='ViT-B-16', pretrained='opnai'), "'opnai' is neither a file nor weights that open_clip knows for "
                                                'ViT-B-16. Did you mean openai'),
    (dict(name='ViT-B-16', precision='fp8'), "precision='fp8' of OpenCLIP; use fp32, fp16, bf16."),
    (dict(name='ViT-B-16', activation='relu'), "activation='relu' of a CLIP"),
])
def test_bad_settings(kwargs, say):
    with pytest.raises(ConfigError) as caught:
        build(**kwargs)
    assert say in str(caught.value)


def test_a_path_that_is_not_there():
    with pytest.raises(MissingFileError, match='The CLIP weights weights/none.pt do not exist'):
        build('ViT-B-16', pretrained='weights/none.pt')


def test_checkpoint_of_another_architecture(model_name, tmp_path):
    state = open_clip.create_model(model_name).state_dict()
    state['visual.proj'] = torch.zeros(16, 9)
    torch.save(state, tmp_path / 'other.pt')
    with pytest.raises(CheckpointError, match='other.pt does not hold weights of tiny-test-clip: size mismatch for '
                                              'visual.proj'):
        build(model_name, pretrained=str(tmp_path / 'other.pt'))
    (tmp_path / 'cut.pt').write_bytes(b'PK\x03\x04 not a checkpoint')
    with pytest.raises(CheckpointError, match='cut.pt does not hold weights of tiny-test-clip'):
        build(model_name, pretrained=str(tmp_path / 'cut.pt'))


def test_activation_follows_the_weights(monkeypatch, tmp_path, model_name):
    """OpenAI's weights under the name without '-quickgelu' get QuickGELU; asking for the other one is refused."""
    from open_clip.transformer import QuickGELU

    from mmseg_weak.models.clip import weights
    torch.save(open_clip.create_model(model_name).state_dict(), tmp_path / 'clip.pt')
    path = str(tmp_path / 'clip.pt')
    assert isinstance(build(model_name, pretrained=path).vision.blocks[0].mlp.gelu, torch.nn.GELU)
    monkeypatch.setattr(weights, '_needs_quick_gelu', lambda *_: True)
    assert isinstance(build(model_name, pretrained=path).vision.blocks[0].mlp.gelu, QuickGELU)
    with pytest.raises(ConfigError, match="activation='gelu' does not fit the weights"):
        build(model_name, pretrained=path, activation='gelu')


@pytest.mark.parametrize('tag, quick', [('openai', True), ('metaclip_400m', True), ('laion2b_s34b_b88k', False)])
def test_which_weights_need_quick_gelu(tag, quick, tmp_path):
    from mmseg_weak.models.clip import weights
    assert weights._needs_quick_gelu('ViT-B-16', tag, tmp_path) is quick


@pytest.mark.parametrize('pretrained, want', [
    ('openai', 'quick_gelu'), ('laion2b_s34b_b88k', 'gelu'), ('gone/ViT-B-16.pt', 'quick_gelu'),
    ('gone/own.pt', 'auto'), (None, 'auto')])
def test_weights_of_a_checkpoint_keep_their_activation(pretrained, want):
    from mmseg_weak.models.clip.weights import without_weights
    config = dict(type='OpenCLIP', name='ViT-B-16', pretrained=pretrained)
    left = without_weights(config)
    assert left['pretrained'] is None and left.get('activation', 'auto') == want
    assert config['pretrained'] == pretrained
    assert without_weights(dict(config, activation='gelu'))['activation'] == 'gelu'


@pytest.mark.parametrize('name, why', [('ViT-B-16-SigLIP', 'SigLIP, EVA'), ('coca_ViT-B-32', 'it pools by attention')])
def test_towers_without_dense_features_are_refused_with_the_reason(name, why):
    from mmseg_weak.models.clip import DenseViT
    config = open_clip.get_model_config(name)
    small = dict(config['vision_cfg'], layers=1) if 'layers' in config['vision_cfg'] else config['vision_cfg']
    from open_clip.model import _build_vision_tower
    with pytest.raises(ConfigError, match=why):
        DenseViT(_build_vision_tower(config['embed_dim'], small))


def test_fetch_asks_open_clip(monkeypatch, tmp_path):
    from mmseg_weak.apis.fetch import fetch
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    name = open_clip.get_pretrained_cfg('ViT-B-32', 'laion400m_e32')['url'].rsplit('/', 1)[1]

    def download(entry):
        (tmp_path / 'clip').mkdir()
        (tmp_path / 'clip' / name).touch()
    monkeypatch.setattr(open_clip, 'download_pretrained', download)
    assert fetch('clip:ViT-B-32:laion400m_e32') == tmp_path / 'clip' / name
    with pytest.raises(ConfigError, match='write clip:MODEL:TAG'):
        fetch('clip:ViT-B-32')
    monkeypatch.setattr(open_clip, 'download_pretrained', lambda entry: (_ for _ in ()).throw(OSError('no route')))
    with pytest.raises(MissingFileError, match=r'cannot be downloaded \(no route\); check the network'):
        fetch('clip:ViT-B-32:laion400m_e31')
