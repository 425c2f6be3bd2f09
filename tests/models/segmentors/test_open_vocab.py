"""The frame of the open-vocabulary methods, with random towers of a few thousand weights."""
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD, class_probs, parse_classes, slide
from mmseg_weak.models.refine import PAMR
from mmseg_weak.models.segmentors import OpenVocabSegmentor

NAMES = ['ball; round thing', 'drum', 'box']
CUT = dict(short_side_px=32, crop_px=24, stride_px=16, scale=300.0)
PROXY = dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, ))


def build(test_cfg=CUT, clip=None, **kwargs) -> OpenVocabSegmentor:
    torch.manual_seed(0)
    tower = dict(dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='naclip',
                      residual=False, ffn=False), **(clip or {}))
    return MODELS.build(dict(type='OpenVocabSegmentor', clip=tower, names=kwargs.pop('names', NAMES),
                             test_cfg=test_cfg, **kwargs))


def images(count=2, size=(40, 56), seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = torch.randint(256, (count, 3, 5, 7), generator=generator).float()
    return F.interpolate(low, size, mode='bilinear').round()


def by_hand(model, image, original):
    """Cosines at the original size, all at once."""
    size = model.resized(image).shape[-2:]
    small = F.interpolate(image[None], size, mode='bilinear').round()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    texts = model.clip.encode_names(model.names)

    def window(part):
        maps = torch.einsum('nd,bdhw->bnhw', texts, model.clip.encode_dense(part))
        return F.interpolate(maps, part.shape[-2:], mode='bilinear')
    whole = slide((small - mean) / std, window, 24, 16)
    return small, F.interpolate(whole, original, mode='bilinear')


def test_a_batch_of_photographs_equals_the_published_steps():
    model, batch = build(), images()
    samples = [SegDataSample(metainfo=dict(ori_shape=size)) for size in ((40, 56), (80, 112))]
    seen = model.predict(batch, samples)
    for image, sample, size in zip(batch, seen, ((40, 56), (80, 112))):
        best, labels = class_probs(by_hand(model, image, size)[1], (0, 0, 1, 2), 300.0).max(1)
        assert sample.pred_sem_seg.data.shape == (1, *size)
        assert torch.allclose(sample.confidence.data, best, atol=1e-4)
        assert (sample.pred_sem_seg.data == labels).float().mean() > 0.999  # ties of neighbouring pixels
    assert len(seen[0].pred_sem_seg.data.unique()) > 1


def test_windows_of_all_images_share_forwards():
    model, calls = build(dict(CUT, window_batch=64)), []
    encode = model.encode
    model.encode = lambda windows: calls.append(len(windows)) or encode(windows)
    model.predict(images(3))
    assert calls == [3 * 6]  # 32x45 in windows of 24 at 16: two rows of three


def test_refined_bands_equal_all_rows_at_once():
    refiner = dict(type='PAMR', num_iter=2, dilations=(1, 2))
    model, image = build(refiner=refiner), images(1)[0]
    kept, = model.keep([image])
    small, cosines = by_hand(model, image, (40, 56))
    want = PAMR(num_iter=2, dilations=(1, 2))(cosines, F.interpolate(small, (40, 56), mode='bilinear'))
    texts = model.texts()
    for budget in (1 << 26, 4 * 56 * 7):  # at once; seven rows at a time, one name at a time
        bands = list(kept.bands(texts, budget))
        assert len(bands) == (1 if budget > 10000 else 6)
        assert torch.allclose(torch.cat([values for _, values in bands], 1), want[0], atol=1e-5)


def test_protocols():
    paper = build(names='voc20_expanded', background='word', refiner=dict(type='PAMR'), clip=dict(templates='photo'),
                  test_cfg=dict(CUT, prob_thr=0.3, scale=65.0))
    common = build(names='voc20_expanded', background='word', refiner=dict(type='PAMR'), clip=dict(templates='photo'),
                   test_cfg=dict(CUT, prob_thr=0.3, scale=65.0), protocol='common')
    assert (len(paper.names.names), len(common.names.names)) == (31, 46)
    assert (paper.test_cfg['crop_px'], common.test_cfg['crop_px'], common.test_cfg['short_side_px']) == (24, 224, 448)
    assert (common.test_cfg['prob_thr'], common.test_cfg['scale'], common.refiner) == (0, 65.0, None)
    assert (len(paper.clip.text.templates), len(common.clip.text.templates)) == (1, 80)


def test_published_lists_repeat_the_bed():
    ours = build(names='coco_object', background='stuff_short').names
    published = build(names='coco_object', background='stuff_short', as_published=True).names
    assert (len(ours.names), len(published.names)) == (96, 97)
    assert published.names.count('bed') == 2 and ours.names.count('bed') == 1
    assert ours.classes == published.classes and len(ours.classes) == 81


def test_another_network_mixes_and_odd_sizes_are_extended():
    model = build(dict(CUT, multiple_px=8, crop_px=0), proxy=PROXY,
                  clip=dict(attention='proxyclip', residual=False, ffn=False))
    first = model.predict(images(1, (37, 53)))[0]
    assert first.pred_sem_seg.data.shape == (1, 37, 53)
    with torch.no_grad():
        model.proxy.vit.patch_embed.proj.weight.mul_(-1)
    again = model.predict(images(1, (37, 53)))[0]
    assert (first.confidence.data - again.confidence.data).abs().max() > 1e-6
    assert model.keep([images(1, (37, 53))[0]])[0].padding == (0, 1, 0, 1)  # 32x46 became 32x48


@pytest.mark.parametrize('size', [(1, 500), (500, 1), (1, 1), (3, 4000)])
def test_extreme_sides(size):
    model = build(dict(CUT, long_side_px=64))
    sample, = model.predict(torch.zeros(1, 3, *size))
    assert sample.pred_sem_seg.data.shape == (1, *size) and sample.confidence.data.isfinite().all()


def test_crf_looks_at_predicted_classes_only():
    model = build(crf=dict(type='DenseCRF', num_iter=1), test_cfg=dict(CUT, scores=True))
    sample, = model.predict(images(1))
    found = sample.seg_logits.data.argmax(0).unique().tolist()
    assert set(sample.pred_sem_seg.data.unique().tolist()) <= set(found)
    assert sample.seg_logits.data.shape == (3, 40, 56)


def test_names_change_without_the_image():
    model, image = build(), images(1)[0]
    kept, = model.keep([image])
    model.encode = None  # the image is not looked at again
    two = parse_classes('star; kite')
    labels, _ = model.label(kept, two)
    assert labels.max() <= 1
    swapped, _ = model.label(kept, parse_classes('kite; star'))
    assert ((labels == 1) == (swapped == 0)).float().mean() > 0.999


def test_a_checkpoint_without_weights_is_meant_so(tmp_path):
    from mmengine.runner import load_checkpoint
    model = build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    load_checkpoint(model, 'mmseg_weak://none', strict=True)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    before.pop('clip.logit_scale')
    torch.save(before, tmp_path / 'part.pth')
    with pytest.raises(RuntimeError, match='missing keys in source state_dict: clip.logit_scale'):
        load_checkpoint(model, str(tmp_path / 'part.pth'), strict=True)


def test_wrong_settings_are_told():
    with pytest.raises(ConfigError, match=r"^model.test_cfg has the key 'short_side', which is none of short_side_px, "
                                          r'.*\. Did you mean short_side_px'):
        build(dict(short_side=3))
    with pytest.raises(ConfigError, match=r"^model.protocol='mine'; it is 'paper' or 'common'\.$"):
        build(protocol='mine')
    with pytest.raises(ConfigError, match=r"^names='voc2O' is no list of class names\. Did you mean voc20"):
        build(names='voc2O')
    with pytest.raises(ConfigError, match='^model.refiner is DenseCRF, which looks at all names at once'):
        build(refiner=dict(type='DenseCRF'))
    with pytest.raises(ConfigError, match='^model.data_preprocessor has a mean and std'):
        build(data_preprocessor=dict(type='SegDataPreProcessor', mean=[0, 0, 0], std=[1, 1, 1]))
    with pytest.raises(ConfigError, match='is not trained: test it, or predict with it'):
        build().loss(images(), [])
