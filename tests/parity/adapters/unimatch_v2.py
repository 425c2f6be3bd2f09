"""UniMatch V2 against the goldens: complementary dropout and the step."""
import torch

from mmseg_weak.methods.semi import unimatch, unimatch_v2
from mmseg_weak.models.losses import confidence_weighted_ce
from mmseg_weak.models.teachers import mixing


def complementary_dropout(arrays, settings):
    """Every given feature under the given mask."""
    return {f'out{name[7:]}': unimatch_v2.drop_features(feats, arrays['dropout_mask'])
            for name, feats in arrays.items() if name.startswith('feature')}


def step_loss(arrays, settings):
    """One step; the partner of an image is the flipped batch's."""
    ignore, a = settings['ignore_index'], arrays
    pseudo = unimatch.pseudo_from_logits(a['pred_u_w_ema'], a['ignore_mask'] != ignore)
    boxes = [a[f'cutmix_box{j}'].bool() for j in (1, 2)]
    mixed = [unimatch.cutmix_pseudo(pseudo, unimatch_v2.flip_batch(pseudo), box) for box in boxes]
    supervised = confidence_weighted_ce.ConfidenceWeightedCE(ignore_index=ignore)(a['pred_x'], a['mask_x'])
    terms = unimatch.unimatch_unsup_losses(dict(s1=(a['pred_u_s1'], mixed[0]), s2=(a['pred_u_s2'], mixed[1])),
                                           conf_thr=settings['conf_thresh'])
    return dict(loss=sum(unimatch_v2.unimatch_v2_step_losses(supervised, terms).values()), loss_x=supervised,
                loss_s1=terms['s1'], loss_s2=terms['s2'], mask_cutmixed1=mixed[0].labels,
                img_u_s1_after=mixing.mix(a['img_u_s1'], torch.flip(a['img_u_s1'], (0,)), boxes[0]))
