"""OVDiff: heat by hand, choice of masks, prototypes of codes, labels where the codes are, CLIP's pre-filter."""
import importlib.util

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError, DataError
from mmseg_weak.methods.openvocab import ovdiff
from mmseg_weak.models.clip import ClassNames
from mmseg_weak.models.clip.index_file import write_index


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


# ---- the segmentor ---------------------------------------------------------------------------------------------------

CLIP = dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='value')
VIT = dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, ))
SPACES = [dict(type='CLIPKeys', size_px=32), dict(type='ViTKeys', backbone=VIT, short_side_px=32, long_side_px=64)]


def build(**kwargs) -> ovdiff.OVDiff:
    torch.manual_seed(0)
    config = dict(type='OVDiff', clip=CLIP, extractors=SPACES, names=['ball; round thing', 'drum'], background='word',
                  windows=((24, 16), ), num_parts=2, clip_px=32, support_px=32, prefilter=False,
                  test_cfg=dict(short_side_px=32))
    return MODELS.build({**config, **kwargs})


def photo(seed=0, size=(32, 40)):
    low = torch.randint(256, (1, 3, 4, 5), generator=torch.Generator().manual_seed(seed)).float()
    return F.interpolate(low, size, mode='bilinear').round()


def with_index(model, path, names=('drum', 'ball', 'round thing')):
    """Random prototypes: two of each object, three of each background."""
    tensors = dict(model.probes())
    generator = torch.Generator().manual_seed(1)
    for one in model.extractors:
        width = len(tensors[f'{one.name}.probe'])
        for kind, count in (('fg', 2), ('bg', 3)):
            tensors[f'{one.name}.{kind}'] = torch.randn(count * len(names), width, generator=generator)
            tensors[f'{one.name}.{kind}_counts'] = torch.full((len(names), ), count)
    write_index(path, 'ovdiff', tensors, dict(names=list(names)), {})
    model.index = path
    return tensors


def test_a_photograph_by_hand(tmp_path):
    """Two feature spaces; windows of 24 at 16 and the whole image: a plain mean of all that see a pixel."""
    model, image = build(), photo()
    tensors = with_index(model, tmp_path / 'a')
    total, count = torch.zeros(4, 32, 40), torch.zeros(32, 40)
    boxes = [(y, x, y + 24, x + 24) for y in (0, 8) for x in (0, 16)] + [(0, 0, 32, 40)]
    for one in model.extractors:
        rows = {kind: tensors[f'{one.name}.{kind}'].split(n) for kind, n in (('fg', 2), ('bg', 3))}
        for y1, x1, y2, x2 in boxes:
            features = F.normalize(one(image[..., y1:y2, x1:x2], model.clip)[0], dim=0)
            best = [F.normalize(torch.cat(rows['bg']), dim=1)] + [F.normalize(rows['fg'][i], dim=1) for i in (1, 2, 0)]
            scores = torch.stack([torch.einsum('pc,chw->phw', part, features).amax(0) for part in best])
            total[:, y1:y2, x1:x2] += F.interpolate(scores[None], (y2 - y1, x2 - x1), mode='bilinear')[0]
            count[y1:y2, x1:x2] += 1
    mean = total / count
    mean = torch.stack([mean[0], mean[1:3].amax(0), mean[3]])  # a class is its better name
    big = F.interpolate(mean[None], (64, 80), mode='bilinear')[0]
    sample, = model.predict(image, [SegDataSample(metainfo=dict(ori_shape=(64, 80)))])
    torch.testing.assert_close(sample.confidence.data[0], big.clamp(min=0).amax(0), atol=1e-5, rtol=1e-4)
    assert (sample.pred_sem_seg.data[0] == ovdiff.prototype_labels(big[None])[0]).float().mean() > 0.999


def test_without_a_background_every_pixel_has_a_class(tmp_path):
    model = build(background=None)
    with_index(model, tmp_path / 'a')
    kept, = model.keep(list(photo()))
    assert model.class_scores(kept).shape == (2, 32, 40)
    words = ClassNames(('background', 'drum'), ('background', 'drum'), (0, 1))
    assert model.class_scores(kept, words).shape == (2, 32, 40) and model.knows(words)
    torch.testing.assert_close(model.class_scores(kept, words)[1],
                               model.class_scores(kept, ClassNames(('drum', ), ('drum', ), (0, )))[0])
    with pytest.raises(DataError, match='OVDiff looks for objects, and only a background was named'):
        model.label(kept, ClassNames(('background', ), ('background', ), (0, )))


def test_only_allowed_names_are_looked_for(tmp_path):
    model = build(prefilter=True, top=2, stuff=('drum', ))
    with_index(model, tmp_path / 'a')
    whole = model.sentences(['a ball'])[0]
    assert model.allowed(whole, ['ball', 'round thing', 'drum']).tolist() == [True, False, True]  # stuff always is
    free = build()
    assert free.allowed(whole, ['ball', 'drum']).all()
    kept, = model.keep(list(photo()))
    object.__setattr__(kept, 'whole', whole)
    scores = model.score_map(kept, model.names)
    object.__setattr__(model, 'allowed', lambda whole, names: torch.tensor([False, False, True]))
    other = model.score_map(kept, model.names)
    assert (other[1] == -1).all() and (scores[1] > -1).any()
    torch.testing.assert_close(other[2], scores[2])


def test_pamr_refines_scores(tmp_path):
    model = build(refiner=dict(type='PAMR', num_iter=2, dilations=(1, 2)))
    with_index(model, tmp_path / 'a')
    kept, = model.keep(list(photo()))
    plain = build()
    with_index(plain, tmp_path / 'a')
    want = model.refiner(plain.score_map(kept, model.names)[None], kept.image[None])[0]
    torch.testing.assert_close(model.score_map(kept, model.names), want)


def test_keys_of_clip_are_the_blocks():
    model, image = build(), photo(size=(32, 32))
    keys = model.extractors[0](image, model.clip)
    tower = model.clip.vision
    layer = tower.depth - 2
    before = model.clip(model.for_clip(image), layers=(layer - 1, )).layers[layer - 1]
    want = tower.heads(before, layer, (4, 4)).k[:, :, 1:].permute(0, 1, 3, 2).reshape(1, -1, 4, 4)
    torch.testing.assert_close(keys, want, atol=1e-5, rtol=1e-4)
    published = ovdiff.CLIPKeys(size_px=32, as_published=True)(image, model.clip)
    assert (published - keys).abs().max() > 1e-3
    vit = model.extractors[1]
    assert [vit.size(*size) for size in ((20, 30), (40, 80), (40, 400))] == [(20, 30), (32, 64), (6, 64)]
    assert vit(photo(size=(37, 50)), model.clip).shape == (1, 96, 4, 5)
    assert vit(photo(size=(3, 30)), model.clip).shape == (1, 96, 1, 3)


def test_what_is_refused(tmp_path):
    model = build()
    with pytest.raises(ConfigError, match='`mmseg-weak index ovdiff CONFIG` makes one.'):
        model.predict(photo())
    with_index(model, tmp_path / 'a', ['drum'])
    with pytest.raises(DataError, match=r"a has no prototypes of 'ball', 'round thing'; add what is missing with "
                                        r'`mmseg-weak index ovdiff CONFIG --text "ball; round thing"'):
        model.predict(photo())
    one = build(extractors=SPACES[:1])
    with_index(one, tmp_path / 'b')
    more = build(index=tmp_path / 'b')
    with pytest.raises(DataError, match="b has no prototypes of the feature space 'vit'"):
        more.predict(photo())
    other = build(index=tmp_path / 'b', extractors=SPACES[:1])
    torch.nn.init.normal_(other.clip.vision.visual.conv1.weight)
    with pytest.raises(CheckpointError, match="made with another feature extractor 'clip'"):
        other.predict(photo())
    for wrong, say in ((dict(extractors=[]), 'give one feature space or more'),
                       (dict(extractors=SPACES[:1] * 2), r"are \['clip', 'clip'\]; give one feature space"),
                       (dict(proposals='sam'), "model.proposals='sam' of OVDiff; it is 'clusters' or None.")):
        with pytest.raises(ConfigError, match=say):
            build(**wrong)


def test_diffusion_without_diffusers():
    if importlib.util.find_spec('diffusers'):
        pytest.skip('diffusers is installed')
    with pytest.raises(ConfigError, match='Stable Diffusion needs diffusers and transformers: pip install diffusers'):
        build(extractors=[dict(type='DiffusionQueries', model='nowhere')])


# ---- support pictures ------------------------------------------------------------------------------------------------

def test_regions_of_a_picture_of_three_colours():
    features = torch.zeros(3, 6, 6)
    features[0, :, :2] = features[1, :, 2:4] = features[2, :, 4:] = 1
    masks = ovdiff.region_proposals(features, (12, 12), clusters=3)
    assert len(masks) == 3 and sorted(mask.float().argmax().item() for mask in masks) == [0, 4, 8]
    assert (masks.sum(0) == 1).all()
    features[:, 2:4] = torch.tensor([1., 1, 1])[:, None, None]  # a bar cuts each of them in two
    assert len(ovdiff.region_proposals(features, (12, 12), clusters=4)) == 7


def test_masks_of_a_support_picture():
    model = build(proposals=None)
    square = torch.zeros(32, 32)
    square[8:24, 8:24] = 1
    image = photo(size=(32, 32))[0]
    given = ovdiff.SupportPicture(image, mask=square.to(torch.uint8))
    fg, bg = ovdiff.object_masks(model, given, 'drum')
    assert torch.equal(fg, square.bool()) and torch.equal(bg, ~square.bool())
    warm = ovdiff.SupportPicture(image, square * .8 + .1)
    fg, bg = ovdiff.object_masks(model, warm, 'drum')  # thresholds alone
    assert torch.equal(fg, square.bool()) and torch.equal(bg, ~square.bool())
    left = torch.zeros(1, 32, 32, dtype=torch.bool)
    left[:, :, :24] = True
    fg, bg = ovdiff.object_masks(model, warm._replace(proposals=left), 'drum')
    assert torch.equal(fg, left[0]) and bg[:, 25:].all() and not bg[:, :25].any()  # eroded by one
    asked = ovdiff.clip_heat(model, image, 'drum')
    assert asked.shape == (32, 32) and asked.min() == 0 and asked.max() == 1


def test_prototypes_of_a_name():
    model = build()
    square = torch.zeros(32, 32, dtype=torch.uint8)
    square[8:24, 8:24] = 1
    pictures = [ovdiff.SupportPicture(photo(seed, (32, 32))[0], mask=square) for seed in range(3)]
    pictures.append(ovdiff.SupportPicture(photo(9, (32, 32))[0], mask=square * 0))  # shows no object: left out
    made = dict(ovdiff.class_prototypes(model, pictures, 'drum'))
    assert list(made) == ['clip', 'vit']
    features = torch.cat([model.extractors[0](p.image[None], model.clip) for p in pictures[:3]])
    masks = torch.stack([p.mask for p in pictures[:3]])
    for rows, mask in zip(made['clip'], (masks == 1, masks == 0)):
        torch.testing.assert_close(rows, ovdiff.support_prototypes(features, mask, 2), atol=1e-5, rtol=1e-4)
    with pytest.raises(DataError, match="No object was found in any of the 1 support pictures of 'drum'; give other"):
        dict(ovdiff.class_prototypes(model, pictures[3:], 'drum'))


def test_a_sentence_is_encoded_once(monkeypatch):
    model, calls = build(), []
    encode = model.clip.text.encode_texts
    monkeypatch.setattr(model.clip.text, 'encode_texts', lambda texts: calls.append(texts) or encode(texts))
    first = model.sentences(['a ball', 'a drum', 'a ball'])
    assert torch.equal(first[0], first[2]) and calls == [['a ball', 'a drum']]
    assert torch.equal(model.sentences(['a drum'])[0], first[1]) and len(calls) == 1
