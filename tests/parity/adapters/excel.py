"""ExCEL against the goldens."""
import math

import torch
import torch.nn.functional as F

from mmseg_weak.methods.weak import excel
from mmseg_weak.models.cam.class_attention import attention_transition, share_boxes
from mmseg_weak.models.clip import Heads, Score, build_attention
from mmseg_weak.models.clip.blocks import split_heads
from mmseg_weak.models.decode_heads import TokenFusion
from mmseg_weak.models.losses import pair_affinity, split_cross_entropy
from mmseg_weak.models.refine import PAR
from mmseg_weak.models.refine.attention import radius_mask


def text_enrichment(arrays, settings):
    """Texts with and without the lowest attributes."""
    texts, count, bank = arrays['text'], int(arrays['num_fg']), arrays['attr_bank'].T
    return dict(enriched=excel.enrich_texts(texts, count, bank, float(arrays['topK_fraction'])).T,
                enriched_no_topk=excel.enrich_texts(texts, count, bank, 1.0).T)


def feature_surgery(arrays, settings):
    """Maps of all texts."""
    return dict(maps=excel.patch_text_maps(arrays['image_features'], arrays['text'], settings['class_token_scale']))


def calibrated_attention(arrays, settings):
    """Both streams of a block's attention."""
    p = {k[6:]: v for k, v in arrays.items() if k.startswith('param.')}
    x, external = arrays['x'], arrays['ex_feats']
    q, k, v = split_heads(x, p['qkv.weight'], p['qkv.bias'], int(arrays['num_heads']))
    heads = Heads(q, k, v, x, tuple(external.shape[-2:]))
    attend = build_attention('excel', dict(scale=settings['ex_scale'], per_image=False))

    def out(mixed):
        return F.linear(mixed.transpose(1, 2).flatten(2), p['proj.weight'], p['proj.bias'])
    learned = heads._replace(external=external)
    return dict(out_static=out(attend(heads).apply(heads)), out_learned=out(attend(learned).apply(learned)),
                out_original=out(Score(q, k).apply(v)), attn_original_headsum=Score(q, k).weights().sum(1))


def affinity_refine(arrays, settings):
    """Transition, boxes and both refinements of one image."""
    side, share = math.isqrt(len(arrays['attr_map'])), float(arrays['caa_thre'])
    maps = arrays['attr_map'].T.unflatten(1, (side, side))[None]
    present = arrays['cls_label'][None].bool()
    attention = arrays['attn_weights'][None, :, None]
    attention = excel.recent_attention(attention.unbind(1), int(arrays['attn_layers']))
    keys = present[0].nonzero().flatten()
    boxes = [[key, *box] for key in keys.tolist() for box in share_boxes(maps[0, key].numpy(), share).tolist()]
    plain = excel.refined_class_maps(maps, attention, present, share=share)
    chosen = excel.refined_class_maps(maps, attention, present, arrays['seg_attn'], share)
    return dict(keys=keys, boxes_cls_x0y0x1y1=torch.tensor(boxes),
                trans_mat_plain=attention_transition(excel.affinity_of(attention), settings['normalisation_rounds'])[0],
                refined_plain=plain[0, keys], refined_seg=chosen[0, keys])


def pseudo_label(arrays, settings):
    """Planes before the refinement, and labels."""
    size = (int(arrays['image_size']), ) * 2
    rule, image = settings['par'], F.interpolate(arrays['image4'][None], size, mode='nearest')
    planes = excel.maps_to_planes(arrays['refined'][None], size, settings['bg_power'])
    present = torch.ones(1, len(arrays['keys']), dtype=torch.bool)
    par = PAR(rule['num_iter'], rule['dilations'], rule['w1'], rule['w2'])
    ids = torch.cat([torch.zeros(1).long(), arrays['keys'] + 1])
    return dict(cams_with_bg=planes[0], label=ids[excel.planes_to_labels(planes, image, par, present)])


def seg_loss(arrays, settings):
    """Cross-entropy by halves."""
    return dict(loss=split_cross_entropy.split_cross_entropy(
        arrays['pred'], arrays['label'].long(), ignore_index=settings['ignore_index'], eps=settings['eps']))


def diversity_loss(arrays, settings):
    """Relation map, labels of pairs, loss."""
    feat, label = arrays['feat'], arrays['label_grid'].long()
    relation = excel.relation_map(feat, settings['scale'], per_image=False)
    mask = radius_mask(tuple(feat.shape[-2:]), int(arrays['radius']))
    pairs = pair_affinity.affinity_labels(label, mask, settings['ignore_index'])
    return dict(aff_label=pairs, attn_pred=relation, loss=pair_affinity.attention_affinity_loss(relation, pairs))


def fuse_head(arrays, settings):
    """Fused features."""
    x, state = arrays['x_all'], {}
    for name, value in arrays.items():
        if name.startswith('param.linears_modulelist.'):
            _, _, block, layer, kind = name.split('.')
            state[f'mlps.{block}.{dict(proj=0, proj_2=2)[layer]}.{kind}'] = value
        elif name.startswith('param.linear_fuse.'):
            state['fuse.' + name.rsplit('.', 1)[1]] = value
    channels, in_channels = state['mlps.0.0.weight'].shape
    fusion = TokenFusion(in_channels, settings['num_blocks'], channels).eval()
    fusion.load_state_dict(state)
    return dict(out=fusion(x.unbind(0)))
