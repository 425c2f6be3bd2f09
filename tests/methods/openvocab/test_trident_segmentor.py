"""Trident's segmentor and SAM: against the room's functions, SAM's own code, by hand; what is refused."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError
from mmseg_weak.methods.openvocab import trident
from mmseg_weak.methods.openvocab.trident import segmentor
from mmseg_weak.methods.openvocab.trident.sam import SAMView, to_multiple, vit_sam_names
from mmseg_weak.models.clip import class_probs

VIT = dict(type='TimmViT', model_name='toyworld_vit', out_indices=(5, ), frozen=True)
ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32, global_attn_indexes=[1])
TINY = dict(type='SAM', arch=ARCH, img_size=64, window_size=2, out_channels=32)
STAND_IN = dict(type='ViTCorrelation', backbone=VIT)
CUT = dict(short_side_px=32, crop_px=24, stride_px=16, scale=300.0)


def build(sam=None, clip=None, test_cfg=CUT, seed=0, **kwargs):
    torch.manual_seed(seed)
    tower = dict(dict(type='OpenCLIP', name='toyworld_clip', templates='name', cache_dir=None, attention='proxyclip',
                      residual=False, ffn=False), **(clip or {}))
    return MODELS.build(dict(dict(type='Trident', clip=tower, proxy=VIT, sam=sam or TINY,
                                  names=['ball; round thing', 'drum', 'box'], test_cfg=test_cfg), **kwargs))


def tiny_sam(seed=0, **kwargs):
    torch.manual_seed(seed)
    sam = MODELS.build(dict(TINY, **kwargs)).eval()
    for name, parameter in sam.image_encoder.named_parameters():
        if 'pos' in name:  # they start at 0
            torch.nn.init.normal_(parameter, std=.5)
    return sam


def image(size=(40, 56), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.interpolate(torch.rand(1, 3, 4, 5, generator=generator) * 255, size, mode='bilinear').round()[0]


@pytest.mark.parametrize('halves', [False, True])
def test_an_image_equals_the_rooms_functions(halves):
    model = build(halves=halves)
    picture = image()
    kept, = model.keep([picture], [(80, 112)])
    seen = model.for_clip(model.resized(picture))  # 32x45
    seen = F.interpolate(seen[None], (40, 48), mode='bilinear')[0]
    assert trident.clip_size((32, 45), 8, 24) == (40, 48)
    windows = trident.windows_of((40, 48), 8, 24, 16)
    proxy = model.proxy_map(trident.cut_windows(seen, windows, 8))
    looks = [model.sam.look(part) for part in (picture.chunk(2, 2) if halves else [picture])]
    weights = [trident.sam_weights(look.values, look.attention) for look in looks]
    want = trident.spliced_features(model.clip.vision, seen, proxy, windows, weights, looks[0].grid)
    cosines = torch.einsum('nd,dhw->nhw', model.texts(), F.normalize(want, dim=0))[None]
    probs = class_probs(F.interpolate(cosines, (80, 112), mode='bilinear'), (0, 0, 1, 2), 300.0)[0]
    labels, best = model.label(kept)
    torch.testing.assert_close(best, probs.amax(0), rtol=1e-3, atol=1e-4)
    assert (labels == probs.argmax(0)).float().mean() > .99


def test_windows_in_batches_and_the_published_mean():
    """The mean of each window lets windows go in any batches; the published one is another number, of all of them."""
    picture = image((48, 64))
    alone, together = (build(test_cfg=dict(CUT, window_batch=n)).keep([picture])[0].features for n in (1, 16))
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    published = build(clip=dict(attention_cfg=dict(per_image=False)), test_cfg=dict(CUT, window_batch=1))
    assert published.forward_batch is None
    assert (published.keep([picture])[0].features - together).abs().max() > 1e-5


def test_the_whole_image_in_one_window():
    model = build(STAND_IN, test_cfg=dict(CUT, crop_px=0))
    kept, = model.keep([image((37, 53))])
    assert kept.features.shape[2:] == (5, 7) and kept.original == (37, 53)  # 37x53 in patches of 8


def test_a_vit_in_sams_place():
    model = MODELS.build(dict(STAND_IN, long_side_px=32)).eval()
    view = model.look(image((20, 30)))
    assert view.grid == (3, 4) and view.size == (24, 32) and view.embedding is None
    assert view.values.shape == (3, 12, 32) and len(view.attention) == 3
    torch.testing.assert_close(torch.stack(view.attention).sum(2), torch.ones(3, 12))


def test_sam_leaves_out_what_is_no_image():
    """A flat image fills its top; attention to the rest is lost, and the map of all places would be 4x4."""
    sam = tiny_sam()
    view = sam.look(image((20, 40)))
    assert view.size == (32, 64) and view.grid == (2, 4) and view.values.shape == (2, 8, 8)
    sums = torch.stack(view.attention).sum(2)
    assert sums.shape == (2, 8) and (sums < 1).all() and (sums > 0).all()
    assert view.embedding.shape == (32, 4, 4)
    encoded = sam.image_encoder(_square(sam, image((20, 40))))[0][0]
    torch.testing.assert_close(view.embedding, encoded, rtol=1e-4, atol=1e-5)
    assert sam.look(image((1, 60))).grid == (1, 4)


def _square(sam, picture):
    small = F.interpolate(picture[None], (32, 64), mode='bilinear', antialias=True).round()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    return F.pad((small - mean) / std, (0, 0, 0, 32))


@pytest.mark.parametrize('rows', [False, True])
def test_segment_anythings_own_code_agrees(tmp_path, rows):
    """The encoder, its last attention, masks and IoU of segment-anything 1.0 with the same weights."""
    pytest.importorskip('segment_anything', reason='the oracle, facebookresearch/segment-anything, is not installed')
    from functools import partial

    from segment_anything import SamPredictor
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        depth=2, embed_dim=16, img_size=64, mlp_ratio=2, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), num_heads=2,
        patch_size=16, qkv_bias=True, use_rel_pos=True, global_attn_indexes=[1], window_size=2, out_chans=32)
    transformer = TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=2048, num_heads=8)
    own = Sam(encoder, PromptEncoder(32, (4, 4), (64, 64), 16),
              MaskDecoder(transformer_dim=32, transformer=transformer, iou_head_hidden_dim=32)).eval()
    for name, parameter in encoder.named_parameters():
        if 'pos' in name:
            torch.nn.init.normal_(parameter, std=.5)
    torch.save(own.state_dict(), tmp_path / 'sam.pth')
    ours = MODELS.build(dict(TINY, checkpoint=str(tmp_path / 'sam.pth'))).eval()
    ours.init_weights()
    picture, predictor = image((48, 64)), SamPredictor(own)
    predictor.set_image(picture.byte().permute(1, 2, 0).numpy())
    view = ours.look(picture)
    torch.testing.assert_close(view.embedding, predictor.features[0], rtol=1e-4, atol=1e-5)
    points, half = torch.tensor([[3., 4.], [20., 10.]]), (24, 32)
    boxes = torch.tensor([[1., 2., 9., 8.], [5., 6., 30., 23.]])
    prompt = torch.rand(16, 16) * .005
    masks, ious, _ = predictor.predict_torch(
        predictor.transform.apply_coords_torch(points, half)[:, None], torch.ones(2, 1),
        predictor.transform.apply_boxes_torch(boxes, half),
        prompt[None] if rows else prompt[None, None].repeat(2, 1, 1, 1), multimask_output=False, return_logits=True)
    found, sure = ours.ask(view, points, boxes, prompt, half, (48, 64), rows)
    torch.testing.assert_close(found, masks[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sure, ious[:, 0], rtol=1e-4, atol=1e-5)


def test_prompts_are_asked_one_by_one_or_together():
    sam = tiny_sam()
    view, half = sam.look(image()), (20, 28)
    points, boxes = torch.rand(5, 2) * 20, torch.tensor([[0., 0, 9, 9]]).repeat(5, 1) + torch.arange(5)[:, None]
    prompt = torch.rand(16, 16)
    masks, ious = sam.ask(view, points, boxes, prompt, half, (40, 56))
    few, sure = sam.ask(view, points, boxes, prompt, half, (40, 56), batch=2)
    assert masks.shape == (5, 40, 56)
    torch.testing.assert_close(few, masks, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sure, ious, rtol=1e-4, atol=1e-5)
    other, _ = sam.ask(view, points, boxes, prompt * 0, half, (40, 56))
    assert (other - masks).abs().max() > 1e-6 and (masks[0] - masks[1]).abs().max() > 1e-6


def _scene():
    """CLIP sees class 1 on the left third of 12x18 pixels and class 2 in the right one, both a bit too large."""
    probs = torch.full((3, 12, 18), .1)
    probs[0], probs[1, :, :8], probs[2, :, 10:] = .3, .8, .7
    return probs, probs.argmax(0)


def test_refinement_by_hand():
    """SAM draws class 1 one column narrower and is unsure of class 2: CLIP's labels stay there."""
    probs, prediction = _scene()
    asked = []

    def ask(points, boxes, prompt, half):
        asked.append((boxes.tolist(), half, float(prompt.max())))
        masks = torch.full((len(points), 12, 18), -4.)
        masks[..., :6] = 4. if boxes[0, 0] == 0 and boxes[0, 2] == 3 else -4.
        return masks, torch.tensor([.9 if boxes[0, 0] == 0 and boxes[0, 2] == 3 else .5] * len(points))

    found = trident.refine_by_prompts(ask, probs, prediction, min_area=4, side=8)
    assert [boxes for boxes, _, _ in asked] == [[[4., 0., 4., 5.]], [[0., 0., 3., 5.]], [[5., 0., 8., 5.]]]
    assert {half for _, half, _ in asked} == {(6, 9)}
    assert asked[1][2] == pytest.approx(.8 * .005)
    assert (found[:, :6] == 1).all() and (found[:, 10:] == 2).all()
    assert torch.equal(found[:, 6:10], prediction[:, 6:10])  # where no mask is, CLIP stays

    def never(points, boxes, prompt, half):
        return torch.zeros(len(points), 12, 18), torch.zeros(len(points))
    assert trident.refine_by_prompts(never, probs, prediction, min_area=4, side=8) is prediction
    assert trident.refine_by_prompts(None, probs, prediction, min_area=999) is prediction  # nothing to ask about


def test_refused_regions_compete_with_masks_of_others():
    """A mask of class 1 runs over the refused region of class 2; the published rule leaves it there."""
    probs, prediction = _scene()

    def ask(points, boxes, prompt, half):
        wide = bool(boxes[0, 0] == 0)
        return torch.full((len(points), 12, 18), 4.), torch.tensor([.9 if wide else .1] * len(points))

    ours = trident.refine_by_prompts(ask, probs, prediction, min_area=4, side=8)
    published = trident.refine_by_prompts(ask, probs, prediction, min_area=4, side=8, as_published=True)
    assert (ours[:, 10:] == 2).all() and (published[:, 10:] == 1).all()


def test_refinement_knows_present_classes_by_their_place(monkeypatch):
    model = build(refine=dict(iou_thr=.5), names=['ball', 'drum', 'box', 'crate', 'kite'])
    kept, = model.keep([image()])
    plain, best = super(trident.Trident, model).label(kept)
    present, scores = plain.unique(), model.class_scores(kept)
    assert 1 < len(present) < 5 and kept.view.attention == [] and kept.view.embedding is not None

    def last_one(ask, probs, prediction, **settings):
        torch.testing.assert_close(probs, scores[present])
        assert torch.equal(present[prediction], plain) and settings['iou_thr'] == .5 and settings['side'] == 16
        masks, ious = ask(torch.zeros(2, 2), torch.ones(2, 4), torch.zeros(16, 16), (20, 28))
        assert masks.shape == (2, 40, 56) and ious.shape == (2, )
        return torch.full_like(prediction, len(present) - 1)

    monkeypatch.setattr(segmentor, 'refine_by_prompts', last_one)
    labels, confidence = model.label(kept)
    assert (labels == present[-1]).all()
    torch.testing.assert_close(confidence, scores[present[-1]])


def test_an_odd_photograph_end_to_end():
    """With SAM's masks, of random weights: an odd size, one pixel high, and a panorama."""
    model = build(refine=dict(iou_thr=-9.0, min_area=2, coarse_thr=.05), test_cfg=dict(CUT, long_side_px=64))
    for size in ((37, 61), (1, 50), (50, 1), (6, 900)):
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        picture = torch.randint(256, (3, *size), dtype=torch.uint8)
        seen, = model.test_step(dict(inputs=[picture], data_samples=[sample]))
        assert seen.pred_sem_seg.data.shape == (1, *size) and seen.confidence.data.isfinite().all()
        assert seen.pred_sem_seg.data.max() <= 2


def test_smoothing_of_cosines_and_the_common_protocol():
    refiner = dict(type='PAMR', num_iter=1, dilations=(1, ))
    model = build(refiner=refiner, refine=dict(min_area=1))
    labels, _ = model.label(model.keep([image()])[0])
    assert labels.shape == (40, 56)
    common = build(refiner=refiner, refine=dict(min_area=1), protocol='common')
    assert common.refine is None and common.refiner is None


def test_names_of_checkpoints(tmp_path):
    sam = tiny_sam()
    names = {'ffn.layers.0.0.': 'mlp.lin1.', 'ffn.layers.1.': 'mlp.lin2.', '.ln1.': '.norm1.', '.ln2.': '.norm2.',
             'layers.': 'blocks.', 'channel_reduction.': 'neck.', 'patch_embed.projection': 'patch_embed.proj'}
    official = {}
    for key, value in sam.state_dict().items():
        for ours, theirs in names.items():
            if key.startswith('image_encoder.'):
                key = key.replace(ours, theirs)
        official[key] = value
    assert vit_sam_names({'image_encoder.blocks.0.attn.rel_pos_h': 1}) == {'layers.0.attn.rel_pos_h': 1}
    torch.save(official, tmp_path / 'sam.pth')
    other = tiny_sam(seed=1, checkpoint=str(tmp_path / 'sam.pth'))
    other.init_weights()
    assert all(torch.equal(value, sam.state_dict()[key]) for key, value in other.state_dict().items())
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in sam.image_encoder.state_dict().items()}),
               tmp_path / 'encoder.pth')
    alone = tiny_sam(seed=2, prompts=False, checkpoint=str(tmp_path / 'encoder.pth'))
    alone.init_weights()
    assert torch.equal(alone.look(image()).values, sam.look(image()).values)
    with pytest.raises(CheckpointError, match='the first is prompt_encoder.* here and not there; set arch to w'):
        tiny_sam(checkpoint=str(tmp_path / 'encoder.pth')).init_weights()
    wide = dict(ARCH, embed_dims=32)
    with pytest.raises(CheckpointError, match=r'the first is image_encoder.pos_embed, \(1, 4, 4, 32\) here and \(1, 4, '
                                              r'4, 16\) there; set arch'):
        MODELS.build(dict(TINY, arch=wide, checkpoint=str(tmp_path / 'sam.pth'))).init_weights()
    with pytest.raises(MissingFileError, match='model.sam.checkpoint names nowhere.pth, which does not exist: give sa'):
        tiny_sam(checkpoint='nowhere.pth').init_weights()


def test_state_and_a_checkpoint_without_weights():
    model, twin = build(), build(seed=1)
    load_checkpoint(model, 'mmseg_weak://none', strict=True)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(model.label(model.keep([image()])[0])[1], twin.label(twin.keep([image()])[0])[1])
    assert not any(p.requires_grad for p in model.parameters())


def test_photographs_that_sam_sees_are_enlarged_to_patches():
    assert to_multiple(torch.zeros(3, 30, 32), 16).shape == (3, 32, 32)
    same = torch.rand(3, 32, 48)
    assert to_multiple(same, 16) is same


def test_half_precision_of_the_encoder():
    sam = tiny_sam(precision='bf16')
    view = sam.look(image())
    assert view.values.dtype == view.embedding.dtype == torch.float32
    assert isinstance(view, SAMView) and sam.mask_decoder.iou_token.weight.dtype == torch.float32


@pytest.mark.parametrize('settings, sentence', [
    (dict(clip=dict(attention='naclip')), "model.clip has the attention 'naclip'; set attention='proxyclip', resid"),
    (dict(proxy=None), r'^model.proxy is missing: Trident needs DINO \(proxy\) and SAM \(sam\) beside CLIP\.$'),
    (dict(sam=STAND_IN, refine={}), 'model.refine asks ViTCorrelation for masks, which answers no prompts; take a'),
    (dict(sam=dict(TINY, prompts=False), refine={}), 'model.refine asks SAM for masks, which answers no prompts'),
    (dict(refine=dict(coarse=.2)), "model.refine has the key 'coarse', which is none of coarse_thr, .* Did you mean c"),
    (dict(sam=dict(TINY, precision='fp8')), "^precision='fp8' of SAM; use fp32, fp16, bf16"),
    (dict(sam=dict(TINY, arch=dict(ARCH, global_attn_indexes=[0]))), 'The last block of this SAM attends within win')])
def test_what_does_not_fit_is_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(**settings)


def test_windows_between_patches_are_refused():
    with pytest.raises(ConfigError, match='in windows of 20 at a stride of 16: all of them must be multiples of the'):
        build(test_cfg=dict(CUT, crop_px=20)).keep([image()])
