"""MaskCLIP's refinement against the goldens."""
from mmseg_weak.methods.openvocab.maskclip import cosine_scores, refine_scores


def refine_output(arrays, settings):
    """Scores, and one refinement a variant."""
    scores = cosine_scores(arrays['feat'], arrays['text_embeddings'])
    out = {'cls_seg': scores}
    for name, v in settings['variants'].items():
        out[name] = refine_scores(scores, arrays['k'], v['pd_thresh'], v['ks_thresh'], settings['logit_scale'],
                                  as_published=settings['key_normalise_dim'] == 1)
    return out
