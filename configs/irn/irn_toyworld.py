# IRNet on ToyWorld, on the seeds of plain CAM, made on the fly. Train cam/cam_toyworld.py first and give its
# checkpoint: --cfg-options model.cam_checkpoint=...
_base_ = [
    '../_base_/models/cam_toyworld.py', '../_base_/datasets/toyworld_tags.py', '../_base_/schedules/tags_toyworld.py',
    '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='IRNet',
    num_classes=_base_.num_classes,
    cam=_base_.model,
    cam_checkpoint='work_dirs/cam_toyworld/iter_1000.pth',
    stages=('maxpool', 'layer1', 'layer2', 'layer3', 'layer4'),  # of the classifier's own backbone
    heads=dict(in_channels=(16, 16, 32, 64, 128), strides=(4, 4, 8, 8, 8)),
    radius=5,  # ours: crops make maps of 28 pixels, VOC's of 128
    seeds=dict(strict=0.4, loose=0.2),  # ours: ToyWorld's maps are wider than those of photographs
    walk=dict(exp_times=4),  # ours: maps are 28 pixels wide, VOC's 125, and 256 steps would cross them several times
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
max_iters = 500
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
lift = dict(
    baseline='cam/cam_toyworld.py',
    measure='seed_mIoU',
    expected=-1.6,  # measured, seed 0
    teachers=dict(cam_checkpoint='cam/cam_toyworld.py'))
