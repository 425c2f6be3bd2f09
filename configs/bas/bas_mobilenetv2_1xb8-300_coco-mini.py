# BAS on coco_mini, 316 photographs with the tags of VOC's classes, from ImageNet weights: docs/weak.md. Cut before the
# last two stages; alpha and beta are the paper's of VOC, the rest is the plain CAM's it is compared with.
_base_ = [
    '../_base_/models/cam_mobilenetv2.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='BAS',
    num_classes=21,
    backbone=_base_.model['backbone'],
    tail=('layer6', 'layer7'),
    feature_channels=96,
    in_channels=320,
    frg_weight=0.2,
    area_weight=1.2,
    add_cam=True,
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(_delete_=True, classifier=dict(lr_mult=10.0), generator=dict(lr_mult=10.0))))
