# SEAM on coco_mini with the backbone and schedule of plain CAM (cam/cam_mobilenetv2_1xb8-300_coco-mini.py).
_base_ = [
    '../_base_/models/cam_mobilenetv2.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SEAM',
    num_classes=_base_.num_classes,
    backbone=dict(_base_.model['backbone'], out_indices=(2, 4, 6)),
    in_channels=320,
    in_index=(0, 1, 2),
    correlation=dict(in_channels=(32, 96), channels=(32, 64)),
    view_scale=0.5,  # ours: 0.3 of a crop of 256 leaves maps of 5x5
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(fc8=dict(lr_mult=10.0), correlation=dict(lr_mult=10.0))))
