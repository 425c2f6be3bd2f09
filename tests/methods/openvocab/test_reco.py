"""ReCo: seeds hit what pictures share, context changes the choice, references by hand, the published slice."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.openvocab import reco


def planted(count=4, channels=16):
    """Pictures with one vector in common at known places, and another, weaker in common, at others."""
    features = F.normalize(torch.randn(count, channels, 4, 5), dim=1)
    places = torch.randint(10, (count, ))
    others = torch.randint(10, 20, (count, ))
    for i in range(count):
        features[i].view(channels, -1)[:, places[i]] = torch.eye(channels)[0] * (i + 1)
        noise = .05 * torch.randn(channels)
        features[i].view(channels, -1)[:, others[i]] = torch.eye(channels)[1] + noise
    return features, places, others


def test_seeds_are_what_is_shared():
    features, places, _ = planted()
    assert torch.equal(reco.find_seeds(features), places)
    reference, seeds = reco.reference_feature(features)
    torch.testing.assert_close(reference, torch.eye(16)[0])
    assert seeds[:, 0].tolist() == [1, 2, 3, 4]


def test_context_flips_the_choice():
    """With the first code known as context, the second one is what the pictures share."""
    features, _, others = planted()
    weights = reco.position_weights(features, contexts=torch.eye(16)[:1])
    assert torch.equal(reco.find_seeds(features, weights), others)
    assert torch.equal(reco.position_weights(features), torch.ones(4, 4, 5))


def test_all_at_once_is_picture_by_picture():
    """Against the whole adjacency, both ranges of columns."""
    features, weights = torch.randn(3, 4, 2, 3), torch.rand(3, 2, 3)
    unit = F.normalize(features.flatten(2), dim=1).transpose(1, 2).flatten(0, 1)
    adjacency = unit @ unit.T * weights.flatten()
    for published in (False, True):
        ends = [min((2 * i + 1) * 6, 18) if published else (i + 1) * 6 for i in range(3)]
        best = torch.stack([adjacency[:, i * 6:ends[i]].amax(1) for i in range(3)], 1).mean(1)
        assert torch.equal(reco.find_seeds(features, weights, published), best.view(3, 6).argmax(1))


def test_references_by_hand():
    seeds = torch.tensor([[1., 0.], [0., 1.]])
    torch.testing.assert_close(reco.combine_seeds(seeds), torch.tensor([.5, .5]) * 2 ** .5)
    torch.testing.assert_close(reco.combine_seeds(seeds, 'weighted'), F.normalize(torch.tensor([1., .5]), dim=0))
    three = torch.tensor([[1., 0.], [1., 1.], [0., 1.]])
    torch.testing.assert_close(reco.combine_seeds(three, 'winner'), F.normalize(three[1], dim=0))
    with pytest.raises(ConfigError, match="mode='best' of ReCo's reference is none of avg, weighted, winner."):
        reco.combine_seeds(seeds, 'best')


def test_scores_are_products():
    features, references = torch.randn(1, 4, 2, 2), torch.randn(3, 4)
    dense, texts = torch.randn(1, 5, 2, 2), torch.randn(3, 5)
    scores = reco.reco_scores(features, references, (2, 2), dense, texts)
    image = F.cosine_similarity(features[0, :, 0, 1], references[2], dim=0).sigmoid()
    said = (10 * F.cosine_similarity(dense[0, :, 0, 1], texts[2], dim=0)).sigmoid()
    torch.testing.assert_close(scores[0, 2, 0, 1], image * said)
    assert reco.reco_scores(features, references, (5, 6)).shape == (1, 3, 5, 6)


def test_retrieval():
    bank = F.normalize(torch.tensor([[1., 0.], [1., 1.], [0., 1.]]), dim=1)
    assert reco.retrieve(bank, torch.tensor([0., 1.]), 2).tolist() == [2, 1]
