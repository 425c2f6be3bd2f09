"""PrevMatch against the goldens: ensemble of past models, their list, the schedule and the step."""
import torch
from torch.func import functional_call

from mmseg_weak.methods.semi import prevmatch, unimatch
from mmseg_weak.models.losses import confidence_weighted_ce


def prev_ensemble(arrays, settings):
    """Ensembles of 1x1 convolutions, the list after each append, the triangle."""
    weights, biases = arrays['weights'], arrays['biases']
    conv = torch.nn.Conv2d(weights.shape[2], weights.shape[1], 1)
    states = [dict(weight=w[:, :, None, None], bias=b) for w, b in zip(weights, biases)]
    logits = []
    for chosen, share in zip(arrays['selected'], arrays['dirichlet']):
        real = [int(k) for k in chosen if k >= 0]
        logits.append(prevmatch.ensemble_logits(lambda state, x: functional_call(conv, state, (x,)),
                                                [states[k] for k in real], share[:len(real)], arrays['x']))
    past, history = prevmatch.PreviousModels(settings['list_len']), []
    for item in range(settings['list_appends']):
        past.append(dict(item=torch.tensor([float(item)])))
        held = [float(state['item']) for state in past.states]
        history.append(held + [-1.0] * (settings['list_len'] - len(held)))
    total = settings['total_epochs']
    return dict(logits=torch.stack(logits), list_history=torch.tensor(history, dtype=torch.float64),
                lambda_schedule=torch.tensor([prevmatch.triangle(e, total) for e in range(total)], dtype=torch.float64))


def step_loss(arrays, settings):
    """One step."""
    ignore, a, lam = settings['ignore_index'], arrays, settings['current_lambda']
    boxes = [a[f'cutmix_box{j}'].bool() for j in (1, 2)]
    valid, valid_mix = a['ignore_mask'] != ignore, a['ignore_mask_mix'] != ignore
    supervised = confidence_weighted_ce.ConfidenceWeightedCE(ignore_index=ignore)(a['pred_x'], a['mask_x'])

    def terms(own, partner, thr):
        own = unimatch.pseudo_from_logits(own, valid)
        partner = unimatch.pseudo_from_logits(partner, valid_mix)
        mixed = [unimatch.cutmix_pseudo(own, partner, box) for box in boxes]
        return unimatch.unimatch_unsup_losses(
            dict(s1=(a['pred_u_s1'], mixed[0]), s2=(a['pred_u_s2'], mixed[1]), fp=(a['pred_u_w_fp'], own)),
            conf_thr=thr)
    standard = terms(a['pred_u_w'], a['pred_u_w_mix'], settings['conf_thresh'])
    previous = terms(a['pred_u_w_prev'], a['pred_u_w_mix_prev'], settings['conf_thresh_prev'])
    parts = prevmatch.prevmatch_parts(supervised, standard, previous, lam)
    return dict(total_loss=sum(prevmatch.prevmatch_step_losses(supervised, standard, previous, lam).values()),
                loss_prev_weighted=parts['previous'], loss_standard=parts['standard'], loss_x=parts['x'])
