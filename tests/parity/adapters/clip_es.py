"""CLIP-ES against the goldens; tokens come sequence first, and of the tower the last block alone."""
import torch

from mmseg_weak.models.cam.text_cam import softmax_cams
from mmseg_weak.models.clip import DenseViT, visual_from_state


def softmax_gradcam(arrays, settings):
    """Maps of the target texts."""
    prefix = 'param.visual.'
    state = {k[len(prefix):]: v.float() for k, v in arrays.items() if k.startswith(prefix)}
    tokens = arrays['tokens_before_last_block'].float().transpose(0, 1)
    width = tokens.shape[2]
    unused = {'class_embedding': torch.zeros(width), 'positional_embedding': torch.zeros(2, width),
              'conv1.weight': torch.zeros(width, 3, 4, 4), 'ln_pre.weight': torch.ones(width),
              'ln_pre.bias': torch.zeros(width)}
    tower = DenseViT(visual_from_state(state | unused, settings['heads'], settings['activation'] == 'quick_gelu'))
    texts = arrays['text_features'].float()
    wanted = torch.zeros(len(tokens), len(texts), dtype=torch.bool)
    wanted[:, settings['target_texts']] = True
    maps, probs, attention = softmax_cams(tower, tokens, tuple(arrays['grid_hw'].tolist()), texts,
                                          float(arrays['param.logit_scale'].float().exp()), wanted)
    return dict(probabilities=probs, attn_last=attention,
                **{f'cam_{n}': maps[:, text] for n, text in enumerate(settings['target_texts'])})
