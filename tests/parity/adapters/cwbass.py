"""CW-BASS against the goldens: threshold, boundary and loss."""
import torch

from mmseg_weak.models.losses import confidence_boundary as cw
from mmseg_weak.models.teachers.policies import sigmoid_threshold


def boundary_loss(arrays, settings):
    """Everything from teacher logits to the loss of each run."""
    student, teacher, ignore = arrays['student_logits'], arrays['teacher_logits'], settings['ignore_index']
    options = dict(base_thr=settings['base_threshold'], beta=settings['beta'], clip=tuple(settings['clip']),
                   boundary_weight=settings['boundary_weight'], ignore_index=ignore)
    dynamic = cw.ConfidenceWeightedBoundaryLoss(**options).pseudo(teacher)
    hard = cw.ConfidenceWeightedBoundaryLoss(**options, fixed_thr=settings['hard_threshold']).pseudo(teacher)
    pseudo = dict(pseudo_dyn=dynamic, pseudo_hard=hard)
    out = dict(confidence=dynamic['conf'], pseudo_argmax=dynamic['argmax'], boundary_mask=dynamic['boundary'].float(),
               threshold_dyn=dynamic['thr'], pseudo_dyn=dynamic['labels'], pseudo_hard=hard['labels'])
    for name, run in settings['runs'].items():
        loss = cw.ConfidenceWeightedBoundaryLoss(gamma=run['gamma'], **options,
                                                 decay_factor=settings['decay_factor'] if run['decay'] else None)
        weighted, edge = loss.from_pseudo(student, pseudo[run['pseudo']])
        out[f'wce_{name}'], out[f'loss_{name}'] = weighted, loss.total(weighted, edge)
    loss = cw.ConfidenceWeightedBoundaryLoss(**options)
    empty = dict(dynamic, labels=torch.full_like(dynamic['labels'], ignore))
    out['loss_all_ignored'] = loss.total(*loss.from_pseudo(student, empty))
    out['boundary_of_labels_with_255'] = cw.sobel_boundary(arrays['labels_with_255'], teacher.shape[1]).float()
    for name, value in list(settings.items()) + [('threshold_table', {})]:
        if name.startswith('threshold_table'):
            out[name] = sigmoid_threshold(arrays['threshold_table_mean'],
                                          value.get('base_threshold', settings['base_threshold']),
                                          value.get('beta', settings['beta']),
                                          tuple(value.get('clip', settings['clip'])))
    return out
