"""AFA against the goldens: PAR, affinity head, labels, loss and walk."""
from mmseg_weak.models.cam import PooledClassifier
from mmseg_weak.models.losses import pair_affinity
from mmseg_weak.models.refine import PAR, AttentionAffinity, attention
from mmseg_weak.models.refine.pixel_adaptive import position_distances


def par(arrays, settings):
    """One output a run."""
    out = {}
    for name, run in settings['runs'].items():
        module = PAR(run['num_iter'], run['dilations'], w1=settings['w1'], w2=settings['w2'])
        out[name] = module(arrays['mask'], arrays['image'])
        if len(run['dilations']) == 6:
            out['pos'] = position_distances(module.offsets).view(1, 1, -1, 1, 1)
    return out


def affinity(arrays, settings):
    """Pair labels from patch labels, and the loss on a given affinity."""
    labels = arrays['label_nearest16']
    mask = attention.radius_mask(tuple(labels.shape[-2:]), int(arrays['radius']))
    target = pair_affinity.affinity_labels(labels, mask, settings['ignore_index'])
    same, different = pair_affinity.pair_counts(target)
    return dict(radius_mask=mask, aff_label=target, pos_count=same, neg_count=different,
                loss=pair_affinity.attention_affinity_loss(arrays['aff_pred'], target))


def attn_to_affinity(arrays, settings):
    """Affinity of the attentions; the classifier."""
    maps = [arrays['attn_second_last'], arrays['attn_last']]
    head = AttentionAffinity(sum(m.shape[1] for m in maps))
    head.load_state_dict({'attn_proj.weight': arrays['attn_proj_weight'], 'attn_proj.bias': arrays['attn_proj_bias']})
    weight = arrays['classifier_weight']
    classifier = PooledClassifier(weight.shape[1], weight.shape[0], settings['pooling'])
    classifier.load_state_dict({'classifier.weight': weight})
    return dict(aff_pred=head(maps), cls_logits=classifier(arrays['feat4']), cam=classifier.cam(arrays['feat4']))


def random_walk(arrays, settings):
    """Without and with a background plane; the mask is given."""
    options = dict(power=settings['power'])
    plain, background = (attention.affinity_transition(arrays['aff'], arrays['radius_mask'], offset=offset, **options)
                         for offset in (settings['column_sum_offset'], settings['column_sum_offset_with_bkg']))
    planes = attention.add_background(arrays['cam'], arrays['cls_label'], float(arrays['bkg_score']))
    return dict(out=attention.spread(arrays['cam'], plain), out_with_bkg=attention.spread(planes, background))
