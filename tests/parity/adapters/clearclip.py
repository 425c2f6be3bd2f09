"""ClearCLIP against the goldens."""
from mmseg_weak.models.clip import DenseViT, visual_from_state

MODES = {'vanilla': 'vanilla', 'MaskCLIP': 'value', 'SCLIP': 'sclip', 'ClearCLIP': 'clearclip'}


def vision_forward(arrays, settings):
    """Patch tokens of every run."""
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    visual = visual_from_state(state, int(arrays['heads']), settings['activation'] == 'quick_gelu')
    out = {}
    for name, run in settings['runs'].items():
        keep = not run['ignore_residual']
        tower = DenseViT(visual, MODES[run['mode']], residual=keep, ffn=keep, last=run['last_n_layers'])
        out[name] = tower(arrays['image']).dense.flatten(2).transpose(1, 2)
    return out
