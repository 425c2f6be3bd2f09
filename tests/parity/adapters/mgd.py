"""MGD against the goldens: all loss terms of a step."""
from mmseg_weak.methods.semi import mgd
from mmseg_weak.models.losses import distillation
from mmseg_weak.models.losses.confidence_weighted_ce import ConfidenceWeightedCE


def mgd_losses(arrays, settings):
    """Terms and total; those of the frozen teachers change the total only."""
    a, ignore, pool = arrays, settings['ignore_index'], settings['pool_size']
    student, wide, deep = (a[f'{n}_logits_mixed'] for n in ('student', 'teacher_wide', 'teacher_deep'))
    labelled = {n: a[f'{n}_logits_labelled'] for n in ('student', 'teacher_wide', 'teacher_deep')}
    cross = ConfidenceWeightedCE(ignore_index=ignore)
    unlabelled = mgd.cross_labels(student, [(wide, a['pseudo_wide']), (deep, a['pseudo_deep'])], a['pseudo_student'],
                                  ignore_index=ignore)
    content = distillation.RegionContentLoss(pool, settings['content_weight'])(a['student_decoder_feat'],
                                                                              a['teacher_wide_decoder_feat'])
    semantic = distillation.SemanticSensitiveLoss(settings['sem_weight'])(student, deep)
    on_labelled = mgd.cross_labels(
        labelled['student'], [(t, t.argmax(1)) for n, t in labelled.items() if n != 'student'],
        labelled['student'].argmax(1), ignore_index=ignore)
    supervised = {n: cross(t, a['gt']) for n, t in labelled.items()}
    total = sum(supervised.values()) + sum(unlabelled) + sum(on_labelled) + semantic + content
    return dict(consist_loss_unlabelled=sum(unlabelled), sem_sens_loss=semantic, content_loss=content,
                selfsim_student=distillation.region_similarity(a['student_decoder_feat'], pool),
                selfsim_teacher=distillation.region_similarity(a['teacher_wide_decoder_feat'], pool),
                consist_loss_labelled=sum(on_labelled), loss_sup_student=supervised['student'], total=total)
