"""CLIP-DINOiser against the goldens; affinities stand there as (B,N,h,w)."""
import torch
from open_clip.transformer import ResidualAttentionBlock

from mmseg_weak.methods.openvocab import clip_dinoiser as room
from mmseg_weak.models.cam import tokens_to_map
from mmseg_weak.models.clip import resize_position_table


def _head(arrays, gamma=0.2):
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    channels, in_channels, kernel, _ = state['obj_proj.weight'].shape
    return state, room.CLIPDINOiserHead(in_channels, channels, kernel, gamma)


def dino_correlations(arrays, settings):
    """The teacher's affinity with and without the cut."""
    size = tuple(arrays['grid'].tolist())
    raw = room.cosine_affinity(arrays['dino_feats_unnormalised'])
    cut = room.cut_affinity(raw, settings['gamma'])
    return dict(corr_raw=raw.unflatten(2, size), corr_gamma02=cut.unflatten(2, size))


def weighted_pool(arrays, settings):
    """Pooling on the features' grid and on another."""
    return {name: room.guided_pool(arrays['feats'], arrays[corrs].flatten(2), tuple(arrays[corrs].shape[-2:]),
                                   settings['eps'])
            for name, corrs in (('out', 'corrs'), ('out_resized', 'corrs_resized'))}


def maskclip_value_path(arrays, settings):
    """Value path of the last block, positions, probabilities."""
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    tokens, grid = arrays['tokens_LNC'].transpose(0, 1), tuple(settings['grid'])
    width = tokens.shape[-1]
    block = ResidualAttentionBlock(width, 1, state['mlp.c_fc.weight'].shape[0] / width)
    block.load_state_dict(state)
    return dict(v_out=room.value_tokens(block, tokens, grid).transpose(0, 1),
                pos_embed_resized=resize_position_table(arrays['pos_embed'][0], grid, 'size')[None],
                cls_probs=room.patch_probs(arrays['feat'], arrays['class_embeddings'], scale=settings['logit_scale']))


def head_forward(arrays, settings):
    """Head, pooled features, probabilities, cleaning."""
    state, head = _head(arrays, settings['gamma'])
    head.load_state_dict(state)
    dense, size = arrays['clip_proj_feats'], tuple(arrays['clip_proj_feats'].shape[-2:])
    inner = tokens_to_map(arrays['clip_inter_tokens'], size)
    affinity, _ = head(inner)
    pooled, background = head.pool(inner, dense)
    probs = room.patch_probs(pooled, arrays['class_embeddings'], scale=settings['logit_scale'])
    out = dict(bkg_logits=background, corrs_raw=affinity.unflatten(2, size), refined_feats=pooled)
    for name, run in settings['runs'].items():
        out[name] = probs if run['delta'] is None else room.clean_background(
            probs, background, run['delta'], settings['background_class'])
    return out


def train_loss(arrays, settings):
    """Both terms and their sum, with the given parameters in the head."""
    state, head = _head(arrays)
    inner = tokens_to_map(arrays['clip_inter_tokens'], tuple(arrays['grid'].tolist()))
    affinity, background = torch.func.functional_call(head, state, inner)
    losses = room.dinoiser_losses(affinity, background, arrays['dino_corrs'].flatten(2), arrays['found_prob'],
                                  settings['found_threshold'])
    return dict(loss_dino=losses['loss_corr'], loss_found=losses['loss_bkg'], loss=sum(losses.values()))
