"""CLIP-ES: softmax Grad-CAM of the last block, what competes, sharpness by hand."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_weak.apis.pseudo_label import pseudo_label
from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.weak.clip_es import confident_mask, prompt_sharpness
from mmseg_weak.models.cam.text_cam import competing, mean_attention, refined_maps, softmax_cams
from mmseg_weak.models.clip import DenseViT, named_classes
from mmseg_weak.models.clip.tag_names import TAG_BACKGROUND, TAG_SYNONYMS, tag_background, tag_texts
from mmseg_weak.models.clip.weights import create_model

GRID = (2, 3)


@pytest.fixture
def tower():
    from open_clip.transformer import VisionTransformer
    visual = VisionTransformer(16, 4, 16, 2, 2, 2.0, output_dim=8).eval()
    return DenseViT(visual).requires_grad_(False)


@pytest.fixture
def tokens():
    return torch.randn(2, 7, 16)


def test_probabilities_are_the_towers(tower, tokens):
    """The mean over patches of what open_clip's own block gives; maps are scaled to [0, 1]; nothing has a gradient."""
    texts = F.normalize(torch.randn(4, 8), dim=-1)
    with torch.no_grad():
        maps, probs, attention = softmax_cams(tower, tokens, GRID, texts, 10., torch.ones(2, 4, dtype=torch.bool))
        whole = tower.project(tower.blocks[-1](tokens))[:, 1:].mean(1)
    torch.testing.assert_close(probs, (10 * F.normalize(whole, dim=-1) @ texts.T).softmax(1))
    assert maps.shape == (2, 4, 2, 3) and float(maps.min()) >= 0 and float(maps.max()) <= 1
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 7))
    assert not maps.requires_grad and not probs.requires_grad


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_around_changes_nothing(tower, tokens, dtype):
    """The gradient of a probability that is nearly 1 is below the smallest number of float16."""
    texts, wanted = F.normalize(torch.randn(3, 8), dim=-1), torch.ones(2, 3, dtype=torch.bool)
    want = softmax_cams(tower, tokens, GRID, texts, 30., wanted)
    with torch.autocast('cpu', dtype):
        found = softmax_cams(tower, tokens, GRID, texts, 30., wanted)
    for one, other in zip(want, found):
        torch.testing.assert_close(other, one)


def test_two_texts_pull_in_opposite_directions(tower, tokens):
    """With two texts p_1 = 1 - p_0: what speaks for one speaks against the other, so their maps never overlap."""
    texts = F.normalize(torch.randn(2, 8), dim=-1)
    maps, _, _ = softmax_cams(tower, tokens, GRID, texts, 10., torch.ones(2, 2, dtype=torch.bool))
    assert float(maps.amax()) > .9 and not (maps[:, 0].gt(1e-4) & maps[:, 1].gt(1e-4)).any()


def test_absent_classes_do_not_compete(tower, tokens):
    texts = F.normalize(torch.randn(5, 8), dim=-1)
    present = torch.tensor([[True, False, True], [False, True, False]])
    used = competing(present, 2)
    wanted = F.pad(present, (0, 2))
    maps, probs, _ = softmax_cams(tower, tokens, GRID, texts, 10., wanted, used)
    assert not probs[~used].any() and not maps[~wanted].any()
    rows = [0, 2, 3, 4]
    alone, p, _ = softmax_cams(tower, tokens[:1], GRID, texts[rows], 10., torch.tensor([[True, True, False, False]]))
    torch.testing.assert_close(probs[:1, rows], p)
    torch.testing.assert_close(maps[:1, rows], alone, rtol=1e-3, atol=1e-4)


def test_refined_maps_and_attention():
    blocks = [torch.rand(1, 2, 7, 7), torch.rand(1, 7, 7), torch.rand(1, 7, 7)]
    affinity = mean_attention(blocks, last=2)
    torch.testing.assert_close(affinity, (blocks[1] + blocks[2])[:, 1:, 1:] / 2)
    torch.testing.assert_close(mean_attention(blocks[:1]), blocks[0].mean(1)[:, 1:, 1:])
    maps = torch.rand(1, 2, 2, 3)
    maps[0, :, 0, 0] = 1
    refined = refined_maps(maps, affinity, torch.tensor([[True, False]]))
    assert refined[0, 0].max() > .999 and refined[0, 0].min() == 0 and not refined[0, 1].any()


def test_unsure_pixels_are_ignored():
    scores = torch.tensor([[.96, .5], [.04, .5]]).view(1, 2, 1, 2)
    assert confident_mask(scores).tolist() == [[[0, 255]]]


def classes_of(dataset):
    return tuple(DATASETS.get(dataset).METAINFO['classes'])


def test_sharpness_by_hand():
    """(0.6, 0.2) has a variance of 0.04; an image of one class has nothing to share."""
    probs = torch.tensor([[.6, .2, .2], [.9, .05, .05]])
    present = torch.tensor([[True, True, False], [True, False, False]])
    torch.testing.assert_close(prompt_sharpness(probs, present), torch.tensor(.04))
    assert prompt_sharpness(probs, torch.zeros(2, 3).bool()) == 0


def test_texts():
    voc, coco = named_classes('voc12_tags'), named_classes('coco14_tags')
    assert voc.single and coco.single and voc.names[14] == 'person with clothes,people,human'
    plain = tuple(next((name for name, text in TAG_SYNONYMS.items() if text == found), found) for found in voc.names)
    assert plain == classes_of('VOC12WSSSDataset')[1:]
    own = classes_of('COCO14WSSSDataset')[1:]
    assert len(coco.names) == len(own) == 80
    assert sum(a.split()[0] == b.split()[0] for a, b in zip(coco.names, own)) > 60
    assert len(tag_background(coco.names)) == 23 and len(tag_background(voc.names)) == 25
    assert len(TAG_BACKGROUND) == 25 == len(tag_background(['person', 'tvmonitor']))
    assert tag_texts(['bird', 'cow']) == ('bird avian', 'cow')


def build(**kwargs):
    """CLIP-ES over the tiny CLIP's architecture with random weights."""
    clip = dict(type='OpenCLIP', name='toyworld_clip', positions='bilinear', templates='origami', cache_dir=None)
    config = dict(type='CLIPES', clip=clip, classes=['bird', 'cow'], num_classes=3) | kwargs
    return MODELS.build(config).eval()


def test_segmentor_gives_masks_of_the_tags():
    """Any size; tags decide what is mapped; an image alone gives what it gives in a batch; no training."""
    model = build()
    assert model.names[:2] == ('bird avian', 'cow') and len(model.names) == 27
    images, samples = torch.randn(2, 3, 70, 50), []
    for tags in ([1, 0], [1, 1]):
        sample = SegDataSample(metainfo=dict(ori_shape=(35, 25)))
        sample.set_data(dict(gt_image_label=torch.tensor(tags, dtype=torch.uint8)))
        samples.append(sample)
    out = model.predict(images, samples)
    assert out[0].seg_logits.data.shape == (3, 35, 25) and not out[0].seg_logits.data[2].any()
    assert set(out[0].pred_sem_seg.data.unique().tolist()) <= {0, 1}
    maps = model.seed_scores(images, torch.tensor([[True, False], [True, True]]))
    alone = model.seed_scores(images[1:], torch.tensor([[True, True]]))
    torch.testing.assert_close(maps[1:], alone, rtol=1e-3, atol=1e-3)
    logits = model.tag_logits(images)
    assert logits.shape == (2, 2) and torch.isfinite(logits).all() and (logits.sigmoid().sum(1) < 1).all()
    with pytest.raises(ConfigError, match='CLIPES trains nothing'):
        model.loss(images, samples)


def test_names_must_fit():
    with pytest.raises(ConfigError, match='model.classes names 1 classes and model.num_classes=3 leaves 2'):
        build(classes=['bird'])
    with pytest.raises(ConfigError, match=r"^model.background='toyword' is no list of background words. Did you mean "
                                          r"toyworld, word\? Known: .*; or give the words\.$"):
        build(background='toyword')
    assert build(classes='toyworld', num_classes=8, background='toyworld').names[-4:] == ('meadow', 'water', 'tiles',
                                                                                         'sand')


def test_masks_are_written_without_a_checkpoint(tmp_path):
    """From a config that trains nothing to a data set; the weights are those that the config names."""
    torch.manual_seed(3)
    weights = tmp_path / 'tower.pt'
    torch.save(create_model('toyworld_clip', None).state_dict(), weights)
    options = {'model.clip.pretrained': str(weights), 'model.clip.templates': 'name', 'model.clip.cache_dir': None,
               'train_eval_dataloader.dataset.num_images': 3, 'train_eval_dataloader.num_workers': 0}
    runs = [pseudo_label('clip_es_toyworld', None, tmp_path / name, conf_thr=conf_thr, refine=refine, quiet=True,
                         cfg_options=options)
            for name, conf_thr, refine in (('a', 0, ''), ('b', 0.95, 'crf:clip_es'))]
    assert [run.written for run in runs] == [3, 3] and runs[0].classes[1] == 'ball'
    plain, sure = ([np.array(Image.open(file)) for file in sorted((run.out / 'masks').glob('*.png'))] for run in runs)
    assert not any((mask == 255).any() for mask in plain) and any((mask == 255).any() for mask in sure)
    with pytest.raises(ConfigError, match='cam_toyworld is a config that trains: name the checkpoint'):
        pseudo_label('cam_toyworld', None, tmp_path / 'c')
