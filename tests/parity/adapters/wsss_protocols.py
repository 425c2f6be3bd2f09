"""Seed and pseudo-mask scores against the goldens."""
import torch

from mmseg_weak.evaluation import seed_scores


def seed_eval(arrays, settings):
    """Threshold curve, power backgrounds, one threshold, pseudo masks."""
    ignore, classes = settings['ignore_index'], settings['num_classes']
    cams, truth, present = arrays['cam'], arrays['gt'], arrays['class_present']

    def confusions(thresholds, **options):
        return seed_scores.seed_confusions(seed_scores.seed_histogram(cams, truth, thresholds, **options))

    curve = seed_scores.iou_scores(confusions(arrays['thresholds'], ignore_index=ignore), 'all', percent=True)
    powers = []
    for value in arrays['power_bg_exponents_or_threshold'].tolist():
        thr = value if value < 1 else seed_scores.power_threshold(value)
        powers.append(seed_scores.iou_scores(confusions([thr], present=present, ignore_index=ignore)[0],
                                             'present')['miou'])
    pred = seed_scores.seed_labels(cams, settings['pred_threshold'])
    table = seed_scores.cross_table(pred, truth, classes, ignore)
    scores = seed_scores.iou_scores(seed_scores.pseudo_confusion(table), 'present')
    pseudo = seed_scores.cross_table(arrays['pseudo_with_ignore'], truth, classes, ignore)
    pseudo = seed_scores.iou_scores(seed_scores.pseudo_confusion(pseudo, 'drop'), 'present')
    return dict(miou_curve_percent=curve['miou'], power_bg_miou=torch.stack(powers), pred_at_045=pred,
                per_class_then_fp_fn_percent=torch.cat([curve['iou'], curve['fp'][:, None], curve['fn'][:, None]], 1),
                pred_miou=scores['miou'], pred_pacc=scores['pixel_acc'], pred_macc=scores['mean_acc'],
                pred_iou=scores['iou'], pseudo_miou=pseudo['miou'], pseudo_pacc=pseudo['pixel_acc'],
                pseudo_macc=pseudo['mean_acc'])
