"""MCTformer+ against the goldens."""
import torch
import torch.nn.functional as F

from mmseg_weak.methods.weak import mctformer
from mmseg_weak.models.backbones import ClassTokenViT
from mmseg_weak.models.cam import patch_to_patch


def cct_loss(arrays, settings):
    """Losses of one batch."""
    def losses(weight):
        return mctformer.mctformer_losses(arrays['cls_logits'], arrays['patch_logits'], arrays['class_tokens'],
                                          arrays['label'], int(arrays['num_cct']), weight, settings['eps'])
    # the stored contrast is before its weight
    return dict(losses(1.0), total=sum(losses(float(arrays['loss_weight'])).values()))


def plus_model(arrays, settings):
    """The whole tiny network."""
    state = {k.removeprefix('param.'): v.float() for k, v in arrays.items() if k.startswith('param.')}
    image = F.interpolate(arrays['image_patch_constant'], scale_factor=settings['upsample_factor'])
    classes, width = state['cls_token'].shape[1:]
    side = round(state['pos_embed_pat'].shape[1] ** 0.5) * settings['patch_size']
    net = ClassTokenViT(classes, width, int(arrays['depth']), int(arrays['num_heads']), settings['mlp_ratio'], side,
                        settings['patch_size'], layer_norm_eps=settings['layer_norm_eps']).eval()
    net.load_state_dict({k: v for k, v in state.items() if not k.startswith(('head.', 'norm.'))})
    head = mctformer.MCTHead(width, classes, float(arrays['decay']))
    head.load_state_dict({k: v for k, v in state.items() if k.startswith('head.')})
    patches, tokens, attentions = net(image, observe=lambda a: a)
    cls_logits, patch_logits = head(patches, tokens)
    maps = head.maps(patches, attentions)
    return dict(cls_logits=cls_logits, all_class_tokens=tokens, patch_logits=patch_logits,
                mean_logits=head.scores(patches, tokens), cam_fused=maps['fused'], cam_patchcam=maps['patch'],
                cam_mct=maps['token'], patch_attn=torch.stack(patch_to_patch(attentions, classes)),
                cam_fused_last2=head.maps(patches, attentions, settings['n_layers_last2'])['fused'])
