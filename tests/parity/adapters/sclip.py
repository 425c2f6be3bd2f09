"""SCLIP against the goldens."""
from mmseg_weak.models.clip import DenseViT, resize_position_table, visual_from_state


def sclip_tower(arrays, settings):
    """All tokens of the tower with and without correlative attention."""
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    visual = visual_from_state(state, int(arrays['heads']), settings['activation'] == 'quick_gelu')
    out, image = {}, arrays['image']
    for name in ('csa', 'vanilla'):
        tower = DenseViT(visual, 'sclip' if name == 'csa' else 'vanilla')
        x, grid = tower.embed(image), tower.grid(image)
        changed, _, _, _, _ = tower.tokens(x, grid)
        out[f'out_{name}'] = tower.project(changed)
        if name == 'csa':
            for layer in range(tower.depth - 1):
                x, _ = tower.block(x, layer, grid)
            heads = tower.heads(x, tower.depth - 1, grid)
            out['attn_final_csa'] = tower.attend(heads).weights(heads).flatten(0, 1)
            out['pos_embed_interp'] = resize_position_table(visual.positional_embedding, grid, 'offset')[None]
    return out
