"""ReCo against the goldens; they follow the official slice unless they say otherwise."""
from mmseg_weak.methods.openvocab import reco


def reference_feature(arrays, settings):
    """One reference and its seeds a variant."""
    out = {}
    for name, v in settings['variants'].items():
        weights = arrays['weights'] if v['weights'] else None
        reference, seeds = reco.reference_feature(arrays['features'], weights, v['mode'],
                                                  as_published=v['column_slice'] == 'official')
        seed_name, reference_name = v.get('outputs', [f'seeds_{name}', f'ref_{name}'])
        out.update({seed_name: seeds, reference_name: reference})
    return out


def cosegment(arrays, settings):
    """Weights of places, and references by them."""
    features, contexts = arrays['features'], arrays['context_feats']
    size, scale = tuple(features.shape[-2:]), settings['text_temperature']
    attention = reco.text_attention(arrays['dense_clip_feats'], arrays['text_feat'][None], size, scale)[:, 0]
    texts = arrays['text_feats_K']

    def reference(*given):
        weights = reco.position_weights(features, *given)
        return reco.reference_feature(features, weights, settings['reference_mode'],
                                      settings['column_slice'] == 'official')[0]
    return dict(context_weights=reco.context_weights(features, contexts, settings['context_temperature']),
                text_attention=attention,
                text_attention_K=reco.text_attention(arrays['dense_clip_feats'], texts, size, scale),
                text_attention_K_raw=reco.text_attention(arrays['dense_clip_feats'], texts, None, scale),
                ref_text_and_context=reference(attention, contexts), ref_text_only=reference(attention),
                ref_context_only=reference(None, contexts))


def inference(arrays, settings):
    """Scores with and without language."""
    size = tuple(arrays['out_hw'].tolist())
    plain = reco.reco_scores(arrays['features'], arrays['ref_feats'], size)
    full = reco.reco_scores(arrays['features'], arrays['ref_feats'], size, arrays['dense_clip_feats'],
                            arrays['text_feats_K'])
    return dict(scores=full, scores_no_language=plain)
