"""TRIS against the goldens."""
from mmseg_weak.methods.openvocab import tris

_PROMPT = {f'{theirs}_proj{n + 1}': f'{ours}.{n}' for theirs, ours in (('v', 'vision'), ('t', 'text'))
           for n in range(3)}
_PROMPT |= {'v_output': 'vision_out', 't_output.0': 'text_out'}
_ATTENTION = dict(Wk='key', Wv='value', Wq='query.0', ins_q='query.1', Ww='gathered.0', ins_w='gathered.1', Wm='image',
                  Wo='out')


def _renamed(arrays, names, prefix):
    """Parameters below a prefix under our names."""
    out = {}
    for key, value in arrays.items():
        if key.startswith(prefix):
            rest = key[len(prefix):]
            old = next(name for name in names if rest.startswith(name + '.'))
            out[names[old] + rest[len(old):]] = value
    return out


def bilateral_prompt(arrays, settings):
    """Both directions."""
    module = tris.BilateralPrompt(arrays['vis'].shape[1])
    module.load_state_dict(_renamed(arrays, _PROMPT, 'p.'))
    vision, text = module(arrays['vis'], arrays['lan_BCN'].transpose(1, 2))
    return dict(new_vis=vision, new_lan_BNC=text)


def pixel_attention(arrays, settings):
    """Pixels and words."""
    module = tris.PixelWordAttention(arrays['vis'].shape[1], arrays['lan_BCT'].shape[1])
    module.load_state_dict(_renamed(arrays, _ATTENTION, 'p.'))
    return dict(out=module(arrays['vis'], arrays['lan_BCT']))


def stage1_forward_and_cls_loss(arrays, settings):
    """Scores, class loss and responses, with and without the prompt."""
    state = {'logit_scale': arrays['p.logit_scale']}
    state |= {k[2:]: v for k, v in arrays.items() if k.startswith(('p.vis_project', 'p.lan_project'))}
    prompt = {f'prompt.{k}': v for k, v in _renamed(arrays, _PROMPT, 'p.attn_fusion.').items()}
    channels, in_channels = state['vis_project.weight'].shape[:2]
    size, out = tuple(arrays['out_hw'].tolist()), {}
    for suffix, used in (('', True), ('_no_prompt', False)):
        head = tris.TRISHead(in_channels, arrays['text_hidden'].shape[1], channels, used, settings['prompt_factor'],
                             settings['focal_p'], settings['focal_lambda'])
        head.load_state_dict(state | (prompt if used else {}))
        # in double precision: near zero the stored maps are as far from the exact ones as the tolerance
        scores = head.double()(arrays['c4'].double(), arrays['text_hidden'].double())
        logits, share = tris.sentence_logits(scores, head.power, head.offset)
        out[f'cls_out{suffix}'], out[f'cls_loss{suffix}'] = logits, head.loss(scores)['loss_cls']
        if used:
            maps = head.responses(scores, size)
            out.update(cls_fg=share.diagonal(), cam_relu=maps, cam_sigmoid=head.responses(scores, size, 'sigmoid'),
                       cam_eval=maps)
    return out


def clip_losses(arrays, settings):
    """Both losses on CLIP's features, and their weighted sum."""
    images, sentences, negatives = (arrays[name] for name in ('image_feats', 'text_feats', 'neg_text_feats'))
    similarity = tris.similarity(images, sentences)
    total = sum(tris.clip_losses(images, sentences, negatives, settings['w_fg'], settings['w_cbs']).values())
    return dict(similarity=similarity[:, None, None], fg_loss=tris.foreground_loss(similarity, *settings['clamp']),
                cbs_loss=tris.calibration_loss(images, negatives), total_weighted=total)


def eval_mask(arrays, settings):
    """Normalised response and mask."""
    normalized = tris.normalize_response(arrays['cam'], tuple(arrays['out_hw'].tolist()), settings['eps'])
    return dict(cam_norm=normalized, mask=tris.mask_at(normalized, settings['threshold']))
