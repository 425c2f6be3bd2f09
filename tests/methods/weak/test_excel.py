"""ExCEL: attributes by hand, surgery against its definition, the calibrated tower, labels of the present classes."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.methods.weak import excel
from mmseg_weak.models.clip import DenseViT
from mmseg_weak.models.losses.split_cross_entropy import split_cross_entropy
from mmseg_weak.models.refine import PAR


@pytest.fixture
def tower():
    from open_clip.transformer import VisionTransformer
    visual = VisionTransformer(32, 8, 32, 3, 4, 2.0, output_dim=8).eval()
    return DenseViT(visual, 'excel', stream='parallel', last=2, positions='bilinear').requires_grad_(False)


def test_enrichment_by_hand():
    """Of two attributes the lower drops out, so the class moves to the other; words stay."""
    texts = torch.eye(3)[:2]
    bank = torch.tensor([[0., 0., 1.], [-1., 0., 0.]])
    enriched = excel.enrich_texts(texts, 1, bank, keep=0.5)
    torch.testing.assert_close(enriched[0], torch.tensor([1., 0., 1.]) / 2 ** .5)
    assert torch.equal(enriched[1], texts[1])


def test_bank_finds_what_sentences_say():
    """Three groups of sentences, three centres; unit length is not given back."""
    groups = torch.eye(3).repeat_interleave(4, 0) + .01 * torch.randn(12, 3)
    bank = excel.attribute_bank(groups, 3)
    assert sorted(bank.argmax(1).tolist()) == [0, 1, 2] and excel.attribute_bank(torch.ones(5, 3), 3).shape == (1, 3)


def test_surgery_is_its_definition():
    features, texts = torch.randn(2, 5, 4), F.normalize(torch.randn(3, 4), dim=1)
    probs = (2 * features[:, :1] @ texts.T).softmax(-1)
    weights = probs / probs.mean(-1, keepdim=True)
    parts = features[:, :, None] * texts * weights[..., None]  # (2,5,3,4)
    want = (parts - parts.mean(2, keepdim=True)).sum(-1)
    want = (want - want.amin(1, keepdim=True)) / (want.amax(1, keepdim=True) - want.amin(1, keepdim=True))
    torch.testing.assert_close(excel.patch_text_maps(features, texts), want, rtol=1e-4, atol=1e-5)


def test_tower_keeps_clips_class_token(tower):
    """The class token is ordinary, patches are not; the decoder's features change patches alone; any image size."""
    images = torch.randn(2, 3, 32, 48)
    features, maps, attention = excel.calibrated_tokens(tower, images)
    assert features.shape == (2, 25, 8) and len(maps) == len(attention) == 3 and maps[0].shape == (2, 32, 4, 6)
    ordinary = tower.project(maps[-1].flatten(2).transpose(1, 2))
    torch.testing.assert_close(features[:, 0], tower(images).whole)
    assert not torch.allclose(features[:, 1:], ordinary, atol=1e-3)
    learned, _, _ = excel.calibrated_tokens(tower, images, torch.randn(2, 5, 4, 6))
    assert torch.equal(learned[:, 0], features[:, 0]) and not torch.allclose(learned, features)
    assert torch.equal(excel.calibrated_tokens(tower, images)[0], features)
    seen = excel.recent_attention(attention, 2)
    torch.testing.assert_close(seen[:, 1], attention[-1].mean(1)[:, 1:, 1:])
    summed = excel.recent_attention(attention, 2, summed=1)
    torch.testing.assert_close(summed[:, 1], 4 * seen[:, 1])
    assert torch.equal(summed[:, 0], seen[:, 0])


def test_relation_of_an_image_alone():
    """By hand: two opposite places, S = +-1, mean 0. Per image, a batch is its images; over the batch it is not."""
    x = torch.tensor([1., -1.]).view(1, 1, 1, 2)
    torch.testing.assert_close(excel.relation_map(x)[0, 0], torch.tensor([3., -3.]).sigmoid())
    batch = torch.randn(2, 4, 2, 3)
    torch.testing.assert_close(excel.relation_map(batch)[:1], excel.relation_map(batch[:1]))
    assert not torch.allclose(excel.relation_map(batch, per_image=False)[:1], excel.relation_map(batch[:1]))


def test_labels_are_the_present_classes(tower):
    """From images to labels with a random tower: background and what the tags name, nothing ignored."""
    images, texts = torch.randn(1, 3, 64, 64), F.normalize(torch.randn(5, 8), dim=1)
    present = torch.tensor([[False, True, False]])
    features, _, attention = excel.calibrated_tokens(tower, images)
    maps = excel.surgery_maps(features, texts, 3, (8, 8))
    assert maps.shape == (1, 3, 8, 8) and 0 <= float(maps.min()) and float(maps.max()) <= 1
    assert not torch.allclose(maps, excel.surgery_maps(features, texts, 3, (8, 8), 'channels'))
    relation = excel.relation_map(torch.randn(1, 4, 8, 8))
    refined = excel.refined_class_maps(maps, excel.recent_attention(attention, 2), present, relation)
    planes = excel.maps_to_planes(refined, (64, 64), present=present)
    labels = excel.planes_to_labels(planes, images, PAR(2, (1, 2)), present)
    assert labels.shape == (1, 64, 64) and set(labels.unique().tolist()) == {0, 2}


def test_halves_with_an_offset():
    """log 2 at one pixel of each half, over 1 + eps."""
    logits, label = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    torch.testing.assert_close(split_cross_entropy(logits, label, eps=1.), torch.tensor(2.).log() / 2)
    assert split_cross_entropy(logits, label * 0 + 255, eps=1.) == 0


def test_surgery_is_done_in_full_precision():
    features, texts = torch.randn(2, 7, 8), F.normalize(torch.randn(4, 8), dim=-1)
    want = excel.surgery_maps(features, texts, 3, (2, 3))
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(excel.surgery_maps(features, texts, 3, (2, 3)), want)
