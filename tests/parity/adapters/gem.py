"""GEM against the goldens; its tokens come sequence first."""
import torch
from open_clip.transformer import ResidualAttentionBlock

from mmseg_weak.models.clip import Heads, Score, build_attention, resize_position_table
from mmseg_weak.models.clip.blocks import parallel_block, split_heads


def _joined(mixed, arrays):
    return torch.nn.functional.linear(mixed.transpose(1, 2).flatten(2), arrays['p.proj.weight'],
                                      arrays['p.proj.bias']).transpose(0, 1)


def self_self_attention(arrays, settings):
    """One output a run, and ordinary attention."""
    x = arrays['x_LNC'].transpose(0, 1)
    q, k, v = split_heads(x, arrays['p.qkv.weight'], arrays['p.qkv.bias'], int(arrays['heads']))
    heads = Heads(q, k, v, x, (1, x.shape[1] - 1))
    out = {name: _joined(build_attention('gem', run)(heads).apply(heads), arrays)
           for name, run in settings['runs'].items()}
    out['ori'] = _joined(Score(q, k).apply(v), arrays)
    return out


def residual_blocks(arrays, settings):
    """Two blocks with both streams, and the antialiased position embedding."""
    names = {'attn.qkv.weight': 'attn.in_proj_weight', 'attn.qkv.bias': 'attn.in_proj_bias',
             'attn.proj.weight': 'attn.out_proj.weight', 'attn.proj.bias': 'attn.out_proj.bias'}
    state = {names.get(k[2:], k[2:]): v for k, v in arrays.items() if k.startswith('p.')}
    width = arrays['x_LNC'].shape[-1]
    ratio = state['mlp.c_fc.weight'].shape[0] / width
    block = ResidualAttentionBlock(width, int(arrays['heads']), ratio)
    block.load_state_dict(state)
    attend = build_attention('gem', dict(iterations=settings['iterations'], temperature=settings['temperature']))
    out, x, beside = {}, arrays['x_LNC'].transpose(0, 1), None
    for number in (1, 2):
        x, beside, _ = parallel_block(block, x, beside, (1, x.shape[1] - 1), attend)
        out[f'block{number}_gem'], out[f'block{number}_ori'] = beside.transpose(0, 1), x.transpose(0, 1)
    grid = tuple(settings['pos_embed_grid'])
    out['pos_embed_5x7'] = resize_position_table(arrays['pos_embed'][0], grid, 'antialias')[None]
    return out
