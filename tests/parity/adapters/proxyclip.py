"""ProxyCLIP against the goldens."""
from mmseg_weak.models.clip import DenseViT, visual_from_state


def proxyclip_tower(arrays, settings):
    """Patch tokens at the proxy's grid."""
    state = {k[2:]: v for k, v in arrays.items() if k.startswith('p.')}
    visual = visual_from_state(state, int(arrays['heads']), settings['activation'] == 'quick_gelu')
    out = {}
    for name, v in settings['variants'].items():
        tower = DenseViT(visual, 'proxyclip', dict(**v, per_image=False), residual=False, ffn=False)
        out[name] = tower(arrays['image_square'], external=arrays['ex_feats']).dense.flatten(2).transpose(1, 2)
    return out
