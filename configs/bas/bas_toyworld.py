# BAS for seeds on ToyWorld, 600 images with tags, from scratch; alpha and beta are the paper's of VOC.
_base_ = [
    '../_base_/models/cam_toyworld.py', '../_base_/datasets/toyworld_tags.py', '../_base_/schedules/tags_toyworld.py',
    '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='BAS',
    num_classes=8,
    backbone=_base_.model['backbone'],
    tail=('layer4', ),
    feature_channels=64,
    in_channels=128,
    frg_weight=0.2,
    area_weight=1.2,
    add_cam=True,
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
val_evaluator = [dict(type='SeedMetric'), dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
lift = dict(baseline='cam/cam_toyworld.py', measure='seed_mIoU', expected=None)
