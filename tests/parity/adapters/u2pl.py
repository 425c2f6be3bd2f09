"""U2PL against the goldens: entropy-filtered cross-entropy and the contrast with memory banks."""
import torch
import torch.nn.functional as F

from mmseg_weak.models.losses import entropy_filtered_ce as filtered
from mmseg_weak.models.losses import unreliable_contrast as contrast


def unsupervised_loss(arrays, settings):
    """Loss and filtered labels of each percentage."""
    out, ignore = {}, settings.get('ignore_index', 255)
    for percent in settings['percents']:
        out[f'target_after_{percent}'] = filtered.drop_high_entropy(arrays['target'], arrays['teacher_logits'], percent,
                                                                    ignore)
        out[f'loss_{percent}'] = filtered.entropy_filtered_ce(
            arrays['predict'], arrays['target'], arrays['teacher_logits'], percent=percent, ignore_index=ignore)
    return out


def _recorded(picks):
    """Index draws from the record: a row of anchors and a row of negatives for each class that draws at all."""
    calls = []

    def draw(counts, size):
        rows = iter(picks[len(calls)::2])
        calls.append(size)
        empty = torch.zeros(size, dtype=torch.long)
        return torch.stack([next(rows)[:size] if int(n) > 0 else empty for n in counts])
    return draw


def contra_memobank_loss(arrays, settings):
    """One step of the contrast, with the release's slips."""
    ignore, classes = settings.get('ignore_index', 255), settings['num_classes']
    rep, queries = arrays['rep'], settings['num_queries']
    labelled, size = arrays['label_l_full'], rep.shape[-2:]
    low, high, low_thr, high_thr = contrast.entropy_split(
        arrays['label_u_full'], arrays['teacher_logits_u_full'], float(arrays['alpha_t']), ignore)
    known = labelled != ignore
    low, high = (contrast.resize_mask(torch.cat([known, mask]), size) for mask in (low, high))
    loss = contrast.UnreliableContrastLoss(
        classes, rep.shape[1], low_rank=settings['low_rank'], high_rank=settings['high_rank'],
        anchor_thr=settings['current_class_threshold'], negative_thr=settings['current_class_negative_threshold'],
        temperature=settings['temperature'], num_queries=queries, num_negatives=settings['num_negatives'],
        bank_size=settings['bank_capacity'], background_bank_size=None, prototype_ema='proto_before' in arrays,
        as_published=True)
    before = arrays['bank_before']
    loss.push(before.flatten(0, 1), torch.arange(classes).repeat_interleave(before.shape[1]))
    loss.prototype.copy_(arrays['proto_before'][:, 0, 0])
    new_keys = []
    push, loss.push = loss.push, lambda feats, ids: new_keys.append(push(feats, ids))
    value = loss(rep, arrays['rep_teacher'], torch.cat([arrays['label_l_onehot'], arrays['label_u_onehot']]).bool(),
                 torch.cat([arrays['prob_l'], arrays['prob_u']]), low, high, len(labelled),
                 step=int(arrays['i_iter']), draw=_recorded(arrays['random_picks']))
    bank = [F.pad(loss.bank(c), (0, 0, 0, settings['bank_capacity'] - int(loss.count[c]))) for c in range(classes)]
    return dict(low_thresh=low_thr, high_thresh=high_thr, low_mask=low.unsqueeze(1).float(),
                high_mask=high.unsqueeze(1).float(), loss=value,
                proto_after=loss.prototype[:, None, None].expand(-1, queries, 1, -1), bank_after=torch.stack(bank),
                bank_after_len=loss.count, new_keys=new_keys[0])
