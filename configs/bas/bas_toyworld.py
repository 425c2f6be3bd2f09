# BAS for seeds on ToyWorld, 600 images with tags; alpha and beta are the paper's of VOC.
# It starts from a trained classifier, as in the paper: from scratch the area loss shrinks all maps before the
# classifier knows a class (seen). Train cam/cam_toyworld.py first and give its checkpoint:
# --cfg-options model.backbone.init_cfg.checkpoint=...
_base_ = [
    '../_base_/models/cam_toyworld.py', '../_base_/datasets/toyworld_tags.py', '../_base_/schedules/tags_toyworld.py',
    '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='BAS',
    num_classes=8,
    backbone=dict(
        _base_.model['backbone'],
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/cam_toyworld/iter_1000.pth', prefix='backbone.')),
    tail=('layer4', ),
    feature_channels=64,
    in_channels=128,
    frg_weight=0.2,
    area_weight=1.2,
    add_cam=True,
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))  # paper: heads 10 times faster
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
lift = dict(
    baseline='cam/cam_toyworld.py',
    measure='seed_mIoU',
    expected=-1.5,  # measured, seed 0
    teachers={'backbone.init_cfg.checkpoint': 'cam/cam_toyworld.py'})
