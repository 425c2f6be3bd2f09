"""TRIS: attention against its formula, scores of a batch, losses and PRMS by hand."""
import math

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weak.methods.openvocab import tris


def test_prompt_is_two_softmaxes():
    prompt = tris.BilateralPrompt(4).eval()
    vision, text = torch.randn(2, 4, 3, 3), torch.randn(2, 5, 4)
    q, _, value = (layer(vision).flatten(2).transpose(1, 2) for layer in prompt.vision)
    _, k, v = (layer(text) for layer in prompt.text)
    seen = (q @ k.transpose(1, 2) / 2).softmax(2) @ v
    new_vision, new_text = prompt(vision, text)
    torch.testing.assert_close(new_vision, prompt.vision_out(seen.transpose(1, 2).reshape(2, 4, 3, 3)))
    said = (prompt.text[0](text) @ prompt.vision[1](vision).flatten(2) / 2).softmax(2) @ value
    torch.testing.assert_close(new_text, prompt.text_out(said), rtol=1e-4, atol=1e-5)


def test_words_that_are_one_word():
    """With one word every place gathers the same, which instance norm takes to its bias."""
    attention = tris.PixelWordAttention(4, 3)
    torch.nn.init.ones_(attention.gathered[1].bias)
    vision = torch.randn(2, 4, 3, 3)
    want = F.relu(attention.out(F.relu(attention.image(vision))))
    torch.testing.assert_close(attention(vision, torch.randn(2, 3, 1)), want, rtol=1e-3, atol=1e-3)


def test_scores_without_prompt_are_cosines():
    head = MODELS.build(dict(type='TRISHead', in_channels=6, text_channels=5, channels=4, prompt=False))
    features, sentences = torch.randn(3, 6, 2, 2), torch.randn(3, 5)
    scores = head(features, sentences)
    vision, text = head.vis_project(features), head.lan_project(sentences)
    want = F.cosine_similarity(vision[1, :, 0, 1], text[2], dim=0) / .07
    torch.testing.assert_close(scores[1, 2, 0, 1], want, rtol=1e-4, atol=1e-4)
    own = head.responses(scores, (2, 2))
    torch.testing.assert_close(own[2, 0], scores[2, 2].relu())
    torch.testing.assert_close(head.responses(scores, (2, 2), 'sigmoid')[2, 0], scores[2, 2].sigmoid())
    assert 'logit_scale' not in dict(head.named_parameters())


def test_every_parameter_learns():
    head = tris.TRISHead(6, 5, 4)
    head.loss(head(torch.randn(3, 6, 4, 4), torch.randn(3, 5)))['loss_cls'].backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_logits_by_hand():
    """One place, one sentence of score 1: half of the image, since the background is 1 too."""
    logits, share = tris.sentence_logits(torch.ones(1, 1, 1, 1))
    assert share.item() == .5
    assert math.isclose(logits.item(), 2 + .125 * math.log(.51), rel_tol=1e-5)


def test_losses_by_hand():
    image = torch.tensor([[1., 0.]])
    same, right = image.clone(), torch.tensor([[[0., 2.], [0., 1.]]])
    losses = tris.clip_losses(image, same, right)
    torch.testing.assert_close(losses['loss_fg'], -torch.tensor(.9999).log())
    assert losses['loss_cal'] == 0
    assert torch.isfinite(tris.calibration_loss(image, image[None]))  # a negative that fits exactly
    opposite = tris.foreground_loss(tris.similarity(image, -same))
    assert math.isclose(opposite.item(), -math.log(1e-4), rel_tol=1e-5)


def test_response_of_all_sentences():
    assert tris.choose_response(torch.tensor([[.9, .1, .1], [.5, .5, .5]])) == 1


def test_mask_is_score_above_zero():
    response = torch.tensor([[-1., 2.], [0., 4.]])[None, None].relu()
    normalized = tris.normalize_response(response, (2, 2))
    assert tris.mask_at(normalized).tolist() == [[[False, True], [False, True]]]
    assert math.isclose(normalized.max().item(), 4 / (4 + 1e-5), rel_tol=1e-6)
    assert not tris.mask_at(tris.normalize_response(torch.zeros(1, 1, 2, 2), (3, 3))).any()
