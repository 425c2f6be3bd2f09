"""NACLIP against the goldens."""
from mmseg_weak.models.clip import DenseViT, visual_from_state
from mmseg_weak.models.clip.attention import gaussian_bias

STRATEGIES = {'naclip': 'naclip', 'kk': 'kk', 'nonly': 'neighbours', 'csa': 'sclip', 'vanilla': 'vanilla'}


def naclip_tower(arrays, settings):
    """All tokens of every variant, the Gaussian window and its bias."""
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    visual = visual_from_state(state, int(arrays['heads']), settings['activation'] == 'quick_gelu')
    out, std = {}, settings['window_std']
    for name, v in settings['variants'].items():
        keep, strategy = v['arch'] == 'vanilla', v['attn_strategy']
        options = dict(std=v['gaussian_std']) if strategy in ('naclip', 'nonly') else None
        tower = DenseViT(visual, STRATEGIES[strategy], options, residual=keep, ffn=keep)
        images = arrays['image'][:1] if v['images'] == 'first' else arrays['image']
        out[name] = tower.project(tower.tokens(tower.embed(images), tower.grid(images))[0])
    h, w = tower.grid(arrays['image'])
    centre = (h - 1) * (2 * w - 1) + w - 1
    out[f'window_std{std}'] = gaussian_bias((2 * h - 1, 2 * w - 1), std, class_token=False)[centre].view(2 * h - 1, -1)
    out[f'addition_std{std}'] = gaussian_bias((h, w), std)
    return out
