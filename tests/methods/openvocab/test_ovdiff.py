"""OVDiff: heat by hand, choice of masks, prototypes of codes, labels where the codes are, CLIP's pre-filter."""
import torch
import torch.nn.functional as F

from mmseg_weak.methods.openvocab import ovdiff


def test_heat_of_the_conditional_half():
    """Two calls of one head: 1 at the word in the conditional half of the first, 0.5 in the second; mean 0.75."""
    first, second = torch.zeros(2, 4, 3), torch.zeros(2, 4, 3)
    first[0], first[1, :, 1], second[1, :, 1] = 9, 1, .5
    heat = ovdiff.attention_heatmap([first, second], 1, [[1], [0, 1]])
    torch.testing.assert_close(heat[0, 0], torch.full((2, 2), .75))
    torch.testing.assert_close(heat[0, 1], torch.full((2, 2), .375))
    scaled = ovdiff.scale_heatmap(torch.tensor([[1., 3.], [1., 3.]])[None, None], (4, 4))
    assert scaled.amin() == 0 and scaled.amax() == 1 and not ovdiff.scale_heatmap(heat[:, :1], (4, 4)).isnan().any()


def test_the_warm_mask_is_the_object():
    masks = torch.zeros(2, 8, 8)
    masks[1, 2:5, 2:5] = 1
    masks[0] = 1 - masks[1]
    heat = masks[1] * .8 + .1
    heat[0, 0] = .5
    chosen = ovdiff.choose_masks(masks, heat)
    assert chosen.order.tolist() == [1, 0] and torch.equal(chosen.fg, masks[1].bool())
    assert torch.equal(chosen.bg, ~chosen.fg) and not chosen.cold[0, 0] and not chosen.eroded[0, 1]
    assert bool(chosen.eroded[7, 7]) and not chosen.eroded[2, 5]  # outside of the image counts as inside
    fg, bg = ovdiff.fallback_masks(heat)
    assert torch.equal(fg, chosen.fg) and not bg[0, 0]


def test_codes_come_back_as_labels():
    """Support pictures made of codes give prototypes that find the codes, and the background where its code is."""
    codes = torch.eye(4)
    place = torch.zeros(2, 8, 8, dtype=torch.long)
    place[:, 2:6, 2:6] = 1
    classes = []
    for number in (1, 2):
        features = codes[place * number].permute(0, 3, 1, 2) + .01 * torch.randn(2, 4, 8, 8)
        fg, bg = (ovdiff.support_prototypes(features, mask, parts=2) for mask in (place == 1, place == 0))
        assert fg.shape[0] == 1 + 2 + 2
        classes.append(ovdiff.ClassPrototypes(fg, bg))
    bank = ovdiff.gather_prototypes(classes, [False, False])
    want = torch.randint(3, (1, 4, 4))
    scores = ovdiff.prototype_scores(codes[want].permute(0, 3, 1, 2), bank, torch.ones(1, 2, dtype=torch.bool))
    assert torch.equal(ovdiff.prototype_labels(ovdiff.upsample_scores(scores, (4, 4))), want)
    only = ovdiff.prototype_scores(codes[want].permute(0, 3, 1, 2), bank, torch.tensor([[True, False]]))
    assert (only[:, 2] == -1).all() and not (ovdiff.prototype_labels(only) == 2).any()


def test_pictures_without_the_object_give_nothing():
    features, masks = torch.randn(2, 4, 4, 4), torch.zeros(2, 8, 8, dtype=torch.bool)
    assert ovdiff.support_prototypes(features, masks).shape == (0, 4)
    masks[1, 0, 0] = True  # any cover counts
    torch.testing.assert_close(ovdiff.support_prototypes(features, masks, 1), features[1, :, 0, 0].expand(3, 4))


def test_background_like_stuff_is_dropped():
    sky, dog = torch.eye(3)[:1], torch.eye(3)[1:2]
    other = torch.eye(3)[2:]
    broken = torch.full((1, 3), torch.nan)
    classes = [ovdiff.ClassPrototypes(sky, other), ovdiff.ClassPrototypes(dog, torch.cat([sky, other, broken]))]
    bank = ovdiff.gather_prototypes(classes, [True, False], .85)
    assert bank.label.tolist() == [0, 1, 2] and bank.owner.tolist() == [2, 1, 2]
    assert torch.equal(bank.features[0], other[0])
    assert ovdiff.gather_prototypes(classes, [True, False], 0).label.tolist() == [0, 0, 1, 2]
    assert ovdiff.gather_prototypes(classes, [True, False], .85, context=False).owner.tolist() == [1, 2, 1, 2]


def test_labels_below_zero_are_background():
    scores = torch.tensor([-.5, -.1, -.2]).view(1, 3, 1, 1)
    assert ovdiff.prototype_labels(scores).item() == 0


def test_prefilter_by_hand():
    names = ['dog', 'cat', 'car']
    assert ovdiff.likely_classes(torch.tensor([2., 1.9, -5.])) == [0, 1]
    assert ovdiff.likely_classes(torch.tensor([0., 0., 0.])) == [0, 1, 2]

    def encode(sentences):
        return F.normalize(torch.tensor([[float(n in s) for n in names] for s in sentences]), dim=1)
    image = F.normalize(torch.tensor([1., 0., 1.]), dim=0)
    assert ovdiff.best_subset(image, names, encode) == [0, 2]
