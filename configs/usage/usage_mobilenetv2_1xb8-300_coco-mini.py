# USAGE (an interpretation) on coco_mini, MobileNetV2 from ImageNet weights, schedule of its plain CAM: docs/weak.md.
# From plain CAM's backbone it ends far higher: README.md.
_base_ = [
    '../_base_/models/cam_mobilenetv2.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='USAGE',
    num_classes=21,
    backbone=_base_.model['backbone'],
    in_channels=320,
    tau=4.0,
    drop_layers=('layer6', 'layer7'),
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(classifier=dict(lr_mult=10.0))))
custom_hooks = [dict(type='EMATeacherHook')]
